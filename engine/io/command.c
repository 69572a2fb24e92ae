#include "io/command.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <uv.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/mem.h"
#include "io/io.h"
#include "io/process.h"

#define DEFAULT_OUTPUT 65536
#define LINGER_MS 500 /* for the end of output, if someone beyond reach holds the pipe open */

enum { STREAM_IN, STREAM_OUT, STREAM_ERR, STREAMS };

struct stream {
    uv_pipe_t pipe;
    bool open; /* initialised and not yet closed */
    struct buf kept;
};

/* Freed when its last handle has closed. */
struct command {
    struct io *io;
    struct process *process; /* borrowed; NULL unless it is starting or running */
    struct stream streams[STREAMS];
    uv_timer_t timer;
    uv_write_t write;
    char *input; /* owned */
    size_t input_len, max_output;
    int status;
    bool exited, timed_out, last_look;
    struct err err;        /* why it could not start */
    command_done_fn *done; /* NULL once called or cancelled */
    void *data;
    int handles; /* not yet closed */
};

static void release(struct command *c)
{
    if (--c->handles > 0)
        return;
    for (int i = 0; i < STREAMS; i++)
        buf_free(&c->streams[i].kept);
    err_clear(&c->err);
    free(c->input);
    free(c);
}

static void handle_closed(uv_handle_t *handle) { release(handle->data); }

static void close_stream(struct stream *s)
{
    if (!s->open)
        return;
    s->open = false;
    uv_close((uv_handle_t *)&s->pipe, handle_closed);
}

/* The one way out of every state. */
static void stop(struct command *c)
{
    if (c->process)
        process_abandon(c->process);
    c->process = NULL;
    c->done = NULL;
    for (int i = 0; i < STREAMS; i++)
        close_stream(&c->streams[i]);
    uv_close((uv_handle_t *)&c->timer, handle_closed);
}

static void keep_tail(struct command *c, struct buf *kept)
{
    if (kept->len > c->max_output)
        buf_consume(kept, kept->len - c->max_output);
}

static void describe(struct command *c, struct command_result *ret)
{
    struct buf *out = &c->streams[STREAM_OUT].kept, *errors = &c->streams[STREAM_ERR].kept;
    keep_tail(c, out);
    keep_tail(c, errors);
    *ret = (struct command_result){.exit_code = -1,
                                   .timed_out = c->timed_out,
                                   .out = out->data ? out->data : "",
                                   .out_len = out->len,
                                   .errors = errors->data ? errors->data : "",
                                   .errors_len = errors->len,
                                   .err = c->err.code ? &c->err : NULL};
    if (c->timed_out)
        ret->signal = SIGKILL;
    else if (WIFEXITED(c->status))
        ret->exit_code = WEXITSTATUS(c->status);
    else
        ret->signal = WTERMSIG(c->status);
}

static void finish(struct command *c)
{
    struct command_result result;
    command_done_fn *done = c->done;
    describe(c, &result);
    c->done = NULL;
    done(c->data, &result);
    stop(c);
}

static void finish_if_drained(struct command *c)
{
    if (c->exited && !c->streams[STREAM_OUT].open && !c->streams[STREAM_ERR].open)
        finish(c);
}

/* ---- output and input ---- */

/* Reads into the kept text itself. It may grow to twice the bound before its head is dropped. */
static void give_space(uv_handle_t *pipe, size_t suggested, uv_buf_t *ret)
{
    struct stream *s = (struct stream *)pipe;
    struct command *c = pipe->data;
    size_t room = suggested < 16384 ? suggested : 16384;
    (void)c;
    if (s->kept.cap < s->kept.len + room + 1) {
        s->kept.cap = 2 * s->kept.len + room + 1;
        s->kept.data = xrealloc(s->kept.data, s->kept.cap);
    }
    *ret = uv_buf_init(s->kept.data + s->kept.len, (unsigned)room);
}

static void on_output(uv_stream_t *pipe, ssize_t n, const uv_buf_t *unused)
{
    struct stream *s = (struct stream *)pipe;
    struct command *c = pipe->data;
    (void)unused;
    if (n > 0)
        s->kept.len += (size_t)n;
    if (s->kept.data)
        s->kept.data[s->kept.len] = '\0';
    if (s->kept.len > 2 * c->max_output)
        keep_tail(c, &s->kept);
    if (n >= 0)
        return;
    close_stream(s);
    finish_if_drained(c);
}

