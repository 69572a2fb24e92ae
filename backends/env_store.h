/* env_store.h -- the records of the env backend: in this process's environment and in an env file,
 * or, without one, in its own memory. The names of variables are env_names.h, the file's text is
 * env_text.h. Nothing here waits. */
#pragma once
#include "shelf.h"

extern const struct store_kind env_store_kind;

/* `file` may be NULL. */
void *env_store_open(const char *prefix, const char *file);
