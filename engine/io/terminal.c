#include "io/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "core/err.h"
#include "core/keys.h"
#include "core/mem.h"
#include "io/io.h"
#include "io/line_editor.h"
#include "io/line_history.h"
#include "io/poller.h"

#define HALF_KEY_MS 50 /* after it an ESC is the key of that name, not the beginning of another */

/* Freed when both its handles have closed. */
struct terminal {
    struct io *io;
    struct line_editor *editor;  /* owned; NULL: lines of a file or a pipe */
    struct line_history history; /* embedded */
    struct keys keys;            /* embedded: what was read and not used yet */
    struct poller_socket input;  /* descriptor 0 */
    struct poller_socket log;    /* owned: where the lines of the log come out; -1: not ours */
    int log_write;               /* owned by the log while it is the log's descriptor */
    uv_signal_t resized;         /* keeps the loop alive, too */
    uv_timer_t half_key;
    int handles;
    bool over;  /* the input has ended */
    char *text; /* owned: of the last event */
    terminal_done_fn *done;
    void *data;
};

static bool in_use; /* a process has one standard input */

/* ---- events ---- */

static void set_text(struct terminal *t, char *text, struct terminal_event *event)
{
    free(t->text);
    t->text = text;
    event->text = text;
    event->len = text ? strlen(text) : 0;
}

static const char *const said[] = {[LINE_NONE] = "", [LINE_INTERRUPT] = "^C"};

static bool take_edited(struct terminal *t, bool force, struct terminal_event *event)
{
    static const enum terminal_kind kinds[] = {[LINE_ENTERED] = TERMINAL_LINE,
                                               [LINE_TAB] = TERMINAL_TAB,
                                               [LINE_INTERRUPT] = TERMINAL_INTERRUPT,
                                               [LINE_EOF] = TERMINAL_EOF};
    enum line_event got = line_editor_feed(t->editor, &t->keys, force);
    if (got == LINE_NONE && t->over)
        got = LINE_EOF;
    if (got == LINE_NONE)
        return false;
    event->kind = kinds[got];
    set_text(t, line_editor_text(t->editor, &event->point), event);
    if (got != LINE_TAB)
        line_editor_end(t->editor, said[got == LINE_INTERRUPT ? got : LINE_NONE]);
    return true;
}

static bool take_plain(struct terminal *t, struct terminal_event *event)
{
    struct buf *b = &t->keys.bytes;
    const char *newline = b->len ? memchr(b->data, '\n', b->len) : NULL;
    size_t len = newline ? (size_t)(newline - b->data) : b->len;
    if (!newline && !t->over && b->len < KEYS_MAX)
        return false;
    event->kind = newline || (t->over && len) ? TERMINAL_LINE : TERMINAL_EOF;
    if (!newline && !t->over) {
        event->kind = TERMINAL_TOO_LONG;
        t->over = true;
    }
    set_text(t, event->kind == TERMINAL_LINE ? xstrndup(b->data, len) : NULL, event);
    buf_consume(b, newline ? len + 1 : len);
    return true;
}

static bool take(struct terminal *t, bool force, struct terminal_event *event)
{
    *event = (struct terminal_event){0};
    return t->editor ? take_edited(t, force, event) : take_plain(t, event);
}

/* ---- input ---- */

static void read_input(struct terminal *t)
{
    char *room = buf_reserve(&t->keys.bytes, 65536);
    ssize_t n = read(STDIN_FILENO, room, 65536);
    bool again = n < 0 && (errno == EINTR || errno == EAGAIN);
    t->keys.bytes.len -= (size_t)(65536 - (n > 0 ? n : 0));
    t->keys.bytes.data[t->keys.bytes.len] = '\0';
    if (n <= 0 && !again)
        t->over = true; /* a terminal that was hung up gives EIO */
}

/* What was ready may be gone: a terminal drops its input when its mode changes. */
static bool may_read(void)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll(&input, 1, 0) > 0;
}

/* What was typed before the terminal became raw. It had taken Ctrl-D for the end of the input,
 * which reads as a NUL now. */
static void read_typed_ahead(struct terminal *t)
{
    size_t before = t->keys.bytes.len;
    if (!may_read())
        return;
    read_input(t);
    for (size_t i = before; i < t->keys.bytes.len; i++)
        if (t->keys.bytes.data[i] == '\0')
            t->keys.bytes.data[i] = '\x04';
}

static void answer(struct terminal *t, const struct terminal_event *event)
{
    poller_forget(t->io, &t->input);
    uv_timer_stop(&t->half_key);
    t->done(t->data, event);
}

static void half_key_rests(uv_timer_t *timer)
{
    struct terminal *t = timer->data;
    struct terminal_event event;
    if (take(t, true, &event))
        answer(t, &event);
}

static void input_ready(struct poller_socket *s, unsigned events)
{
    struct terminal *t = (struct terminal *)((char *)s - offsetof(struct terminal, input));
    struct terminal_event event;
    (void)events;
    if (!may_read())
        return;
    read_input(t);
    if (take(t, false, &event))
        answer(t, &event);
    else if (t->editor && keys_front(&t->keys) == KEYS_HALF)
        uv_timer_start(&t->half_key, half_key_rests, HALF_KEY_MS, 0);
}

