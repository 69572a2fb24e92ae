#include "core/health.h"

#include <limits.h>

#define WINDOW ((1u << 20) - 1) /* the verdicts that flapping looks back on */
#define FLAPPING_AT 5           /* changes of sides among them */
#define STEADY_AT 2

void health_init(struct health *h, int rise, int fall)
{
    *h = (struct health){.rise = rise, .fall = fall};
}

static int next_streak(int streak, bool passed)
{
    if (passed)
        return streak > 0 && streak < INT_MAX ? streak + 1 : 1;
    return streak < 0 && streak > INT_MIN ? streak - 1 : -1;
}

static enum health_state next_side(const struct health *h)
{
    if (h->streak >= h->rise)
        return HEALTH_PASSING;
    if (-h->streak >= h->fall)
        return HEALTH_FAILING;
    return h->side;
}

/* Enters late and leaves late, so that flapping itself does not flap. */
static bool flaps(const struct health *h)
{
    int count = __builtin_popcount(h->turns & WINDOW);
    return count >= FLAPPING_AT || (h->state == HEALTH_FLAPPING && count > STEADY_AT);
}

bool health_feed(struct health *h, bool passed, bool excused)
{
    enum health_state before = h->state, side;

    if (!passed && excused && !h->passed)
        return false;
    h->passed = h->passed || passed;
    h->streak = next_streak(h->streak, passed);
    side = next_side(h);
    h->turns = h->turns << 1 | (h->side != HEALTH_UNKNOWN && side != h->side);
    h->side = side;
    h->state = flaps(h) ? HEALTH_FLAPPING : side;
    return h->state != before;
}

const char *health_name(enum health_state state)
{
    static const char *const names[] = {"unknown", "passing", "failing", "flapping"};
    return names[state];
}
