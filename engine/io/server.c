#include "io/server.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/mem.h"
#include "io/io.h"
#include "io/libmhd.h"
#include "io/server_socket.h"

#define MAX_CONNECTIONS 128u
#define IDLE_S 30u                    /* a connection that neither sends nor waits for us */
#define CONNECTION_MEMORY (16 * 1024) /* request line and headers must fit */
#define STREAM_BLOCK 4096

/* Owned by the loop: freed when both handles have closed. */
struct server {
    struct io *io;             /* borrowed */
    struct MHD_Daemon *daemon; /* owned; NULL once closed */
    struct server_socket socket;
    uv_poll_t poll;   /* the daemon's epoll descriptor */
    uv_timer_t timer; /* the daemon's own deadlines */
    int open_handles;
    size_t max_body;
    bool running, again;                  /* libmhd.run() is not entered twice */
    struct server_request *ready, **tail; /* whole requests, not yet handed over */
    struct server_request *all;
    server_request_fn *on_request;
    void *data; /* borrowed */
};

/* Freed when both its connection and its holder are done with it. */
struct server_request {
    struct server *server;               /* borrowed; NULL once the connection has gone */
    struct MHD_Connection *connection;   /* borrowed; NULL once it has gone */
    struct server_request *next, **prev; /* server->all */
    struct server_request *ready_next;
    char *method, *path; /* owned */
    struct buf body;     /* of the request */
    struct server_peer peer;
    struct MHD_Response *response; /* owned; to be queued when MHD asks again */
    int status;
    bool handed_over, held; /* held: its holder has not ended it */
    bool suspended;
    bool streaming, stream_ended;
    struct buf out; /* of a stream: queued bytes */
};

/* ---- requests ---- */

static void free_if_done(struct server_request *r)
{
    if (r->held || r->connection)
        return;
    if (r->response)
        libmhd.destroy_response(r->response);
    buf_free(&r->body);
    buf_free(&r->out);
    free(r->method);
    free(r->path);
    free(r);
}

static struct server_request *request_new(struct server *s, struct MHD_Connection *connection,
                                          const char *method, const char *path)
{
    struct server_request *r = xcalloc(1, sizeof *r);
    *r = (struct server_request){.server = s,
                                 .connection = connection,
                                 .method = xstrdup(method),
                                 .path = xstrdup(path),
                                 .next = s->all,
                                 .prev = &s->all};
    if (r->next)
        r->next->prev = &r->next;
    s->all = r;
    return r;
}

/* The connection is done with its request, for whatever reason. */
static void request_completed(void *server, struct MHD_Connection *connection, void **context,
                              enum MHD_RequestTerminationCode how)
{
    struct server_request *r = *context;
    (void)server;
    (void)connection;
    (void)how;
    *context = NULL;
    if (!r)
        return;
    *r->prev = r->next;
    if (r->next)
        r->next->prev = r->prev;
    r->server = NULL;
    r->connection = NULL;
    free_if_done(r);
}

static enum MHD_Result answer_plainly(struct MHD_Connection *connection, unsigned status,
                                      const char *text)
{
    struct MHD_Response *response =
        libmhd.create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_MUST_COPY);
    libmhd.add_response_header(response, "Content-Type", "application/json");
    enum MHD_Result result = libmhd.queue_response(connection, status, response);
    libmhd.destroy_response(response);
    return result;
}

