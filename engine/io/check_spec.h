/* check_spec.h -- a check as it was asked for. For check.c and check_spec.c. */
#pragma once
#include <stdint.h>

#include "io/check.h"

struct check_spec {
    const struct check_kind *kind;
    void *prepared; /* owned: made by kind->prepare() */
    uint64_t interval_ms, timeout_ms, start_period_ms;
    int rise, fall;
    enum backoff_kind backoff;
    uint64_t same[2]; /* equal in specs that ask for the same tries at the same pace */
    bool once;        /* the first verdict decides */
    unsigned users;   /* each frees it */
};

/* Makes it fit for one verdict: the first one decides, and the first try comes at once. */
void check_spec_once(struct check_spec *spec);
