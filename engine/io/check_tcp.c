/* check_tcp.c -- the check "tcp": something accepts connections, with TLS if asked for, and says
 * what is expected. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/mem.h"
#include "io/check.h"
#include "io/check_tls.h"
#include "io/http.h"
#include "io/io.h"
#include "io/net.h"
#include "io/tcp.h"

#define MAX_ANSWER (64 * 1024)
#define CHUNK 4096

struct tcp_check {
    char *host, *subject; /* owned */
    int64_t port;
    char *send, *expect; /* owned; NULL: none */
    size_t send_len, expect_len;
    uint64_t timeout_ms;
    struct dns_addresses literal; /* the host, if it is an address; else there is none */
    struct check_tls tls;         /* embedded */
    char *url;                    /* owned: for TLS, NULL without */
    struct http_plan *plan;       /* owned: for TLS */
};

/* One try, in the check's room. Connected by one of three: dial (an address), connecting (a name),
 * tls. */
struct tcp_try {
    struct tcp_dial dial;         /* embedded */
    struct io *io;                /* borrowed */
    const struct tcp_check *spec; /* borrowed */
    struct check *check;          /* borrowed */
    struct tcp_connect *connecting;
    struct http_op *tls;       /* owned by the loop until it is cancelled */
    struct poller_socket talk; /* once connected, if there is something to say; its fd is owned
                                  unless TLS has it */
    size_t sent;
    struct buf answer; /* kept from try to try */
};

/* A reset leaves no TIME_WAIT behind: many checks a second would run out of ports. */
static void reset_on_close(int fd)
{
    struct linger none = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
}

static void tcp_stop(void *op)
{
    struct tcp_try *t = op;
    tcp_dial_cancel(&t->dial);
    if (t->connecting)
        tcp_connect_cancel(t->connecting);
    poller_forget(t->io, &t->talk);
    if (t->talk.fd >= 0 && !t->tls)
        close(t->talk.fd);
    if (t->tls)
        http_cancel(t->tls);
    t->connecting = NULL;
    t->tls = NULL;
    t->talk.fd = -1;
}

static void fail(struct tcp_try *t, const char *why)
{
    tcp_stop(t);
    check_fail(t->check, "%s: %s", t->spec->subject, why);
}

static void pass(struct tcp_try *t)
{
    const struct tcp_check *s = t->spec;
    tcp_stop(t);
    check_pass(t->check, "%s: %s%s", s->subject, s->expect ? "answered as expected" : "connected",
               s->url ? " with TLS" : "");
}

/* ---- saying and hearing ---- */

/* The bytes sent or heard, 0 at the end of what comes; -1 with *ret_why, NULL if it must wait. */
static ssize_t outcome(ssize_t count, const char **ret_why)
{
    *ret_why = count >= 0 || errno == EAGAIN || errno == EINTR ? NULL : strerror(errno);
    return count;
}

static ssize_t say(struct tcp_try *t, const char **ret_why)
{
    const char *rest = t->spec->send + t->sent;
    size_t len = t->spec->send_len - t->sent;
    if (t->tls)
        return http_say(t->tls, rest, len, ret_why);
    return outcome(send(t->talk.fd, rest, len, MSG_NOSIGNAL), ret_why);
}

static ssize_t hear(struct tcp_try *t, char *chunk, const char **ret_why)
{
    if (t->tls)
        return http_hear(t->tls, chunk, CHUNK, ret_why);
    return outcome(recv(t->talk.fd, chunk, CHUNK, 0), ret_why);
}

static void wait_for(struct tcp_try *t, unsigned events)
{
    int number = poller_watch(t->io, &t->talk, events);
    if (number)
        fail(t, strerror(number));
}

/* False: the try is over. */
static bool take(struct tcp_try *t, const char *chunk, size_t count)
{
    const struct tcp_check *s = t->spec;
    buf_append(&t->answer, chunk, count);
    if (memmem(t->answer.data, t->answer.len, s->expect, s->expect_len))
        pass(t);
    else if (t->answer.len > MAX_ANSWER)
        fail(t, "sent 64 KiB without the answer expected");
    else
        return true;
    return false;
}

