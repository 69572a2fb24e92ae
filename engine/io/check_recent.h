/* check_recent.h -- the specs of checks that ran once, kept for who asks for the same again.
 *
 * Making one takes longer than all else that we do for an http check. */
#pragma once
#include <jansson.h>
#include <stdint.h>

struct check_spec;
struct err;
struct io;

/* A spec for one verdict, for check_start(). One that was made of equal options is given again if
 * the hint is the same too: any number that differs where options are likely to. */
struct check_spec *check_recent_spec(struct io *io, const json_t *options, uintptr_t hint,
                                     struct err *err);

void check_recent_close(struct io *io); /* for io_close() */
