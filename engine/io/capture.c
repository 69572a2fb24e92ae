#include "io/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/mem.h"
#include "core/stamp.h"
#include "io/io.h"
#include "io/log_file.h"

#define READ_BYTES 65536
#define BACKLOG_BYTES                                                                              \
    (1u << 20) /* lines not yet handed to the writer: then the service is held back */
#define TAIL_LINES 200
#define TAIL_BYTES 65536

struct source {
    uv_pipe_t pipe;
    const char *name;
    struct buf line; /* the line that has not ended yet */
    bool open;
};

struct tail_line {
    char *text; /* owned */
    size_t len;
};

/* Freed when its handles have closed and the writer is idle. */
struct capture {
    struct io *io;
    struct source sources[2];
    uv_timer_t timer;
    struct log_file file; /* embedded; the writer's while `writing` */
    bool has_file, writing, held, dropping, finishing, closing, warned, last_look;
    struct buf backlog, chunk; /* chunk is the writer's */
    uint64_t dropped;          /* lines, not yet told in the log */
    int failure;               /* errno of the last write */
    uv_work_t work;
    atomic_bool
        written; /* by the writer: the chunk is done with, though the loop may not know yet */
    struct tail_line *tail; /* owned: TAIL_LINES of them once there is a line */
    size_t tail_first, tail_count, tail_bytes;
    void (*done)(void *data);
    void *data;
    char *needle; /* owned; NULL once it was found */
    void (*found)(void *data);
    void *found_data;
    int handles;
};

static void write_more(struct capture *c);

/* ---- the end ---- */

static void free_if_idle(struct capture *c)
{
    if (c->handles || c->writing)
        return;
    for (size_t i = 0; i < c->tail_count; i++)
        free(c->tail[(c->tail_first + i) % TAIL_LINES].text);
    free(c->tail);
    if (c->has_file)
        log_file_close(&c->file);
    for (int i = 0; i < 2; i++)
        buf_free(&c->sources[i].line);
    buf_free(&c->backlog);
    buf_free(&c->chunk);
    free(c->needle);
    free(c);
}

static void handle_closed(uv_handle_t *handle)
{
    struct capture *c = handle->data;
    c->handles--;
    if (c->closing)
        free_if_idle(c);
}

static void close_source(struct source *s)
{
    if (!s->open)
        return;
    s->open = false;
    uv_close((uv_handle_t *)&s->pipe, handle_closed);
}

static void tell_done(struct capture *c)
{
    void (*done)(void *) = c->done;
    c->done = NULL;
    uv_timer_stop(&c->timer);
    if (c->has_file && !c->writing) {
        log_file_close(&c->file);
        c->has_file = false;
    }
    if (done)
        done(c->data);
}

static void finish_if_drained(struct capture *c)
{
    bool read = !c->sources[0].open && !c->sources[1].open;
    if (c->finishing && read && !c->writing && !c->backlog.len)
        tell_done(c);
}

/* ---- lines ---- */

static void drop_oldest(struct capture *c)
{
    struct tail_line *line = &c->tail[c->tail_first];
    c->tail_bytes -= line->len;
    free(line->text);
    c->tail_first = (c->tail_first + 1) % TAIL_LINES;
    c->tail_count--;
}

static void keep_in_tail(struct capture *c, const char *text, size_t len)
{
    if (!c->tail)
        c->tail = xcalloc(TAIL_LINES, sizeof *c->tail);
    if (c->tail_count == TAIL_LINES)
        drop_oldest(c);
    while (c->tail_count && c->tail_bytes + len > TAIL_BYTES)
        drop_oldest(c);
    c->tail[(c->tail_first + c->tail_count++) % TAIL_LINES] =
        (struct tail_line){xstrndup(text, len), len};
    c->tail_bytes += len;
}

static void tell_dropped(struct capture *c)
{
    if (!c->dropped)
        return;
    stamp_now(&c->backlog);
    buf_printf(&c->backlog,
               " err orrery: %llu lines are missing here: the disk was too slow or full\n",
               (unsigned long long)c->dropped);
    c->dropped = 0;
}

static void look_for_needle(struct capture *c, const char *text, size_t len)
{
    if (!c->needle || !memmem(text, len, c->needle, strlen(c->needle)))
        return;
    free(c->needle);
    c->needle = NULL;
    c->found(c->found_data);
}

