#include "file_stamp.h"

#include <time.h>

#define GRAIN_MS 50 /* two writes within it may bear the same time */

static long long ms_of(struct timespec at)
{
    return (long long)at.tv_sec * 1000 + at.tv_nsec / 1000000;
}

struct file_stamp file_stamp(const char *path)
{
    struct file_stamp stamp = {0};
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (stat(path, &stamp.st) < 0)
        stamp.st = (struct stat){0};
    long long age = ms_of(now) - ms_of(stamp.st.st_ctim);
    stamp.settled = age > GRAIN_MS;
    return stamp;
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool file_stamp_holds(const struct file_stamp *then, const struct file_stamp *now)
{
    const struct stat *a = &then->st, *b = &now->st;
    return then->settled && a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
           a->st_size == b->st_size && same_time(a->st_mtim, b->st_mtim) &&
           same_time(a->st_ctim, b->st_ctim);
}
