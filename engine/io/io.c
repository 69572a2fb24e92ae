#include "io/io.h"

#include <assert.h>
#include <unistd.h>

#include "core/err.h"
#include "io/check.h"
#include "io/check_recent.h"
#include "io/http.h"
#include "io/poller.h"
#include "io/process.h"

int io_init(struct io *io, struct guard *guard, struct err *err)
{
    *io = (struct io){.guard = guard, .log_level = IO_LOG_INFO, .log_fd = STDERR_FILENO};
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

void io_add_closer(struct io *io, struct io_closer *closer, void (*close)(struct io_closer *))
{
    *closer = (struct io_closer){.next = io->closers, .prev = &io->closers, .close = close};
    if (closer->next)
        closer->next->prev = &closer->next;
    io->closers = closer;
}

void io_remove_closer(struct io_closer *closer)
{
    if (!closer->prev)
        return;
    *closer->prev = closer->next;
    if (closer->next)
        closer->next->prev = closer->prev;
    closer->prev = NULL;
}

static void close_closers(struct io *io)
{
    while (io->closers) {
        struct io_closer *closer = io->closers;
        io_remove_closer(closer);
        closer->close(closer);
    }
}

void io_close(struct io *io)
{
    close_closers(io);
    checks_close(io);
    check_recent_close(io);
    http_close(io);
    process_close(io);
    poller_close(io);
    uv_run(&io->loop, UV_RUN_NOWAIT);
    uv_walk(&io->loop, close_handle, NULL); /* none is left unless something leaked */
    uv_run(&io->loop, UV_RUN_DEFAULT);
    int left = uv_loop_close(&io->loop);
    assert(left == 0);
    (void)left;
    io_log_close(io);
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