static bool peer_of(struct MHD_Connection *connection, struct server_peer *ret_peer)
{
    const union MHD_ConnectionInfo *info =
        libmhd.get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct ucred peer;
    socklen_t len = sizeof peer;
    if (!info || getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
        return false;
    *ret_peer = (struct server_peer){.uid = peer.uid, .pid = peer.pid};
    return peer.uid == 0 || peer.uid == geteuid();
}

static bool announces_too_much(struct server *s, struct MHD_Connection *connection)
{
    const char *text =
        libmhd.lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Length");
    return text && strtoull(text, NULL, 10) > s->max_body;
}

static enum MHD_Result begin_request(struct server *s, struct MHD_Connection *connection,
                                     const char *method, const char *path, void **context)
{
    struct server_peer peer = {0};
    if (!peer_of(connection, &peer))
        return answer_plainly(
            connection, MHD_HTTP_FORBIDDEN,
            "{\"error\":\"only the owner of this socket and root may use it\"}\n");
    if (announces_too_much(s, connection))
        return answer_plainly(connection, MHD_HTTP_CONTENT_TOO_LARGE,
                              "{\"error\":\"the body is too large\"}\n");
    struct server_request *r = request_new(s, connection, method, path);
    r->peer = peer;
    *context = r;
    return MHD_YES;
}

static void suspend(struct server_request *r)
{
    r->suspended = true;
    libmhd.suspend_connection(r->connection);
}

static enum MHD_Result hand_over_soon(struct server_request *r)
{
    r->handed_over = r->held = true;
    *r->server->tail = r;
    r->server->tail = &r->ready_next;
    suspend(r);
    return MHD_YES;
}

/* Called by MHD when a request begins, for each piece of its body, when it is whole, and again
 * after we resumed its connection. */
static enum MHD_Result take_request(void *server, struct MHD_Connection *connection,
                                    const char *path, const char *method, const char *version,
                                    const char *upload, size_t *upload_size, void **context)
{
    struct server *s = server;
    struct server_request *r = *context;
    (void)version;
    if (!r)
        return begin_request(s, connection, method, path, context);
    if (*upload_size) {
        if (r->body.len + *upload_size > s->max_body)
            return MHD_NO; /* it did not announce its size: too late for an answer */
        buf_append(&r->body, upload, *upload_size);
        *upload_size = 0;
        return MHD_YES;
    }
    if (!r->handed_over)
        return hand_over_soon(r);
    if (!r->response)
        return MHD_NO; /* the server is being closed */
    enum MHD_Result result = libmhd.queue_response(connection, (unsigned)r->status, r->response);
    libmhd.destroy_response(r->response);
    r->response = NULL;
    return result;
}

/* ---- the daemon on the loop ---- */

static void step(struct server *s);

static void timer_due(uv_timer_t *timer) { step(timer->data); }

static void poll_ready(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    step(poll->data);
}

/* Handing over may answer at once, and even close the server. */
static void hand_over(struct server *s)
{
    while (s->ready) {
        struct server_request *r = s->ready;
        s->ready = r->ready_next;
        if (!s->ready)
            s->tail = &s->ready;
        s->on_request(s->data, r);
    }
}

static void arm_timer(struct server *s)
{
    MHD_UNSIGNED_LONG_LONG ms;
    if (libmhd.get_timeout(s->daemon, &ms) == MHD_YES)
        uv_timer_start(&s->timer, timer_due, ms, 0);
    else
        uv_timer_stop(&s->timer);
}

static void step(struct server *s)
{
    s->again = true;
    if (s->running)
        return;
    s->running = true;
    while (s->again && s->daemon) {
        s->again = false;
        libmhd.run(s->daemon);
        hand_over(s);
    }
    s->running = false;
    if (s->daemon)
        arm_timer(s);
}

static void silent(void *data, const char *format, va_list args)
{
    (void)data;
    (void)format;
    (void)args;
}

static struct MHD_Daemon *start_daemon(struct server *s)
{
    return libmhd.start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL,
                               take_request, s, MHD_OPTION_EXTERNAL_LOGGER, silent, NULL,
                               MHD_OPTION_LISTEN_SOCKET, s->socket.fd, MHD_OPTION_CONNECTION_LIMIT,
                               MAX_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, IDLE_S,
                               MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
                               MHD_OPTION_NOTIFY_COMPLETED, request_completed, s, MHD_OPTION_END);
}

static void free_server(uv_handle_t *handle)
{
    struct server *s = handle->data;
    if (--s->open_handles == 0)
        free(s);
}

