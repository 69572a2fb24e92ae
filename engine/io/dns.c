#include "io/dns.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "core/err.h"
#include "core/mem.h"
#include "io/dns_channel.h"
#include "io/dns_message.h"
#include "io/io.h"

#define TRY_MS 2000 /* for one try of one server; the operation's own deadline bounds all */
#define TRIES 4
#define CLASS_IN 1

/* Owned by the loop: freed when its timer has closed. */
struct dns_op {
    struct io *io;               /* borrowed */
    char *name;                  /* owned */
    char *server;                /* owned; NULL: the system's */
    enum dns_type type;          /* 0: addresses for dns_resolve() */
    struct dns_channel *channel; /* owned; NULL while there is none */
    uv_timer_t deadline;         /* keeps the loop alive while the operation is pending */
    uint64_t timeout_ms;
    bool answered, closing;
    struct dns_addresses addresses; /* the answer of dns_resolve() */
    struct dns_records records;     /* owned: the answer of dns_query() */
    struct err err;                 /* or why there is none */
    dns_resolved_fn *resolved;
    dns_answered_fn *answered_fn;
    void *data; /* borrowed */
};

/* ---- addresses ---- */

bool dns_numeric(const char *text, union dns_address *ret_address)
{
    *ret_address = (union dns_address){0};
    ret_address->any.sa_family = AF_INET;
    if (inet_pton(AF_INET, text, &ret_address->v4.sin_addr) == 1)
        return true;
    ret_address->any.sa_family = AF_INET6;
    return inet_pton(AF_INET6, text, &ret_address->v6.sin6_addr) == 1;
}

void dns_format(const union dns_address *address, char text[DNS_TEXT_SIZE])
{
    const void *bytes = address->any.sa_family == AF_INET ? (const void *)&address->v4.sin_addr
                                                          : (const void *)&address->v6.sin6_addr;
    inet_ntop(address->any.sa_family, bytes, text, DNS_TEXT_SIZE);
}

socklen_t dns_length(const union dns_address *address)
{
    return address->any.sa_family == AF_INET ? sizeof address->v4 : sizeof address->v6;
}

static void add_address(struct dns_addresses *to, const struct sockaddr *address)
{
    if (to->count == DNS_MAX_ADDRESSES)
        return;
    union dns_address *a = &to->list[to->count];
    if (address->sa_family == AF_INET)
        memcpy(&a->v4, address, sizeof a->v4);
    else if (address->sa_family == AF_INET6)
        memcpy(&a->v6, address, sizeof a->v6);
    else
        return;
    to->count++;
}

static bool is_localhost(const char *name)
{
    static const char suffix[] = "localhost";
    size_t len = strlen(name), n = sizeof suffix - 1;
    if (len && name[len - 1] == '.')
        len--;
    return len >= n && strncasecmp(name + len - n, suffix, n) == 0 &&
           (len == n || name[len - n - 1] == '.');
}

/* Connecting a datagram socket sends nothing, and fails where the machine has no IPv6. */
static bool is_routed(const union dns_address *address)
{
    union dns_address to = *address;
    to.v6.sin6_port = htons(9);
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    bool ok = connect(fd, &to.any, sizeof to.v6) == 0;
    close(fd);
    return ok;
}

/* Answers without a name server, where the name says its address itself. */
static bool resolve_literally(const char *name, struct dns_addresses *ret)
{
    union dns_address address;
    if (dns_numeric(name, &address)) {
        add_address(ret, &address.any);
        return true;
    }
    if (!is_localhost(name))
        return false;
    dns_numeric("127.0.0.1", &address);
    add_address(ret, &address.any);
    dns_numeric("::1", &address);
    if (is_routed(&address))
        add_address(ret, &address.any);
    return true;
}

/* ---- the life of an operation ---- */

static void free_when_closed(uv_handle_t *timer)
{
    struct dns_op *op = timer->data;
    dns_records_free(&op->records);
    err_clear(&op->err);
    free(op->name);
    free(op->server);
    free(op);
}

/* The one way out. c-ares answers what is pending with ARES_EDESTRUCTION: `closing` says to ignore
 * it. */
static void op_close(struct dns_op *op)
{
    op->closing = true;
    if (op->channel)
        dns_channel_free(op->channel);
    op->channel = NULL;
    uv_close((uv_handle_t *)&op->deadline, free_when_closed);
}

void dns_cancel(struct dns_op *op) { op_close(op); }

static void tell(struct dns_op *op)
{
    const struct err *err = op->err.code ? &op->err : NULL;
    if (op->resolved)
        op->resolved(op->data, err ? NULL : &op->addresses, err);
    else
        op->answered_fn(op->data, err ? NULL : &op->records, err);
}

const char *dns_type_name(enum dns_type type)
{
    switch (type) {
    case DNS_A:
        return "A";
    case DNS_AAAA:
        return "AAAA";
    case DNS_SRV:
        return "SRV";
    case DNS_TXT:
        return "TXT";
    case DNS_PTR:
        return "PTR";
    case DNS_SOA:
        return "SOA";
    case DNS_NS:
        return "NS";
    case DNS_CNAME:
        return "CNAME";
    }
    return "address";
}

static const char *asked(struct dns_op *op)
{
    return op->server ? op->server : "the system's name servers";
}

/* Fires at the deadline, or at once when the answer is there. */
static void deadline_passed(uv_timer_t *timer)
{
    struct dns_op *op = timer->data;
    if (!op->answered)
        err_set(&op->err, "timeout", "%s: no answer from %s within %g s", op->name, asked(op),
                (double)op->timeout_ms / 1000);
    tell(op);
    op_close(op);
}

