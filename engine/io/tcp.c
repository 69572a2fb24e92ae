/* tcp.c -- connecting: resolve, then try each address until one answers or the deadline is there.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "core/err.h"
#include "core/mem.h"
#include "io/dns.h"
#include "io/io.h"
#include "io/net.h"
#include "io/tcp.h"

/* Owned by the loop: freed when its timer has closed. */
struct tcp_connect {
    struct io *io; /* borrowed */
    uv_timer_t deadline;
    uint64_t timeout_ms;
    struct dns_op *dns;   /* while the host is being resolved */
    struct tcp_dial dial; /* embedded: afterwards */
    char *where;          /* owned: "host:port" for errors */
    uint16_t port;
    struct dns_addresses addresses;
    struct err err;
    tcp_connected_fn *done;
    void *data; /* borrowed */
};

/* ---- addresses in turn ---- */

static void set_port(union dns_address *address, uint16_t port)
{
    if (address->any.sa_family == AF_INET)
        address->v4.sin_port = htons(port);
    else
        address->v6.sin6_port = htons(port);
}

void tcp_dial_cancel(struct tcp_dial *d)
{
    if (d->poll.fd >= 0)
        poller_close_socket(d->io, &d->poll);
}

/* From the loop: what the next address says at once is told at once. */
static void go_on(struct tcp_dial *d)
{
    int number = tcp_dial_next(d);
    if (number)
        d->done(d, number);
}

/* The socket leaves the poller before anyone else gets it. */
static void dial_ready(struct poller_socket *poll, unsigned events)
{
    struct tcp_dial *d = (struct tcp_dial *)poll;
    int number = 0;
    socklen_t len = sizeof number;
    (void)events;
    getsockopt(poll->fd, SOL_SOCKET, SO_ERROR, &number, &len);
    d->failure = number;
    if (number) {
        poller_close_socket(d->io, poll);
        go_on(d);
        return;
    }
    d->done(d, 0);
}

/* Returns 0, or an errno value if this address cannot even be tried. A connect that succeeds at
 * once is told by the loop too. */
static int dial_one(struct tcp_dial *d, union dns_address *address)
{
    set_port(address, d->port);
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    d->poll = (struct poller_socket){.ready = dial_ready, .fd = fd};
    if (connect(fd, &address->any, dns_length(address)) < 0 && errno != EINPROGRESS) {
        int number = errno;
        poller_close_socket(d->io, &d->poll);
        return number;
    }
    int number = poller_watch(d->io, &d->poll, EPOLLOUT);
    if (number)
        poller_close_socket(d->io, &d->poll);
    return number;
}

int tcp_dial_next(struct tcp_dial *d)
{
    while (d->tried < d->addresses->count) {
        union dns_address address = d->addresses->list[d->tried++];
        d->failure = dial_one(d, &address);
        if (!d->failure)
            return 0;
    }
    return d->failure;
}

int tcp_dial_take(struct tcp_dial *d)
{
    int fd = d->poll.fd;
    poller_forget(d->io, &d->poll);
    d->poll.fd = -1;
    return fd;
}

/* ---- a connection, by its deadline ---- */

static void free_op(uv_handle_t *timer)
{
    struct tcp_connect *op = timer->data;
    err_clear(&op->err);
    free(op->where);
    free(op);
}

/* The one way out. */
static void op_close(struct tcp_connect *op)
{
    if (op->dns)
        dns_cancel(op->dns);
    op->dns = NULL;
    tcp_dial_cancel(&op->dial);
    uv_close((uv_handle_t *)&op->deadline, free_op);
}

void tcp_connect_cancel(struct tcp_connect *op) { op_close(op); }

bool tcp_connect_resolves(const struct tcp_connect *op) { return op->dns != NULL; }

static void fail(struct tcp_connect *op)
{
    op->done(op->data, -1, &op->err);
    op_close(op);
}

static void deadline_passed(uv_timer_t *timer)
{
    struct tcp_connect *op = timer->data;
    err_set(&op->err, "timeout", "%s: no connection within %g s", op->where,
            (double)op->timeout_ms / 1000);
    fail(op);
}

static void note_failure(struct tcp_connect *op, int number)
{
    if (number == ECONNREFUSED)
        err_set(&op->err, "refused", "%s: connection refused", op->where);
    else
        err_errno(&op->err, number, "%s: cannot connect", op->where);
}

static void dialled(struct tcp_dial *dial, int number)
{
    struct tcp_connect *op = dial->data;
    if (number) {
        note_failure(op, number);
        fail(op);
        return;
    }
    op->done(op->data, tcp_dial_take(dial), NULL);
    op_close(op);
}

static void host_resolved(void *data, const struct dns_addresses *addresses, const struct err *err)
{
    struct tcp_connect *op = data;
    op->dns = NULL;
    if (err) {
        err_set(&op->err, err->code, "%s: %s", op->where, err->message);
        fail(op);
        return;
    }
    op->addresses = *addresses;
    op->dial.addresses = &op->addresses;
    go_on(&op->dial);
}

struct tcp_connect *tcp_connect_start(struct io *io, const char *host, uint16_t port,
                                      uint64_t timeout_ms, tcp_connected_fn *done, void *data)
{
    struct tcp_connect *op = xcalloc(1, sizeof *op);
    *op = (struct tcp_connect){
        .io = io, .port = port, .timeout_ms = timeout_ms, .done = done, .data = data};
    op->dial =
        (struct tcp_dial){.poll.fd = -1, .io = io, .port = port, .done = dialled, .data = op};
    op->where = xasprintf(strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port);
    uv_update_time(&io->loop);
    uv_timer_init(&io->loop, &op->deadline);
    op->deadline.data = op;
    uv_timer_start(&op->deadline, deadline_passed, timeout_ms, 0);
    op->dns = dns_resolve(io, host, timeout_ms, host_resolved, op);
    return op;
}
