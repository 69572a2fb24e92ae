/* file_store.h -- the folder of the file backend: `<folder>/<service>.json`.
 *
 * A file that we write is a list of records; each may bear, beyond the record, `ttl` and `expires`
 * (unix seconds) and `owner` (the process that renews it). Files written by hand may also hold one
 * record, or an object of such by service name. Whatever cannot be read is an error that names the
 * file, never an empty answer. Nothing here waits; whoever writes holds the folder's lock, and
 * drops what has expired, or lost its owner, from the same file. */
#pragma once
#include "shelf.h"

struct io;

extern const struct store_kind file_store_kind;

/* Makes the folder, and those above it. */
void *file_store_open(const char *folder, struct err *err);