static void on_written(uv_write_t *write, int status)
{
    struct command *c = write->data;
    (void)status; /* a program need not read its input */
    close_stream(&c->streams[STREAM_IN]);
}

static void feed(struct command *c)
{
    uv_buf_t part = uv_buf_init(c->input, (unsigned)c->input_len);
    c->write.data = c;
    if (uv_write(&c->write, (uv_stream_t *)&c->streams[STREAM_IN].pipe, &part, 1, on_written) < 0)
        close_stream(&c->streams[STREAM_IN]);
}

/* ---- the process ---- */

static void on_started(void *data, const struct err *err)
{
    struct command *c = data;
    if (!err)
        return;
    c->process = NULL;
    err_set(&c->err, err->code, "%s", err->message);
    finish(c);
}

static void on_timeout(uv_timer_t *timer)
{
    struct command *c = timer->data;
    if (c->exited && !c->last_look) {
        c->last_look = true; /* the loop may have been late: what is in the pipes is read first */
        uv_timer_start(timer, on_timeout, 1, 0);
        return;
    }
    c->timed_out = !c->exited && !c->err.code;
    finish(c);
}

static void on_exited(void *data, int status)
{
    struct command *c = data;
    c->process = NULL;
    c->exited = true;
    c->status = status == PROCESS_UNKNOWN ? SIGKILL : status;
    uv_update_time(&c->io->loop);
    uv_timer_start(&c->timer, on_timeout, LINGER_MS, 0);
    finish_if_drained(c);
}

static const struct process_calls calls = {on_started, on_exited};

/* ---- starting ---- */

/* Makes our end of a pipe part of the loop, and returns the child's; -1 with errno. */
static int open_stream(struct command *c, int which)
{
    struct stream *s = &c->streams[which];
    int ends[2]; /* read, write */
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    int ours = which == STREAM_IN ? 1 : 0;
    uv_pipe_init(&c->io->loop, &s->pipe, 0);
    s->pipe.data = c;
    s->open = true;
    c->handles++;
    uv_pipe_open(&s->pipe, ends[ours]);
    if (which != STREAM_IN)
        uv_read_start((uv_stream_t *)&s->pipe, give_space, on_output);
    return ends[!ours];
}

static bool open_streams(struct command *c, int fds[STREAMS])
{
    for (int i = 0; i < STREAMS; i++) {
        if (i == STREAM_IN && !c->input)
            continue;
        fds[i] = open_stream(c, i);
        if (fds[i] < 0)
            return false;
    }
    return true;
}

static void launch(struct command *c, const struct command_spec *spec)
{
    int fds[STREAMS] = {-1, -1, -1};
    if (!open_streams(c, fds))
        err_errno(&c->err, errno, "cannot start %s: cannot make a pipe", spec->argv[0]);
    else
        c->process = process_start(c->io,
                                   &(struct process_spec){.argv = spec->argv,
                                                          .env = spec->env,
                                                          .cwd = spec->cwd,
                                                          .user = spec->user,
                                                          .group = spec->group,
                                                          .umask = -1,
                                                          .death_signal = SIGKILL,
                                                          .in_fd = fds[STREAM_IN],
                                                          .out_fd = fds[STREAM_OUT],
                                                          .err_fd = fds[STREAM_ERR]},
                                   &calls, c, &c->err);
    for (int i = 0; i < STREAMS; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

struct command *command_start(struct io *io, const struct command_spec *spec, command_done_fn *done,
                              void *data)
{
    struct command *c = xcalloc(1, sizeof *c);
    c->io = io;
    c->done = done;
    c->data = data;
    c->handles = 1;
    c->max_output = spec->max_output ? spec->max_output : DEFAULT_OUTPUT;
    if (spec->input) {
        c->input = xstrndup(spec->input, spec->input_len);
        c->input_len = spec->input_len;
    }
    c->timer.data = c;
    uv_update_time(&io->loop);
    uv_timer_init(&io->loop, &c->timer);
    launch(c, spec);
    if (!c->process)
        uv_timer_start(&c->timer, on_timeout, 0, 0); /* the failure is told from the loop */
    else if (spec->timeout_ms)
        uv_timer_start(&c->timer, on_timeout, spec->timeout_ms, 0);
    if (c->process && c->input)
        feed(c);
    return c;
}

void command_cancel(struct command *c) { stop(c); }
