#include "io/http_multi.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "core/err.h"
#include "core/mem.h"
#include "io/io.h"
#include "io/poller.h"

#define NEVER UINT64_MAX
#define KEPT_CONNECTIONS 256L /* as many as checks run at once; only `reuse` keeps any */

/* Owned by the loop: freed when its timer has closed. */
struct http_multi {
    CURLM *curl; /* owned */
    uv_timer_t timer;
    uint64_t due_ms; /* when libcurl wants to be called, in the loop's time; NEVER */
    struct io *io;   /* borrowed */
    struct http_transfer *touched;
    struct http_socket **sockets; /* owned: by descriptor */
    int socket_cap;
};

/* One socket of libcurl's: it is opened and closed through us. Owned by the multi. */
struct http_socket {
    struct poller_socket poll; /* first: the socket is what is polled */
    struct http_multi *multi;  /* borrowed */
    bool wanted;               /* else only what is left of a transfer: nothing is told of it */
};

static void finish_ended(struct http_multi *m)
{
    CURLMsg *message;
    int left;
    while ((message = libcurl.multi_info_read(m->curl, &left))) {
        struct http_transfer *t;
        CURLcode code = message->data.result;
        libcurl.easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&t);
        if (!t->stays || code != CURLE_OK) {
            libcurl.multi_remove_handle(m->curl, t->easy);
            t->multi = NULL;
        }
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

static void arm(struct http_multi *m);

static void timer_due(uv_timer_t *timer)
{
    struct http_multi *m = timer->data;
    if (m->due_ms > uv_now(timer->loop)) {
        arm(m);
        return;
    }
    m->due_ms = NEVER;
    act(m, CURL_SOCKET_TIMEOUT, 0);
}

static void arm(struct http_multi *m)
{
    if (m->due_ms != NEVER)
        uv_timer_start(&m->timer, timer_due, m->due_ms - uv_now(&m->io->loop), 0);
}

/* ---- sockets ---- */

static void socket_ready(struct poller_socket *poll, unsigned events)
{
    struct http_socket *s = (struct http_socket *)poll;
    int flags = events & EPOLLERR ? CURL_CSELECT_ERR : 0;
    flags |= events & (EPOLLIN | EPOLLHUP) ? CURL_CSELECT_IN : 0;
    flags |= events & EPOLLOUT ? CURL_CSELECT_OUT : 0;
    if (s->wanted)
        act(s->multi, poll->fd, flags);
    else
        poller_forget(s->multi->io, poll); /* a kept connection that its server has closed */
}

static struct http_socket *find_socket(struct http_multi *m, int fd)
{
    return fd >= 0 && fd < m->socket_cap ? m->sockets[fd] : NULL;
}

static struct http_socket *add_socket(struct http_multi *m, int fd)
{
    if (fd >= m->socket_cap) {
        int cap = fd + 64;
        m->sockets = xreallocarray(m->sockets, (size_t)cap, sizeof *m->sockets);
        memset(m->sockets + m->socket_cap, 0, (size_t)(cap - m->socket_cap) * sizeof *m->sockets);
        m->socket_cap = cap;
    }
    if (!m->sockets[fd])
        m->sockets[fd] = xcalloc(1, sizeof *m->sockets[fd]);
    *m->sockets[fd] = (struct http_socket){.poll = {.ready = socket_ready, .fd = fd}, .multi = m};
    return m->sockets[fd];
}

static curl_socket_t open_socket(void *multi, curlsocktype purpose, struct curl_sockaddr *to)
{
    (void)purpose;
    int fd = socket(to->family, to->socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, to->protocol);
    if (fd < 0)
        return CURL_SOCKET_BAD;
    add_socket(multi, fd);
    return fd;
}

/* Its memory stays for the next socket with that number. */
static int close_socket(void *multi, curl_socket_t fd)
{
    struct http_multi *m = multi;
    struct http_socket *s = find_socket(m, fd);
    if (s && s->poll.fd == fd)
        poller_close_socket(m->io, &s->poll);
    else
        close(fd);
    return 0;
}

/* A kept connection stays watched between transfers, which spares it two system calls each time. */
static int socket_wanted(CURL *easy, curl_socket_t fd, int what, void *multi, void *unused)
{
    struct http_multi *m = multi;
    struct http_socket *s = find_socket(m, fd);
    (void)easy;
    (void)unused;
    if (!s || s->poll.fd != fd)
        return -1; /* none that we opened */
    s->wanted = what != CURL_POLL_REMOVE;
    unsigned events = (what & CURL_POLL_IN ? EPOLLIN : 0u) | (what & CURL_POLL_OUT ? EPOLLOUT : 0u);
    if (!s->wanted)
        return 0;
    if (!events)
        poller_forget(m->io, &s->poll);
    return events && poller_watch(m->io, &s->poll, events) ? -1 : 0;
}

void http_multi_unwatch(struct io *io, int fd)
{
    struct http_socket *s = find_socket(io->http, fd);
    if (s)
        poller_forget(io, &s->poll);
}

/* libcurl changes its mind with every transfer: a timer that fires too early is left as it is, for
 * it then sets itself anew. */
static int timer_wanted(CURLM *curl, long timeout_ms, void *multi)
{
    struct http_multi *m = multi;
    uint64_t wait_ms = (uint64_t)timeout_ms;
    (void)curl;
    m->due_ms = timeout_ms < 0 ? NEVER : uv_now(&m->io->loop) + wait_ms;
    if (!uv_is_active((uv_handle_t *)&m->timer) || uv_timer_get_due_in(&m->timer) > wait_ms)
        arm(m);
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
    m->due_ms = NEVER;
    m->curl = libcurl.multi_init();
    if (!m->curl)
        abort();
    uv_timer_init(&io->loop, &m->timer);
    uv_unref((uv_handle_t *)&m->timer); /* the operations keep the loop alive */
    m->timer.data = m;
    configure(m);
    return io->http = m;
}

void http_multi_configure(struct io *io, struct http_transfer *t)
{
    struct http_multi *m = multi_of(io);
    libcurl.easy_setopt(t->easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    libcurl.easy_setopt(t->easy, CURLOPT_OPENSOCKETDATA, m);
    libcurl.easy_setopt(t->easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
    libcurl.easy_setopt(t->easy, CURLOPT_CLOSESOCKETDATA, m);
    libcurl.easy_setopt(t->easy, CURLOPT_PRIVATE, t);
}

int http_multi_add(struct io *io, struct http_transfer *t, struct err *err)
{
    struct http_multi *m = multi_of(io);
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

static void free_multi(uv_handle_t *timer)
{
    struct http_multi *m = timer->data;
    for (int fd = 0; fd < m->socket_cap; fd++)
        free(m->sockets[fd]);
    free(m->sockets);
    free(m);
}

void http_multi_close(struct io *io)
{
    struct http_multi *m = io->http;
    if (!m)
        return;
    io->http = NULL;
    libcurl.multi_cleanup(m->curl);
    uv_close((uv_handle_t *)&m->timer, free_multi);
    libcurl.global_cleanup();
}