/* TLS may hold what the kernel has handed over: so until nothing more is there. */
static void hear_all(struct tcp_try *t)
{
    char chunk[CHUNK];
    const char *why;
    ssize_t count;
    while ((count = hear(t, chunk, &why)) > 0)
        if (!take(t, chunk, (size_t)count))
            return;
    if (count == 0)
        fail(t, "closed the connection without the answer expected");
    else if (why)
        fail(t, why);
    else
        wait_for(t, EPOLLIN);
}

static void converse(struct tcp_try *t)
{
    const char *why = NULL;
    while (t->sent < t->spec->send_len) {
        ssize_t count = say(t, &why);
        if (count > 0) {
            t->sent += (size_t)count;
            continue;
        }
        if (why)
            fail(t, why);
        else
            wait_for(t, EPOLLOUT);
        return;
    }
    if (t->spec->expect)
        hear_all(t);
    else
        pass(t);
}

static void may_talk(struct poller_socket *talk, unsigned events)
{
    (void)events;
    converse((struct tcp_try *)((char *)talk - offsetof(struct tcp_try, talk)));
}

static void talk_over(struct tcp_try *t, int fd)
{
    t->talk = (struct poller_socket){.ready = may_talk, .fd = fd};
    if (t->spec->send || t->spec->expect)
        converse(t);
    else
        pass(t);
}

/* ---- connecting ---- */

/* A port of the ephemeral range that nobody listens on may connect to itself. */
static bool connected_to_itself(int fd, int64_t port)
{
    union dns_address ours = {0}, theirs = {0};
    socklen_t our_len = sizeof ours, their_len = sizeof theirs;
    getsockname(fd, &ours.any, &our_len);
    if (ntohs(ours.v4.sin_port) != port) /* it is at the same place for IPv6 */
        return false;
    getpeername(fd, &theirs.any, &their_len);
    return our_len == their_len && memcmp(&ours, &theirs, our_len) == 0;
}

static void connected(struct tcp_try *t, int fd)
{
    reset_on_close(fd);
    if (connected_to_itself(fd, t->spec->port)) {
        close(fd);
        fail(t, "connection refused");
    } else {
        talk_over(t, fd);
    }
}

static const char *reason_of_number(int number)
{
    return number == ECONNREFUSED ? "connection refused" : strerror(number);
}

static void dialled(struct tcp_dial *dial, int number)
{
    struct tcp_try *t = dial->data;
    if (number)
        fail(t, reason_of_number(number));
    else
        connected(t, tcp_dial_take(dial));
}

/* The subject has told the address already. */
static const char *reason_of(const char *message)
{
    static const char refused[] = "connection refused";
    const char *found = strstr(message, refused);
    return found && !found[sizeof refused - 1] ? refused : message;
}

static void name_connected(void *data, int fd, const struct err *err)
{
    struct tcp_try *t = data;
    t->connecting = NULL;
    if (err)
        fail(t, reason_of(err->message));
    else
        connected(t, fd);
}

/* By libcurl, which has no answer to tell here. */
static void shook_hands(void *data, const struct http_response *r, const struct err *err)
{
    struct tcp_try *t = data;
    size_t url_len = strlen(t->spec->url);
    (void)r;
    if (!err) {
        talk_over(t, http_socket(t->tls));
        return;
    }
    t->tls = NULL;
    const char *why = err->message;
    if (strncmp(why, t->spec->url, url_len) == 0 && strncmp(why + url_len, ": ", 2) == 0)
        why += url_len + 2;
    fail(t, why);
}

static void dial(struct tcp_try *t)
{
    t->dial.addresses = &t->spec->literal;
    int number = tcp_dial_next(&t->dial);
    if (number)
        fail(t, reason_of_number(number));
}

static void *tcp_start(struct io *io, const void *prepared, struct check *c)
{
    const struct tcp_check *s = prepared;
    struct tcp_try *t = check_room(c);
    struct buf answer = t->answer;
    buf_consume(&answer, answer.len);
    *t = (struct tcp_try){.io = io, .spec = s, .check = c, .talk.fd = -1, .answer = answer};
    t->dial = (struct tcp_dial){
        .poll.fd = -1, .io = io, .port = (uint16_t)s->port, .done = dialled, .data = t};
    if (s->url)
        t->tls = http_plan_start(io, s->plan, shook_hands, t);
    else if (s->literal.count)
        dial(t);
    else
        t->connecting = tcp_connect_start(io, s->host, (uint16_t)s->port, s->timeout_ms + 1000,
                                          name_connected, t);
    return t;
}

