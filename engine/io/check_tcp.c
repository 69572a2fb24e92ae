/* check_tcp.c -- the check "tcp": something accepts connections, and says what is expected. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/mem.h"
#include "io/check.h"
#include "io/check_tls.h"
#include "io/http.h"
#include "io/io.h"
#include "io/net.h"

#define MAX_ANSWER (64 * 1024)
#define CHUNK 4096

struct tcp_check {
    char *host, *subject; /* owned */
    int64_t port;
    char *send, *expect; /* owned; NULL: none */
    size_t send_len, expect_len;
    uint64_t timeout_ms;
    struct check_tls tls; /* embedded */
    char *url;            /* owned: for TLS, NULL without */
};

/* One try. Freed at once, or when its socket has closed. */
struct tcp_try {
    struct io *io;                  /* borrowed */
    const struct tcp_check *spec;   /* borrowed; not used once the try has ended */
    struct check *check;            /* borrowed */
    struct tcp_connect *connecting; /* owned by the loop; NULL once connected */
    struct http_op *handshake;      /* owned by the loop; with TLS, instead */
    uv_tcp_t socket;                /* open once connected, if there is something to say */
    bool talking;
    uv_write_t writing;
    struct buf answer;
    char chunk[CHUNK];
};

static void try_free(uv_handle_t *socket)
{
    struct tcp_try *t = socket->data;
    buf_free(&t->answer);
    free(t);
}

/* A reset leaves no TIME_WAIT behind: many checks a second would run out of ports. */
static void reset_on_close(int fd)
{
    struct linger none = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
}

static void tcp_stop(void *op)
{
    struct tcp_try *t = op;
    if (t->connecting)
        tcp_connect_cancel(t->connecting);
    if (t->handshake)
        http_cancel(t->handshake);
    if (t->talking)
        uv_close((uv_handle_t *)&t->socket, try_free);
    else
        free(t);
}

static void fail(struct tcp_try *t, const char *why)
{
    struct check *c = t->check;
    const char *subject = t->spec->subject;
    tcp_stop(t);
    check_fail(c, "%s: %s", subject, why);
}

static void pass(struct tcp_try *t)
{
    struct check *c = t->check;
    const struct tcp_check *s = t->spec;
    tcp_stop(t);
    check_pass(c, "%s: %s", s->subject, s->expect ? "answered as expected" : "connected");
}

static void give_chunk(uv_handle_t *socket, size_t suggested, uv_buf_t *ret)
{
    (void)suggested;
    struct tcp_try *t = socket->data;
    *ret = uv_buf_init(t->chunk, CHUNK);
}

static void got_bytes(uv_stream_t *socket, ssize_t count, const uv_buf_t *chunk)
{
    struct tcp_try *t = socket->data;
    const struct tcp_check *s = t->spec;
    if (count == UV_EOF)
        fail(t, "closed the connection without the answer expected");
    else if (count < 0)
        fail(t, uv_strerror((int)count));
    if (count <= 0)
        return;
    buf_append(&t->answer, chunk->base, (size_t)count);
    if (memmem(t->answer.data, t->answer.len, s->expect, s->expect_len))
        pass(t);
    else if (t->answer.len > MAX_ANSWER)
        fail(t, "sent 64 KiB without the answer expected");
}

static void written(uv_write_t *request, int status)
{
    struct tcp_try *t = request->data;
    if (status == UV_ECANCELED)
        return;
    if (status < 0)
        fail(t, uv_strerror(status));
    else if (!t->spec->expect)
        pass(t);
}

/* A port of the ephemeral range that nobody listens on may connect to itself. */
static bool connected_to_itself(int fd)
{
    struct sockaddr_storage ours = {0}, theirs = {0};
    socklen_t our_len = sizeof ours, their_len = sizeof theirs;
    getsockname(fd, (struct sockaddr *)&ours, &our_len);
    getpeername(fd, (struct sockaddr *)&theirs, &their_len);
    return our_len == their_len && memcmp(&ours, &theirs, our_len) == 0;
}

static void send_text(struct tcp_try *t)
{
    uv_buf_t bytes = uv_buf_init(t->spec->send, (unsigned)t->spec->send_len);
    t->writing.data = t;
    int failure = uv_write(&t->writing, (uv_stream_t *)&t->socket, &bytes, 1, written);
    if (failure)
        fail(t, uv_strerror(failure));
}

