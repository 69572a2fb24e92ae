#include "io/http_multi.h"

#include <stdlib.h>
#include <uv.h>

#include "core/err.h"
#include "core/mem.h"
#include "io/http.h"
#include "io/io.h"

#define KEPT_CONNECTIONS 8L /* each costs its buffers; only `reuse` keeps any */

/* Owned by the loop: freed when its timer has closed. */
struct http_multi {
    CURLM *curl; /* owned */
    uv_timer_t timer;
    struct io *io; /* borrowed */
    struct http_transfer *touched;
};

/* One socket of libcurl's. Owned by the loop: freed when its handle has closed. */
struct http_socket {
    uv_poll_t poll;
    struct http_multi *multi; /* borrowed */
    curl_socket_t fd;
};

static void finish_ended(struct http_multi *m)
{
    CURLMsg *message;
    int left;
    while ((message = libcurl.multi_info_read(m->curl, &left))) {
        struct http_transfer *t;
        CURLcode code = message->data.result;
        libcurl.easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&t);
        libcurl.multi_remove_handle(m->curl, t->easy);
        t->multi = NULL;
        t->done(t, code);
    }
}

static void unlink_touched(struct http_transfer *t)
{
    if (!t->prev)
        return;
    *t->prev = t->next;
    if (t->next)
        t->next->prev = t->prev;
    t->next = NULL;
    t->prev = NULL;
}

static void tell_touched(struct http_multi *m)
{
    while (m->touched) {
        struct http_transfer *t = m->touched;
        unlink_touched(t);
        t->touched(t);
    }
}

static void act(struct http_multi *m, curl_socket_t fd, int events)
{
    int running;
    libcurl.multi_socket_action(m->curl, fd, events, &running);
    finish_ended(m);
    tell_touched(m);
}

static void socket_ready(uv_poll_t *poll, int status, int events)
{
    struct http_socket *s = poll->data;
    int flags = status < 0 ? CURL_CSELECT_ERR : 0;
    flags |= events & UV_READABLE ? CURL_CSELECT_IN : 0;
    flags |= events & UV_WRITABLE ? CURL_CSELECT_OUT : 0;
    act(s->multi, s->fd, flags);
}

static void timer_due(uv_timer_t *timer) { act(timer->data, CURL_SOCKET_TIMEOUT, 0); }

static void free_socket(uv_handle_t *poll) { free(poll->data); }

static struct http_socket *add_socket(struct http_multi *m, curl_socket_t fd)
{
    struct http_socket *s = xcalloc(1, sizeof *s);
    *s = (struct http_socket){.multi = m, .fd = fd};
    if (uv_poll_init(&m->io->loop, &s->poll, fd) < 0) {
        free(s);
        return NULL;
    }
    s->poll.data = s;
    libcurl.multi_assign(m->curl, fd, s);
    return s;
}

static int socket_wanted(CURL *easy, curl_socket_t fd, int what, void *multi, void *socket)
{
    struct http_multi *m = multi;
    struct http_socket *s = socket;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (s)
            uv_close((uv_handle_t *)&s->poll, free_socket);
        libcurl.multi_assign(m->curl, fd, NULL);
        return 0;
    }
    if (!s && !(s = add_socket(m, fd)))
        return -1;
    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    uv_poll_start(&s->poll, events, socket_ready);
    return 0;
}

static int timer_wanted(CURLM *curl, long timeout_ms, void *multi)
{
    struct http_multi *m = multi;
    (void)curl;
    if (timeout_ms < 0)
        uv_timer_stop(&m->timer);
    else
        uv_timer_start(&m->timer, timer_due, (uint64_t)timeout_ms, 0);
    return 0;
}

static void configure(struct http_multi *m)
{
    libcurl.multi_setopt(m->curl, CURLMOPT_SOCKETFUNCTION, socket_wanted);
    libcurl.multi_setopt(m->curl, CURLMOPT_SOCKETDATA, m);
    libcurl.multi_setopt(m->curl, CURLMOPT_TIMERFUNCTION, timer_wanted);
    libcurl.multi_setopt(m->curl, CURLMOPT_TIMERDATA, m);
    libcurl.multi_setopt(m->curl, CURLMOPT_MAXCONNECTS, KEPT_CONNECTIONS);
    libcurl.multi_setopt(m->curl, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
}

static struct http_multi *multi_of(struct io *io)
{
    if (io->http)
        return io->http;
    libcurl.global_init(
        CURL_GLOBAL_NOTHING); /* counted: a host's own use of libcurl is not disturbed */
    struct http_multi *m = xcalloc(1, sizeof *m);
    m->io = io;
    m->curl = libcurl.multi_init();
    if (!m->curl)
        abort();
    uv_timer_init(&io->loop, &m->timer);
    uv_unref((uv_handle_t *)&m->timer); /* the operations keep the loop alive */
    m->timer.data = m;
    configure(m);
    return io->http = m;
}

int http_multi_add(struct io *io, struct http_transfer *t, struct err *err)
{
    struct http_multi *m = multi_of(io);
    libcurl.easy_setopt(t->easy, CURLOPT_PRIVATE, t);
    CURLMcode code = libcurl.multi_add_handle(m->curl, t->easy);
    if (code != CURLM_OK)
        return err_set(err, "io", "cannot start the transfer: %s", libcurl.multi_strerror(code));
    t->multi = m;
    return 0;
}

void http_multi_remove(struct http_transfer *t)
{
    unlink_touched(t);
    if (t->multi)
        libcurl.multi_remove_handle(t->multi->curl, t->easy);
    t->multi = NULL;
}

void http_multi_touch(struct io *io, struct http_transfer *t)
{
    struct http_multi *m = multi_of(io);
    if (t->prev)
        return;
    t->next = m->touched;
    t->prev = &m->touched;
    if (t->next)
        t->next->prev = &t->next;
    m->touched = t;
}

static void free_multi(uv_handle_t *timer) { free(timer->data); }

void http_close(struct io *io)
{
    struct http_multi *m = io->http;
    if (!m)
        return;
    io->http = NULL;
    libcurl.multi_cleanup(m->curl);
    uv_close((uv_handle_t *)&m->timer, free_multi);
    libcurl.global_cleanup();
}