static void put_line(struct capture *c, const char *name, const char *text, size_t len)
{
    struct buf line = {0};
    if (len && text[len - 1] == '\r')
        len--;
    stamp_now(&line);
    buf_printf(&line, " %s ", name);
    buf_append(&line, text, len);
    keep_in_tail(c, line.data, line.len);
    buf_puts(&line, "\n");
    if (c->has_file && c->dropping && c->backlog.len >= BACKLOG_BYTES)
        c->dropped++;
    else if (c->has_file)
        buf_append(&c->backlog, line.data, line.len);
    buf_free(&line);
    look_for_needle(c, text, len);
}

/* Splits what was read, together with the line that an earlier read began. */
static void split(struct capture *c, struct source *s, const char *text, size_t len)
{
    while (len) {
        const char *end = memchr(text, '\n', len);
        size_t part = end ? (size_t)(end - text) : len;
        bool cut = s->line.len + part > CAPTURE_LINE;
        if (cut)
            part = CAPTURE_LINE - s->line.len;
        buf_append(&s->line, text, part);
        if (end || cut) {
            put_line(c, s->name, s->line.data, s->line.len);
            s->line.len = 0;
        }
        size_t used = part + (end && !cut ? 1 : 0);
        text += used;
        len -= used;
    }
}

/* ---- reading ---- */

static void give_space(uv_handle_t *pipe, size_t suggested, uv_buf_t *ret)
{
    (void)pipe;
    (void)suggested;
    *ret = uv_buf_init(xmalloc(READ_BYTES), READ_BYTES);
}

static void on_read(uv_stream_t *pipe, ssize_t n, const uv_buf_t *buf);

static void read_on(struct capture *c)
{
    c->held = false;
    for (int i = 0; i < 2; i++)
        if (c->sources[i].open)
            uv_read_start((uv_stream_t *)&c->sources[i].pipe, give_space, on_read);
}

/* Gives the writer some time to catch up; after that lines are dropped rather than the service held
 * back for longer. */
static void hold_back(struct capture *c)
{
    if (c->held || c->dropping || c->backlog.len < BACKLOG_BYTES)
        return;
    c->held = true;
    for (int i = 0; i < 2; i++)
        if (c->sources[i].open)
            uv_read_stop((uv_stream_t *)&c->sources[i].pipe);
    uv_update_time(&c->io->loop); /* splitting what was read may have taken a while */
    if (!c->finishing)
        uv_timer_again(&c->timer);
}

static void end_source(struct capture *c, struct source *s)
{
    if (s->line.len)
        put_line(c, s->name, s->line.data, s->line.len);
    s->line.len = 0;
    close_source(s);
}

static void on_read(uv_stream_t *pipe, ssize_t n, const uv_buf_t *buf)
{
    struct source *s = (struct source *)pipe;
    struct capture *c = pipe->data;
    if (n > 0)
        split(c, s, buf->base, (size_t)n);
    else if (n < 0)
        end_source(c, s);
    free(buf->base);
    write_more(c);
    hold_back(c);
    finish_if_drained(c);
}

/* ---- writing ---- */

static void write_chunk(uv_work_t *work)
{
    struct capture *c = work->data;
    c->failure = log_file_write(&c->file, c->chunk.data, c->chunk.len);
    atomic_store(&c->written, true);
}

static void warn_of_failure(struct capture *c)
{
    if (c->failure && !c->warned)
        io_log(c->io, IO_LOG_WARNING,
               "cannot write the log %s: %s; its lines are lost until that works", c->file.path,
               strerror(c->failure));
    c->warned = c->failure != 0;
}

static uint64_t count_lines(const struct buf *b)
{
    uint64_t count = 0;
    for (size_t i = 0; i < b->len; i++)
        count += b->data[i] == '\n';
    return count;
}

static void on_written(uv_work_t *work, int status)
{
    struct capture *c = work->data;
    (void)status;
    c->writing = false;
    if (c->failure)
        c->dropped += count_lines(&c->chunk);
    warn_of_failure(c);
    c->chunk.len = 0;
    c->dropping = false;
    write_more(c);
    if (c->held && c->backlog.len < BACKLOG_BYTES) {
        if (!c->finishing)
            uv_timer_stop(&c->timer);
        if (!c->closing)
            read_on(c);
    }
    finish_if_drained(c);
    if (c->closing)
        free_if_idle(c);
}

