/* log_file.h -- a file that lines are appended to, and that is rotated by size: path -> path.1 ..
 * path.<keep>. Blocking, and used by one thread at a time. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct err;

struct log_file {
    char *path; /* owned */
    uint64_t max_bytes;
    int keep;
    int fd;        /* owned; -1 while closed */
    uint64_t size; /* of the open file */
};

/* Opens or creates the file, mode 0640. */
int log_file_open(struct log_file *f, const char *path, uint64_t max_bytes, int keep,
                  struct err *err);

/* Appends whole lines, each ended by a newline, rotating between two lines where the next does not
 * fit. Returns 0 or the errno value; then some of the lines may be missing. */
int log_file_write(struct log_file *f, const char *lines, size_t len);

void log_file_close(struct log_file *f);
