/* backoff.h -- how long to wait before the next try.
 *
 * Pure: the caller brings the random number, so that every answer can be repeated. */
#pragma once
#include <stdint.h>

enum backoff_kind {
    BACKOFF_EXPONENTIAL, /* first, 2 first, 4 first ... */
    BACKOFF_LINEAR,      /* first, 2 first, 3 first ... */
    BACKOFF_CONSTANT,    /* first, first ... */
    BACKOFF_KINDS
};

struct backoff {
    enum backoff_kind kind;
    uint64_t first_ms, max_ms;
    double jitter; /* 0 to 1: the part of a delay that chance may take away */
};

/* The delay before try `attempt` (0: the first one after a failure). `chance` is from 0 to below 1;
 * where `jitter` is 0 it does not matter. Never above max_ms. */
uint64_t backoff_ms(const struct backoff *b, unsigned attempt, double chance);

/* "exponential" and so on; BACKOFF_KINDS if it is none of them. */
enum backoff_kind backoff_kind_of(const char *name);