/* Answers from the loop, never from within c-ares. */
static void answer_soon(struct dns_op *op)
{
    if (op->answered || op->closing)
        return;
    op->answered = true;
    uv_timer_start(&op->deadline, deadline_passed, 0, 0);
}

static struct dns_op *op_new(struct io *io, const char *name, uint64_t timeout_ms, void *data)
{
    struct dns_op *op = xcalloc(1, sizeof *op);
    *op = (struct dns_op){.io = io, .name = xstrdup(name), .timeout_ms = timeout_ms, .data = data};
    uv_update_time(&io->loop);
    uv_timer_init(&io->loop, &op->deadline);
    op->deadline.data = op;
    uv_timer_start(&op->deadline, deadline_passed, timeout_ms, 0);
    return op;
}

/* ---- c-ares ---- */

static int open_channel(struct dns_op *op, int flags)
{
    struct err err = {0};
    op->channel = dns_channel_new(
        op->io,
        &(struct dns_channel_options){
            .servers = op->server, .flags = flags, .try_ms = TRY_MS, .tries = TRIES},
        &err);
    if (op->channel)
        return 0;
    err_set(&op->err, err.code, "%s: %s", op->name, err.message);
    err_clear(&err);
    return -1;
}

static void fail(struct dns_op *op, int status)
{
    const char *what = dns_type_name(op->type);
    switch (status) {
    case ARES_ENOTFOUND:
        err_set(&op->err, "not_found", "%s: no such name (asked %s)", op->name, asked(op));
        break;
    case ARES_ENODATA:
        err_set(&op->err, "not_found", "%s: has no %s record (asked %s)", op->name, what,
                asked(op));
        break;
    case ARES_ETIMEOUT:
        err_set(&op->err, "timeout", "%s: no answer from %s", op->name, asked(op));
        break;
    case ARES_ECONNREFUSED:
        err_set(&op->err, "refused", "%s: no name server answers at %s", op->name, asked(op));
        break;
    case ARES_EREFUSED:
        err_set(&op->err, "denied", "%s: %s refused the question", op->name, asked(op));
        break;
    case ARES_ESERVFAIL:
    case ARES_ENOTIMP:
    case ARES_EFORMERR:
    case ARES_EBADRESP:
        err_set(&op->err, "bad_reply", "%s: %s failed to answer: %s", op->name, asked(op),
                ares_strerror(status));
        break;
    case ARES_EBADNAME:
        err_set(&op->err, "invalid", "%s: is not a name that can be asked for", op->name);
        break;
    default:
        err_set(&op->err, "io", "%s: cannot resolve: %s", op->name, ares_strerror(status));
    }
}

static void take_addresses(void *data, int status, int timeouts, struct ares_addrinfo *found)
{
    struct dns_op *op = data;
    (void)timeouts;
    if (op->closing)
        return;
    for (struct ares_addrinfo_node *n = found ? found->nodes : NULL; n; n = n->ai_next)
        add_address(&op->addresses, n->ai_addr);
    ares_freeaddrinfo(found);
    if (!op->addresses.count)
        fail(op, status == ARES_SUCCESS ? ARES_ENODATA : status);
    answer_soon(op);
}

struct dns_op *dns_resolve(struct io *io, const char *name, uint64_t timeout_ms,
                           dns_resolved_fn *done, void *data)
{
    struct dns_op *op = op_new(io, name, timeout_ms, data);
    struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_flags = ARES_AI_NOSORT};
    op->resolved = done;
    if (resolve_literally(name, &op->addresses) || open_channel(op, 0) < 0) {
        answer_soon(op);
        return op;
    }
    ares_getaddrinfo(op->channel->ares, name, NULL, &hints, take_addresses, op);
    dns_channel_started(op->channel);
    return op;
}

/* ---- questions ---- */

enum dns_type dns_type_of(const char *name)
{
    static const enum dns_type known[] = {DNS_A, DNS_AAAA, DNS_SRV, DNS_TXT};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcasecmp(name, dns_type_name(known[i])) == 0)
            return known[i];
    return 0;
}

static void read_answer(struct dns_op *op, const unsigned char *message, int len)
{
    struct err err = {0};
    if (dns_message_read(message, (size_t)len, op->type, &op->records, &err) < 0) {
        err_set(&op->err, err.code, "%s: %s: %s", op->name, asked(op), err.message);
        err_clear(&err);
    } else if (!op->records.count) {
        fail(op, ARES_ENODATA);
    }
}

static void take_answer(void *data, int status, int timeouts, unsigned char *message, int len)
{
    struct dns_op *op = data;
    (void)timeouts;
    if (op->closing)
        return;
    if (status == ARES_SUCCESS)
        read_answer(op, message, len);
    else
        fail(op, status);
    answer_soon(op);
}

struct dns_op *dns_query(struct io *io, const struct dns_query *query, dns_answered_fn *done,
                         void *data)
{
    struct dns_op *op = op_new(io, query->name, query->timeout_ms, data);
    /* Without NOCHECKRESP a server that refuses looks like one that is not there. */
    int flags = ARES_FLAG_NOCHECKRESP | (query->tcp ? ARES_FLAG_USEVC : 0);
    op->answered_fn = done;
    op->server = xstrdup(query->server);
    op->type = query->type;
    if (open_channel(op, flags) < 0) {
        answer_soon(op);
        return op;
    }
    ares_query(op->channel->ares, query->name, CLASS_IN, (int)query->type, take_answer, op);
    dns_channel_started(op->channel);
    return op;
}