static void write_more(struct capture *c)
{
    if (c->writing || !c->backlog.len)
        return;
    tell_dropped(c);
    struct buf empty = c->chunk;
    c->chunk = c->backlog;
    c->backlog = empty;
    c->work.data = c;
    atomic_store(&c->written, false);
    c->writing = uv_queue_work(&c->io->loop, &c->work, write_chunk, on_written) == 0;
}

/* ---- opening ---- */

static void on_timer(uv_timer_t *timer)
{
    struct capture *c = timer->data;
    bool open = c->sources[0].open || c->sources[1].open;
    if (c->finishing && open && !c->last_look) {
        c->last_look = true; /* the loop may have been late: what is in the pipes is read first */
        read_on(c);
        uv_timer_start(timer, on_timer, 1, 0);
    } else if (c->finishing && open) {
        end_source(c, &c->sources[0]);
        end_source(c, &c->sources[1]);
        write_more(c);
        uv_timer_start(timer, on_timer, CAPTURE_HOLD_MS, 0);
        finish_if_drained(c);
    } else if (c->finishing) {
        tell_done(c);
    } else if (!atomic_load(&c->written)) { /* else it is the loop that was late, not the disk */
        uv_timer_stop(timer);
        c->dropping = true;
        read_on(c);
    }
}

static int open_source(struct capture *c, int which, int *ret_fd)
{
    static const char *const names[] = {"out", "err"};
    struct source *s = &c->sources[which];
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -1;
    s->name = names[which];
    s->open = true;
    s->pipe.data = c;
    c->handles++;
    uv_pipe_init(&c->io->loop, &s->pipe, 0);
    uv_pipe_open(&s->pipe, ends[0]);
    *ret_fd = ends[1];
    return 0;
}

static int open_parts(struct capture *c, const struct capture_spec *spec, int fds[2],
                      struct err *err)
{
    if (spec->path && log_file_open(&c->file, spec->path, spec->max_bytes, spec->keep, err) < 0)
        return -1;
    c->has_file = spec->path != NULL;
    for (int i = 0; i < 2; i++)
        if (open_source(c, i, &fds[i]) < 0)
            return err_errno(err, errno, "cannot make a pipe for the output");
    return 0;
}

struct capture *capture_open(struct io *io, const struct capture_spec *spec, int *ret_out,
                             int *ret_err, struct err *err)
{
    struct capture *c = xcalloc(1, sizeof *c);
    int fds[2] = {-1, -1};
    c->io = io;
    c->needle = spec->needle ? xstrdup(spec->needle) : NULL;
    c->found = spec->found;
    c->found_data = spec->data;
    c->timer.data = c;
    c->handles = 1;
    uv_timer_init(&io->loop, &c->timer);
    uv_timer_start(&c->timer, on_timer, CAPTURE_HOLD_MS, CAPTURE_HOLD_MS);
    uv_timer_stop(&c->timer);
    if (open_parts(c, spec, fds, err) < 0) {
        for (int i = 0; i < 2; i++)
            if (fds[i] >= 0)
                close(fds[i]);
        capture_close(c);
        return NULL;
    }
    read_on(c);
    *ret_out = fds[0];
    *ret_err = fds[1];
    return c;
}

void capture_finish(struct capture *c, void (*done)(void *data), void *data)
{
    c->finishing = true;
    c->done = done;
    c->data = data;
    uv_update_time(&c->io->loop);
    uv_timer_start(&c->timer, on_timer, CAPTURE_HOLD_MS, 0);
    if (!c->sources[0].open && !c->sources[1].open && !c->writing && !c->backlog.len)
        uv_timer_start(&c->timer, on_timer, 0, 0); /* told from the loop */
}

size_t capture_count(const struct capture *c) { return c->tail_count; }

const char *capture_line(const struct capture *c, size_t index, size_t *ret_len)
{
    const struct tail_line *line = &c->tail[(c->tail_first + index) % TAIL_LINES];
    *ret_len = line->len;
    return line->text;
}

void capture_close(struct capture *c)
{
    c->closing = true;
    c->done = NULL;
    c->finishing = false;
    for (int i = 0; i < 2; i++)
        if (c->sources[i].open)
            end_source(c, &c->sources[i]);
    write_more(c);
    uv_close((uv_handle_t *)&c->timer, handle_closed);
}
