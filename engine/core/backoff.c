#include "core/backoff.h"

#include <string.h>

static uint64_t factor(enum backoff_kind kind, unsigned attempt)
{
    switch (kind) {
    case BACKOFF_EXPONENTIAL:
        return attempt < 63 ? (uint64_t)1 << attempt : (uint64_t)1 << 63;
    case BACKOFF_LINEAR:
        return (uint64_t)attempt + 1;
    default:
        return 1;
    }
}

uint64_t backoff_ms(const struct backoff *b, unsigned attempt, double chance)
{
    uint64_t delay, times = factor(b->kind, attempt);
    if (__builtin_mul_overflow(b->first_ms, times, &delay) || delay > b->max_ms)
        delay = b->max_ms;
    return delay - (uint64_t)((double)delay * b->jitter * chance);
}

enum backoff_kind backoff_kind_of(const char *name)
{
    static const char *const names[] = {"exponential", "linear", "constant"};
    for (int i = 0; i < BACKOFF_KINDS; i++)
        if (strcmp(names[i], name) == 0)
            return (enum backoff_kind)i;
    return BACKOFF_KINDS;
}