static void converse(struct tcp_try *t, int fd)
{
    uv_tcp_init(&t->io->loop, &t->socket);
    t->socket.data = t;
    t->talking = true;
    int failure = uv_tcp_open(&t->socket, fd);
    if (failure) {
        close(fd);
        fail(t, uv_strerror(failure));
        return;
    }
    if (t->spec->expect)
        uv_read_start((uv_stream_t *)&t->socket, give_chunk, got_bytes);
    if (t->spec->send)
        send_text(t);
}

/* The subject has told the address already. */
static const char *reason_of(const char *message)
{
    static const char refused[] = "connection refused";
    const char *found = strstr(message, refused);
    return found && !found[sizeof refused - 1] ? refused : message;
}

static void connected(void *data, int fd, const struct err *err)
{
    struct tcp_try *t = data;
    t->connecting = NULL;
    if (err) {
        fail(t, reason_of(err->message));
        return;
    }
    reset_on_close(fd);
    bool itself = connected_to_itself(fd);
    if (!itself && (t->spec->send || t->spec->expect)) {
        converse(t, fd);
        return;
    }
    close(fd);
    if (itself)
        fail(t, "connection refused");
    else
        pass(t);
}

/* ---- TLS: libcurl connects, shakes hands and hangs up ---- */

static void shook_hands(void *data, const struct http_response *r, const struct err *err)
{
    struct tcp_try *t = data;
    const struct tcp_check *s = t->spec;
    struct check *c = t->check;
    size_t url_len = strlen(s->url);
    (void)r;
    free(t);
    if (!err)
        check_pass(c, "%s: connected with TLS", s->subject);
    else if (strncmp(err->message, s->url, url_len) == 0 &&
             strncmp(err->message + url_len, ": ", 2) == 0)
        check_fail(c, "%s: %s", s->subject, err->message + url_len + 2);
    else
        check_fail(c, "%s: %s", s->subject, err->message);
}

static void shake_hands(struct io *io, struct tcp_try *t)
{
    struct http_request request = {
        .url = t->spec->url, .connect_only = true, .timeout_ms = t->spec->timeout_ms + 1000};
    check_tls_apply(&t->spec->tls, &request);
    t->handshake = http_start(io, &request, shook_hands, t);
}

static void *tcp_start(struct io *io, const void *prepared, struct check *c)
{
    const struct tcp_check *s = prepared;
    struct tcp_try *t = xcalloc(1, sizeof *t);
    t->io = io;
    t->spec = s;
    t->check = c;
    if (s->url) {
        shake_hands(io, t);
        return t;
    }
    t->connecting =
        tcp_connect_start(io, s->host, (uint16_t)s->port, s->timeout_ms + 1000, connected, t);
    return t;
}

static const char *tcp_awaits(const void *op)
{
    const struct tcp_try *t = op;
    bool resolves = (t->connecting && tcp_connect_resolves(t->connecting)) ||
                    (t->handshake && http_resolves(t->handshake));
    return resolves ? CHECK_AWAITS_NAME : NULL;
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

static int read_tcp_options(const json_t *options, struct tcp_check *s, struct err *err)
{
    const char *host = "127.0.0.1";
    if (check_opt_string(options, "host", &host, err) < 0 ||
        check_opt_int(options, "port", 1, 65535, &s->port, err) < 0 ||
        read_bytes(options, "send", &s->send, &s->send_len, err) < 0 ||
        read_bytes(options, "expect", &s->expect, &s->expect_len, err) < 0 ||
        check_tls_read(options, &s->tls, err) < 0)
        return -1;
    if (s->tls.wanted && (s->send || s->expect))
        return err_set(err, "invalid", "tls: cannot be had with send or expect");
    if (!s->port)
        return err_set(err, "invalid", "port: is missing");
    if (!*host)
        return err_set(err, "invalid", "host: is empty");
    s->host = xstrdup(host);
    if (s->tls.wanted)
        s->url = xasprintf(strchr(host, ':') ? "https://[%s]:%lld/" : "https://%s:%lld/", host,
                           (long long)s->port);
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
    .awaits = tcp_awaits,
};