static void watch_daemon(struct server *s)
{
    const union MHD_DaemonInfo *info = libmhd.get_daemon_info(s->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    uv_timer_init(&s->io->loop, &s->timer);
    uv_poll_init(&s->io->loop, &s->poll, info->epoll_fd);
    s->timer.data = s->poll.data = s;
    s->open_handles = 2;
    uv_poll_start(&s->poll, UV_READABLE, poll_ready);
}

struct server *server_open(struct io *io, const struct server_spec *spec,
                           server_request_fn *on_request, void *data, struct err *err)
{
    struct server *s = xcalloc(1, sizeof *s);
    *s = (struct server){
        .io = io, .max_body = spec->max_body, .on_request = on_request, .data = data};
    s->tail = &s->ready;
    if (libmhd_load(err) < 0 || server_socket_open(&s->socket, spec->path, spec->mode, err) < 0) {
        free(s);
        return NULL;
    }
    s->daemon = start_daemon(s);
    if (!s->daemon) {
        err_set(err, "io", "%s: cannot start the HTTP server", spec->path);
        server_socket_close(&s->socket);
        free(s);
        return NULL;
    }
    watch_daemon(s);
    return s;
}

/* MHD refuses to stop while connections sleep. */
static void resume_all(struct server *s)
{
    for (struct server_request *r = s->all; r; r = r->next)
        if (r->suspended) {
            r->suspended = false;
            libmhd.resume_connection(r->connection);
        }
}

void server_close(struct server *s)
{
    struct MHD_Daemon *daemon = s->daemon;
    s->daemon = NULL;
    uv_close((uv_handle_t *)&s->poll, free_server);
    uv_close((uv_handle_t *)&s->timer, free_server);
    server_socket_unlink(&s->socket); /* the daemon closes the descriptor */
    resume_all(s);
    libmhd.stop_daemon(daemon);
    while (s->ready) {
        struct server_request *r = s->ready;
        s->ready = r->ready_next;
        r->held = false;
        free_if_done(r);
    }
    s->tail = &s->ready;
}

/* ---- what a request says ---- */

const char *server_method(const struct server_request *request) { return request->method; }

const char *server_path(const struct server_request *request) { return request->path; }

const char *server_body(const struct server_request *request, size_t *ret_len)
{
    *ret_len = request->body.len;
    return request->body.data ? request->body.data : "";
}

struct server_peer server_peer(const struct server_request *request) { return request->peer; }

struct each {
    server_pair_fn *call;
    void *data;
};

static enum MHD_Result call_each(void *data, enum MHD_ValueKind kind, const char *name,
                                 const char *value)
{
    struct each *each = data;
    (void)kind;
    each->call(each->data, name, value ? value : "");
    return MHD_YES;
}

void server_each_header(struct server_request *request, server_pair_fn *call, void *data)
{
    struct each each = {call, data};
    if (request->connection)
        libmhd.get_connection_values(request->connection, MHD_HEADER_KIND, call_each, &each);
}

void server_each_parameter(struct server_request *request, server_pair_fn *call, void *data)
{
    struct each each = {call, data};
    if (request->connection)
        libmhd.get_connection_values(request->connection, MHD_GET_ARGUMENT_KIND, call_each, &each);
}

/* ---- answers ---- */

static void add_headers(struct MHD_Response *response, char *const *headers)
{
    for (; headers && *headers; headers++) {
        size_t name_len = strcspn(*headers, ":");
        if (!(*headers)[name_len])
            continue;
        char *name = xstrndup(*headers, name_len);
        const char *value = *headers + name_len + 1;
        libmhd.add_response_header(response, name, value + strspn(value, " \t"));
        free(name);
    }
}

static void wake(struct server_request *r)
{
    if (!r->suspended)
        return;
    r->suspended = false;
    libmhd.resume_connection(r->connection);
    step(r->server);
}

static bool send_response(struct server_request *r, struct MHD_Response *response, int status,
                          char *const *headers)
{
    add_headers(response, headers);
    r->response = response;
    r->status = status;
    wake(r);
    return true;
}

static void release(struct server_request *r)
{
    r->held = false;
    free_if_done(r);
}

bool server_respond(struct server_request *r, int status, char *const *headers, const char *body,
                    size_t len)
{
    bool open = r->connection != NULL;
    if (open)
        send_response(r,
                      libmhd.create_response_from_buffer(len, (void *)body, MHD_RESPMEM_MUST_COPY),
                      status, headers);
    release(r);
    return open;
}

/* Called by MHD for the next piece of a stream. */
static ssize_t read_stream(void *request, uint64_t position, char *to, size_t max)
{
    struct server_request *r = request;
    (void)position;
    size_t len = r->out.len < max ? r->out.len : max;
    if (len) {
        memcpy(to, r->out.data, len);
        buf_consume(&r->out, len);
        return (ssize_t)len;
    }
    if (r->stream_ended)
        return MHD_CONTENT_READER_END_OF_STREAM;
    suspend(r);
    return 0;
}

bool server_stream(struct server_request *r, int status, char *const *headers)
{
    if (!r->connection)
        return false;
    r->streaming = true;
    return send_response(
        r,
        libmhd.create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, read_stream, r, NULL),
        status, headers);
}

bool server_stream_write(struct server_request *r, const char *bytes, size_t len)
{
    bool behind = r->out.len > 0 && r->out.len + len > SERVER_STREAM_QUEUE;
    if (!r->connection || behind)
        return false;
    buf_append(&r->out, bytes, len);
    wake(r);
    return true;
}

void server_stream_close(struct server_request *r)
{
    r->stream_ended = true;
    if (r->connection)
        wake(r);
    release(r);
}

void server_discard(struct server_request *r)
{
    static const char text[] = "{\"error\":\"the request was not answered\"}\n";
    if (r->streaming)
        server_stream_close(r);
    else
        server_respond(r, MHD_HTTP_INTERNAL_SERVER_ERROR, NULL, text, sizeof text - 1);
}
