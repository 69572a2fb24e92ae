/* health.h -- turns a stream of probe verdicts into a stable state.
 *
 * `rise` passes in a row make it passing, `fall` failures in a row failing; until then the state
 * stays as it was. One that keeps changing sides is flapping, until it has been steady for a while.
 *
 * Pure: no clock, no I/O, no Lua. Embedded by value in its owner, so there is nothing to free. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum health_state { HEALTH_UNKNOWN, HEALTH_PASSING, HEALTH_FAILING, HEALTH_FLAPPING };

struct health {
    enum health_state state; /* written only by health_feed() */
    int rise, fall;          /* equal verdicts in a row that change sides */
    int streak;              /* > 0: passes in a row; < 0: failures in a row */
    enum health_state side;  /* passing or failing, as rise and fall have it; unknown at first */
    uint32_t turns;          /* one bit a verdict, the last one lowest: it changed sides */
    bool passed;             /* at least once */
};

void health_init(struct health *h, int rise, int fall);

/* Feeds one verdict. A failure that is `excused` (the service may still be starting) does not
 * count, unless the service has passed before. Returns true if h->state changed. */
bool health_feed(struct health *h, bool passed, bool excused);

const char *health_name(enum health_state state);
