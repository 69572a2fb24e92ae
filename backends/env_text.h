/* env_text.h -- the text of an env file: NAME=value lines that sh reads with `. file`.
 *
 * Pure. What it writes needs no more than double quotes, which sh and systemd read alike. It reads
 * quotes of both kinds and `export`; lines that set other variables are kept as they are. */
#pragma once
#include <jansson.h>
#include <stddef.h>

struct buf;
struct err;

/* Reads the variables that begin with the prefix into `variables`, and appends all other lines to
 * `others` (may be NULL). -1 and the line in `err` if it is no env file. */
int env_text_read(const char *text, size_t len, const char *prefix, json_t *variables,
                  struct buf *others, struct err *err);

/* Appends one line for each variable. */
void env_text_write(struct buf *out, const json_t *variables);
