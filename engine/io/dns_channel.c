#include "io/dns_channel.h"

#include <stdbool.h>
#include <stdlib.h>

#include "core/err.h"
#include "core/mem.h"
#include "io/io.h"

/* One socket of the resolver. Owned by the loop: freed when its handle has closed. */
struct dns_socket {
    uv_poll_t poll;
    struct dns_channel *channel;     /* borrowed */
    struct dns_socket *next, **prev; /* channel->sockets */
    ares_socket_t fd;
};

static void process(struct dns_channel *c, ares_socket_t readable, ares_socket_t writable)
{
    ares_process_fd(c->ares, readable, writable);
    dns_channel_started(c);
}

static void retry_due(uv_timer_t *timer) { process(timer->data, ARES_SOCKET_BAD, ARES_SOCKET_BAD); }

void dns_channel_started(struct dns_channel *c)
{
    struct timeval tv, *next = ares_timeout(c->ares, NULL, &tv);
    if (!next) {
        uv_timer_stop(&c->retry);
        return;
    }
    uint64_t ms = (uint64_t)next->tv_sec * 1000 + (uint64_t)next->tv_usec / 1000 + 1;
    uv_timer_start(&c->retry, retry_due, ms, 0);
}

/* On an error both are due: c-ares reads it from the socket. */
static void socket_ready(uv_poll_t *poll, int status, int events)
{
    struct dns_socket *s = poll->data;
    bool readable = status < 0 || events & UV_READABLE,
         writable = status < 0 || events & UV_WRITABLE;
    process(s->channel, readable ? s->fd : ARES_SOCKET_BAD, writable ? s->fd : ARES_SOCKET_BAD);
}

static void free_socket(uv_handle_t *poll) { free(poll->data); }

static void drop_socket(struct dns_socket *s)
{
    *s->prev = s->next;
    if (s->next)
        s->next->prev = s->prev;
    uv_close((uv_handle_t *)&s->poll, free_socket);
}

static struct dns_socket *add_socket(struct dns_channel *c, ares_socket_t fd)
{
    struct dns_socket *s = xcalloc(1, sizeof *s);
    *s = (struct dns_socket){.channel = c, .fd = fd, .next = c->sockets, .prev = &c->sockets};
    if (uv_poll_init(&c->io->loop, &s->poll, fd) < 0) {
        free(s);
        return NULL;
    }
    s->poll.data = s;
    if (s->next)
        s->next->prev = &s->next;
    c->sockets = s;
    return s;
}

static void socket_wanted(void *data, ares_socket_t fd, int readable, int writable)
{
    struct dns_channel *c = data;
    struct dns_socket *s = c->sockets;
    while (s && s->fd != fd)
        s = s->next;
    if (!readable && !writable) {
        if (s)
            drop_socket(s);
        return;
    }
    if (!s && !(s = add_socket(c, fd)))
        return; /* not pollable: the deadline of whoever asks ends it */
    uv_poll_start(&s->poll, (readable ? UV_READABLE : 0) | (writable ? UV_WRITABLE : 0),
                  socket_ready);
}

static void free_when_closed(uv_handle_t *timer) { free(timer->data); }

void dns_channel_free(struct dns_channel *c)
{
    if (c->ares)
        ares_destroy(c->ares);
    c->ares = NULL;
    uv_close((uv_handle_t *)&c->retry, free_when_closed);
}

static int open_resolver(struct dns_channel *c, const struct dns_channel_options *o,
                         struct err *err)
{
    struct ares_options options = {
        .sock_state_cb = socket_wanted,
        .sock_state_cb_data = c,
        .timeout = o->try_ms,
        .tries = o->tries,
        .flags = o->flags,
    };
    int status = ares_init_options(&c->ares, &options,
                                   ARES_OPT_SOCK_STATE_CB | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
                                       (o->flags ? ARES_OPT_FLAGS : 0));
    if (status != ARES_SUCCESS) {
        c->ares = NULL;
        return err_set(err, "io", "cannot make a resolver: %s", ares_strerror(status));
    }
    if (o->servers && ares_set_servers_ports_csv(c->ares, o->servers) != ARES_SUCCESS)
        return err_set(err, "invalid",
                       "%s: bad name server: expected an address such as 192.0.2.1:53", o->servers);
    return 0;
}

struct dns_channel *dns_channel_new(struct io *io, const struct dns_channel_options *options,
                                    struct err *err)
{
    struct dns_channel *c = xcalloc(1, sizeof *c);
    c->io = io;
    c->retry.data = c;
    uv_timer_init(&io->loop, &c->retry);
    if (open_resolver(c, options, err) == 0)
        return c;
    dns_channel_free(c);
    return NULL;
}