static const char *tcp_awaits(const void *op)
{
    const struct tcp_try *t = op;
    bool resolves =
        (t->connecting && tcp_connect_resolves(t->connecting)) || (t->tls && http_resolves(t->tls));
    return resolves ? CHECK_AWAITS_NAME : NULL;
}

static void tcp_leave(void *room)
{
    struct tcp_try *t = room;
    buf_free(&t->answer);
}

/* ---- options ---- */

static void tcp_release(void *prepared)
{
    struct tcp_check *s = prepared;
    free(s->host);
    free(s->subject);
    free(s->send);
    free(s->expect);
    free(s->url);
    http_plan_free(s->plan);
    check_tls_close(&s->tls);
    free(s);
}

/* A string of any bytes; an empty one is none. */
static int read_bytes(const json_t *options, const char *key, char **ret, size_t *ret_len,
                      struct err *err)
{
    const json_t *value = json_object_get(options, key);
    if (!value)
        return 0;
    if (!json_is_string(value))
        return err_set(err, "invalid", "%s: expected a string", key);
    *ret_len = json_string_length(value);
    if (*ret_len > MAX_ANSWER)
        return err_set(err, "invalid", "%s: is longer than 64 KiB", key);
    *ret = *ret_len ? xstrndup(json_string_value(value), *ret_len) : NULL;
    return 0;
}

static void plan_tls(struct tcp_check *s)
{
    s->url = xasprintf(strchr(s->host, ':') ? "https://[%s]:%lld/" : "https://%s:%lld/", s->host,
                       (long long)s->port);
    struct http_request request = {
        .url = s->url, .connect_only = true, .timeout_ms = s->timeout_ms + 1000};
    check_tls_apply(&s->tls, &request);
    s->plan = http_plan_new(&request);
}

static int read_tcp_options(const json_t *options, struct tcp_check *s, struct err *err)
{
    const char *host = "127.0.0.1";
    if (check_opt_string(options, "host", &host, err) < 0 ||
        check_opt_int(options, "port", 1, 65535, &s->port, err) < 0 ||
        read_bytes(options, "send", &s->send, &s->send_len, err) < 0 ||
        read_bytes(options, "expect", &s->expect, &s->expect_len, err) < 0 ||
        check_tls_read(options, &s->tls, err) < 0)
        return -1;
    if (!s->port)
        return err_set(err, "invalid", "port: is missing");
    if (!*host)
        return err_set(err, "invalid", "host: is empty");
    s->host = xstrdup(host);
    s->literal.count = dns_numeric(host, &s->literal.list[0]);
    if (s->tls.wanted)
        plan_tls(s);
    s->subject =
        xasprintf(strchr(host, ':') ? "tcp [%s]:%lld" : "tcp %s:%lld", host, (long long)s->port);
    return 0;
}

static void *tcp_prepare(const json_t *options, uint64_t timeout_ms, struct err *err)
{
    struct tcp_check *s = xcalloc(1, sizeof *s);
    s->timeout_ms = timeout_ms;
    if (read_tcp_options(options, s, err) < 0) {
        tcp_release(s);
        return NULL;
    }
    return s;
}

static const char *tcp_subject(const void *prepared)
{
    const struct tcp_check *s = prepared;
    return s->subject;
}

static const char *const tcp_keys[] = {"host", "port", "send", "expect", "tls", NULL};

const struct check_kind check_tcp = {
    .name = "tcp",
    .cost = 1,
    .keys = tcp_keys,
    .prepare = tcp_prepare,
    .release = tcp_release,
    .subject = tcp_subject,
    .start = tcp_start,
    .cancel = tcp_stop,
    .room = sizeof(struct tcp_try),
    .leave = tcp_leave,
    .awaits = tcp_awaits,
};
