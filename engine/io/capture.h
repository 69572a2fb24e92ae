/* capture.h -- what a service writes: line by line into its log, the last lines kept in memory.
 *
 * A line of the log is "<RFC 3339 time, ms> <out|err> <text>". The file is written by a worker
 * thread; when that cannot keep up the service is held back for at most CAPTURE_HOLD_MS, then lines
 * are dropped and the log says how many. Nothing is dropped because a service ended. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct capture;
struct err;
struct io;

#define CAPTURE_LINE 65536 /* longer lines are split */
#define CAPTURE_HOLD_MS 1000

struct capture_spec {
    const char *path; /* NULL: no file, only the tail */
    uint64_t max_bytes;
    int keep;
    const char *needle; /* NULL, or a text: found(data) is called once, at the first line with it */
    void (*found)(void *data);
    void *data;
};

/* Makes the pipes and opens the log. ret_out and ret_err are the ends for the service: the caller
 * closes them. NULL with `err` set if that failed. */
struct capture *capture_open(struct io *io, const struct capture_spec *spec, int *ret_out,
                             int *ret_err, struct err *err);

/* Calls done(data), from the loop, when all that was written has been read (up to CAPTURE_HOLD_MS
 * for someone beyond reach who holds the pipe open) and is in the log (as long again). */
void capture_finish(struct capture *c, void (*done)(void *data), void *data);

/* The number of kept lines, and one of them: 0 is the oldest. No newline; valid until the loop
 * runs. */
size_t capture_count(const struct capture *c);
const char *capture_line(const struct capture *c, size_t index, size_t *ret_len);

/* Frees it once its handles have closed. What is not yet in the log is still written. */
void capture_close(struct capture *c);