bool terminal_next(struct terminal *t, const char *prompt, struct terminal_event *ret_event)
{
    if (t->editor && line_editor_begin(t->editor, prompt))
        read_typed_ahead(t);
    if (take(t, false, ret_event)) {
        poller_forget(t->io, &t->input);
        return true;
    }
    int failure = poller_watch(t->io, &t->input, EPOLLIN);
    while (failure) { /* a file: it cannot be watched, and does not make one wait */
        read_input(t);
        if (take(t, false, ret_event))
            return true;
    }
    return false;
}

/* ---- the log ---- */

static void show_log(struct terminal *t)
{
    char text[4096];
    ssize_t n;
    while ((n = read(t->log.fd, text, sizeof text - 1)) > 0) {
        text[n] = '\0';
        line_editor_print(t->editor, text);
    }
}

static void log_ready(struct poller_socket *s, unsigned events)
{
    (void)events;
    show_log((struct terminal *)((char *)s - offsetof(struct terminal, log)));
}

/* A log that goes to the terminal would be written into the line that is edited. */
static void take_log(struct terminal *t)
{
    int ends[2];
    if (t->io->log_fd != STDERR_FILENO || !isatty(STDERR_FILENO) ||
        pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
        return;
    t->log.fd = ends[0];
    t->log.ready = log_ready;
    t->io->log_fd = t->log_write = ends[1];
    poller_watch(t->io, &t->log, EPOLLIN);
}

/* Somebody may have sent the log elsewhere, to a file with the same number. */
static bool log_is_ours(const struct terminal *t)
{
    struct stat ours, now;
    return fstat(t->log.fd, &ours) == 0 && fstat(t->io->log_fd, &now) == 0 &&
           ours.st_ino == now.st_ino && ours.st_dev == now.st_dev;
}

static void give_log_back(struct terminal *t)
{
    if (t->log.fd < 0)
        return;
    show_log(t);
    if (log_is_ours(t))
        io_log_close(t->io);
    poller_close_socket(t->io, &t->log);
}

/* ---- open and close ---- */

static void window_resized(uv_signal_t *handle, int number)
{
    struct terminal *t = handle->data;
    (void)number;
    if (t->editor)
        line_editor_resized(t->editor);
}

static void handle_closed(uv_handle_t *handle)
{
    struct terminal *t = handle->data;
    if (--t->handles == 0)
        free(t);
}

static void watch_window(struct terminal *t)
{
    t->handles = 2;
    t->resized.data = t->half_key.data = t;
    uv_signal_init(&t->io->loop, &t->resized);
    uv_signal_start(&t->resized, window_resized, SIGWINCH);
    uv_timer_init(&t->io->loop, &t->half_key);
}

static void recall(struct terminal *t)
{
    for (size_t i = 0; i < t->history.count; i++)
        line_editor_remember(t->editor, t->history.entries[i]);
}

struct terminal *terminal_open(struct io *io, const char *name, const char *history,
                               terminal_done_fn *done, void *data, struct err *err)
{
    bool edited = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    struct line_history entries;
    if (in_use) {
        err_set(err, "exists", "another reader reads the standard input; close it first");
        return NULL;
    }
    if (line_history_open(&entries, history, err) < 0)
        return NULL;
    struct line_editor *editor = edited ? line_editor_new(name, err) : NULL;
    if (edited && !editor) {
        line_history_close(&entries);
        return NULL;
    }
    struct terminal *t = xcalloc(1, sizeof *t);
    *t = (struct terminal){.io = io,
                           .editor = editor,
                           .history = entries,
                           .done = done,
                           .data = data,
                           .input = {.ready = input_ready, .fd = STDIN_FILENO},
                           .log = {.fd = -1}};
    in_use = true;
    watch_window(t);
    if (editor) {
        recall(t);
        take_log(t);
    }
    return t;
}

bool terminal_is_edited(const struct terminal *t) { return t->editor != NULL; }

void terminal_insert(struct terminal *t, const char *text, int instead)
{
    if (t->editor)
        line_editor_insert(t->editor, text, instead);
}

void terminal_print(struct terminal *t, const char *text)
{
    if (t->editor) {
        line_editor_print(t->editor, text);
        return;
    }
    fputs(text, stdout);
    fflush(stdout);
}

int terminal_remember(struct terminal *t, const char *entry, struct err *err)
{
    size_t before = t->history.count;
    int kept = line_history_add(&t->history, entry, err);
    if (kept && t->editor && (kept > 0 || t->history.count > before))
        line_editor_remember(t->editor, entry);
    return kept;
}

void terminal_close(struct terminal *t)
{
    poller_forget(t->io, &t->input);
    give_log_back(t);
    if (t->editor)
        line_editor_free(t->editor);
    t->editor = NULL;
    line_history_close(&t->history);
    buf_free(&t->keys.bytes);
    free(t->text);
    in_use = false;
    uv_close((uv_handle_t *)&t->resized, handle_closed);
    uv_close((uv_handle_t *)&t->half_key, handle_closed);
}
