#include "io/io.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/err.h"
#include "core/mem.h"

int io_init(struct io *io, struct guard *guard, struct err *err)
{
    *io = (struct io){.guard = guard, .log_level = IO_LOG_INFO};
    int failure = uv_loop_init(&io->loop);
    if (failure)
        return err_set(err, "io", "cannot make an event loop: %s", uv_strerror(failure));
    return 0;
}

static void close_handle(uv_handle_t *handle, void *unused)
{
    (void)unused;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

void io_close(struct io *io)
{
    uv_run(&io->loop, UV_RUN_NOWAIT);
    uv_walk(&io->loop, close_handle, NULL); /* none is left unless something leaked */
    uv_run(&io->loop, UV_RUN_DEFAULT);
    int left = uv_loop_close(&io->loop);
    assert(left == 0);
    (void)left;
}

static void count_handle(uv_handle_t *handle, void *count)
{
    if (uv_is_active(handle) && !uv_is_closing(handle) && uv_has_ref(handle))
        ++*(int *)count;
}

int io_live(struct io *io)
{
    int count = 0;
    uv_walk(&io->loop, count_handle, &count);
    return count;
}

void io_log(struct io *io, enum io_log_level level, const char *format, ...)
{
    static const char *const names[] = {"debug", "info", "warning", "error"};
    if (level < io->log_level)
        return;
    struct timespec now;
    struct tm tm;
    char date[32];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm);
    va_list args;
    va_start(args, format);
    char *text = xvasprintf(format, args);
    va_end(args);
    fprintf(stderr, "%s.%03ldZ %s %s\n", date, now.tv_nsec / 1000000, names[level], text);
    free(text);
}
