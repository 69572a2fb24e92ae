/* server.h -- an HTTP server on a Unix socket that only its owner and root may use.
 *
 * libmicrohttpd on a socket of ours, without threads. A request is handed over whole, and its
 * connection sleeps until it is answered. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct err;
struct io;
struct server;
struct server_request;

struct server_spec {
    const char *path;
    mode_t mode;     /* of the socket file */
    size_t max_body; /* of a request */
};

/* A whole request has come: the callee owns it and must end it by server_respond() or
 * server_discard(). Called from the loop. */
typedef void server_request_fn(void *data, struct server_request *request);

/* Listens. A socket file that nobody answers is replaced; a live one fails with "exists". */
struct server *server_open(struct io *io, const struct server_spec *spec,
                           server_request_fn *on_request, void *data, struct err *err);

/* Ends all connections and removes the socket file. Requests not yet ended stay valid to be ended.
 */
void server_close(struct server *server);

struct server_peer {
    uid_t uid;
    pid_t pid;
};

const char *server_method(const struct server_request *request);
const char *server_path(const struct server_request *request); /* decoded */
const char *server_body(const struct server_request *request, size_t *ret_len);
struct server_peer server_peer(const struct server_request *request);

typedef void server_pair_fn(void *data, const char *name, const char *value);

/* Each header or query parameter; valid until the request is answered. */
void server_each_header(struct server_request *request, server_pair_fn *each, void *data);
void server_each_parameter(struct server_request *request, server_pair_fn *each, void *data);

/* Answers and ends the request. `headers` are "Name: value" lines, NULL-terminated; may be NULL.
 * Returns false if the client has gone. */
bool server_respond(struct server_request *request, int status, char *const *headers,
                    const char *body, size_t len);

/* Starts an answer without an announced length; the request then carries the stream, and is ended
 * by server_stream_close(). False if the client has gone. */
bool server_stream(struct server_request *request, int status, char *const *headers);

/* Bytes a slow reader may be behind; one write to who is not behind may be longer. */
#define SERVER_STREAM_QUEUE (4 * 1024 * 1024)

/* Queues bytes. False if the client has gone or is too far behind; a client that vanished while
 * nothing was written shows only then, so a long silence wants a heartbeat. */
bool server_stream_write(struct server_request *request, const char *bytes, size_t len);
void server_stream_close(struct server_request *request);

/* Ends a request that nobody will answer: the client gets 500, or the end of its stream. */
void server_discard(struct server_request *request);
