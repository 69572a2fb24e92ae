#include "core/stamp.h"

#include <stdio.h>

#include "core/buf.h"

void stamp_format(char out[STAMP_SIZE], time_t seconds, int milliseconds)
{
    struct tm tm;
    gmtime_r(&seconds, &tm);
    size_t len = strftime(out, STAMP_SIZE, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + len, STAMP_SIZE - len, ".%03dZ", milliseconds);
}

void stamp_now(struct buf *b)
{
    char text[STAMP_SIZE];
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    stamp_format(text, now.tv_sec, (int)(now.tv_nsec / 1000000));
    buf_puts(b, text);
}
