/* file_stamp.h -- whether a file must be read again. */
#pragma once
#include <stdbool.h>
#include <sys/stat.h>

struct file_stamp {
    struct stat st; /* zeroes if there is no such file */
    bool settled;   /* it was older than the clock's grain when we looked */
};

struct file_stamp file_stamp(const char *path);

/* Whether what was read after `then` was taken is what a reading now would give. */
bool file_stamp_holds(const struct file_stamp *then, const struct file_stamp *now);
