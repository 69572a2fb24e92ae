#include "io/graph_file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/err.h"
#include "core/graph.h"
#include "core/graph_read.h"
#include "core/mem.h"
#include "io/io.h"

#define CHUNK ((size_t)256 * 1024)
#define LOOK_UP_MS 100 /* how often a read from a silent pipe looks whether it was cancelled */

/* Owned by the loop: freed when its work is done. */
struct graph_file {
    uv_work_t work;
    char *path; /* owned */
    uint64_t max;
    graph_file_fn *done; /* NULL: cancelled */
    void *data;
    atomic_bool stop;
    struct graph *graph; /* owned until `done` has it */
    struct err err;
};

static const char *shown_path(const struct graph_file *f)
{
    return strcmp(f->path, "-") == 0 ? "standard input" : f->path;
}

/* Waits for bytes and reads some. 0: the end, or cancelled. */
static ssize_t read_some(struct graph_file *f, int fd, char *chunk)
{
    for (;;) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        if (atomic_load(&f->stop))
            return 0;
        if (poll(&wait, 1, LOOK_UP_MS) == 0)
            continue;
        ssize_t got = read(fd, chunk, CHUNK);
        if (got >= 0 || (errno != EINTR && errno != EAGAIN))
            return got;
    }
}

static int read_all(struct graph_file *f, struct graph_reader *r, int fd, char *chunk)
{
    uint64_t total = 0;
    ssize_t got;
    while ((got = read_some(f, fd, chunk)) > 0) {
        total += (uint64_t)got;
        if (total > f->max)
            return err_set(&f->err, "invalid", "%s is longer than %llu bytes", shown_path(f),
                           (unsigned long long)f->max);
        if (graph_reader_feed(r, chunk, (size_t)got, &f->err) < 0)
            return -1;
    }
    if (got < 0)
        return err_errno(&f->err, errno, "cannot read %s", shown_path(f));
    return graph_reader_end(r, &f->err);
}

static void read_open(struct graph_file *f, int fd)
{
    struct graph_reader reader;
    char *chunk = xmalloc(CHUNK);
    f->graph = graph_new();
    graph_reader_init(&reader, f->graph, shown_path(f));
    if (read_all(f, &reader, fd, chunk) < 0) {
        graph_free(f->graph);
        f->graph = NULL;
    }
    graph_reader_close(&reader);
    free(chunk);
}

/* In a thread of the loop's pool: only this operation's own memory. */
static void run(uv_work_t *work)
{
    struct graph_file *f = work->data;
    bool is_input = strcmp(f->path, "-") == 0;
    int fd = is_input ? STDIN_FILENO : open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        err_errno(&f->err, errno, "cannot read %s", f->path);
        return;
    }
    read_open(f, fd);
    if (!is_input)
        close(fd);
}

static void finish(uv_work_t *work, int status)
{
    (void)status;
    struct graph_file *f = work->data;
    if (f->done)
        f->done(f->data, f->graph, &f->err);
    else
        graph_free(f->graph);
    err_clear(&f->err);
    free(f->path);
    free(f);
}

struct graph_file *graph_file_read(struct io *io, const char *path, uint64_t max,
                                   graph_file_fn *done, void *data)
{
    struct graph_file *f = xcalloc(1, sizeof *f);
    f->work.data = f;
    f->path = xstrdup(path);
    f->max = max;
    f->done = done;
    f->data = data;
    uv_queue_work(&io->loop, &f->work, run, finish);
    return f;
}

void graph_file_cancel(struct graph_file *f)
{
    f->done = NULL;
    atomic_store(&f->stop, true);
    uv_cancel((uv_req_t *)&f->work);
}
