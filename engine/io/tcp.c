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

/* One address being tried. Owned by the loop: freed when its handle has closed. */
struct
try {
    uv_poll_t poll;
    struct tcp_connect *op; /* borrowed */
    int fd;                 /* owned until handed over */
};

/* Owned by the loop: freed when its timer has closed. */
struct tcp_connect {
    struct io *io; /* borrowed */
    uv_timer_t deadline;
    uint64_t timeout_ms;
    struct dns_op *dns; /* while the host is being resolved */
    struct try *try;    /* while an address is being tried */
    struct dns_addresses addresses;
    size_t tried;
    char *where; /* owned: "host:port" for errors */
    uint16_t port;
    struct err err; /* the last failure */
    tcp_connected_fn *done;
    void *data; /* borrowed */
};

static void free_try(uv_handle_t *poll) { free(poll->data); }

/* The descriptor leaves the loop at once; the memory follows. */
static void end_try(struct tcp_connect *op, bool keep_fd)
{
    struct try *try = op->try;
    if (!try)
        return;
    op->try = NULL;
    uv_close((uv_handle_t *)&try->poll, free_try);
    if (!keep_fd)
        close(try->fd);
}

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
    end_try(op, false);
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

static void try_next(struct tcp_connect *op);

static void note_failure(struct tcp_connect *op, int number)
{
    if (number == ECONNREFUSED)
        err_set(&op->err, "refused", "%s: connection refused", op->where);
    else
        err_errno(&op->err, number, "%s: cannot connect", op->where);
}

static void try_ready(uv_poll_t *poll, int status, int events)
{
    struct try *try = poll->data;
    struct tcp_connect *op = try->op;
    int number = status < 0 ? -status : 0;
    socklen_t len = sizeof number;
    (void)events;
    getsockopt(try->fd, SOL_SOCKET, SO_ERROR, &number, &len);
    if (number) {
        note_failure(op, number);
        end_try(op, false);
        try_next(op);
        return;
    }
    int fd = try->fd;
    end_try(op, true);
    op->done(op->data, fd, NULL);
    op_close(op);
}

/* Returns 0, or an errno value if this address cannot even be tried. A connect that succeeds at
 * once is told by the loop too. */
static int start_try(struct tcp_connect *op, union dns_address *address)
{
    int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    if (connect(fd, &address->any, dns_length(address)) < 0 && errno != EINPROGRESS) {
        int number = errno;
        close(fd);
        return number;
    }
    struct try *try = xcalloc(1, sizeof *try);
    *try = (struct try){.op = op, .fd = fd};
    int failure = uv_poll_init(&op->io->loop, &try->poll, fd);
    if (failure) {
        close(fd);
        free(try);
        return -failure;
    }
    try->poll.data = try;
    op->try = try;
    uv_poll_start(&try->poll, UV_WRITABLE, try_ready);
    return 0;
}

static void set_port(union dns_address *address, uint16_t port)
{
    if (address->any.sa_family == AF_INET)
        address->v4.sin_port = htons(port);
    else
        address->v6.sin6_port = htons(port);
}

/* From the loop only: it may call `done`. */
static void try_next(struct tcp_connect *op)
{
    while (op->tried < op->addresses.count) {
        union dns_address *address = &op->addresses.list[op->tried++];
        set_port(address, op->port);
        int number = start_try(op, address);
        if (!number)
            return;
        note_failure(op, number);
    }
    fail(op);
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
    try_next(op);
}

struct tcp_connect *tcp_connect_start(struct io *io, const char *host, uint16_t port,
                                      uint64_t timeout_ms, tcp_connected_fn *done, void *data)
{
    struct tcp_connect *op = xcalloc(1, sizeof *op);
    *op = (struct tcp_connect){
        .io = io, .port = port, .timeout_ms = timeout_ms, .done = done, .data = data};
    op->where = xasprintf(strchr(host, ':') ? "[%s]:%u" : "%s:%u", host, port);
    uv_update_time(&io->loop);
    uv_timer_init(&io->loop, &op->deadline);
    op->deadline.data = op;
    uv_timer_start(&op->deadline, deadline_passed, timeout_ms, 0);
    op->dns = dns_resolve(io, host, timeout_ms, host_resolved, op);
    return op;
}
