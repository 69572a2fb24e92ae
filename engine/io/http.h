/* http.h -- HTTP requests over the loop: libcurl for the protocol and TLS, io/dns.h for names.
 *
 * Deadlines are exact: a timer of our own covers names, connecting and the last byte of the body.
 * There is no proxy, no cookie, no cache; only http and https. `done` is called exactly once,
 * always later and from the loop, unless the operation is cancelled first; what it is given is
 * valid only during the call. Everything in a request is copied. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;
struct http_op;
struct io;

#define HTTP_TIMEOUT_MS 10000
#define HTTP_MAX_BYTES (1024 * 1024)

struct http_request {
    const char *method; /* NULL: GET, or POST if there is a body */
    const char *url;
    char *const *headers; /* "Name: value", NULL-terminated; may be NULL */
    const char *body;     /* NULL: none */
    size_t body_len;
    uint64_t timeout_ms;         /* 0: HTTP_TIMEOUT_MS; of a stream: until its headers */
    size_t max_bytes;            /* of the body; 0: HTTP_MAX_BYTES; of a stream: of one line */
    const char *unix_path;       /* connect to this socket; the URL's host is then only a name */
    bool follow_redirects;       /* at most 5 */
    const char *ca, *cert, *key; /* PEM files */
    const char *server_name;     /* the name that the certificate must have, instead of the URL's */
    bool no_verify;
    bool no_deadline;  /* the caller has its own, and cancels; timeout_ms then bounds only names */
    bool reuse;        /* may go over a kept connection, and keep its own */
    bool connect_only; /* connecting, with TLS for https, is all; see http_say() */
};

struct http_response {
    int status;
    const char *headers; /* the raw lines, each ending in CR LF */
    const char *body;    /* NUL-terminated */
    size_t body_len;
    uint64_t elapsed_us;
};

/* `response` is NULL exactly when `err` is set. */
typedef void http_done_fn(void *data, const struct http_response *response, const struct err *err);

struct http_op *http_start(struct io *io, const struct http_request *request, http_done_fn *done,
                           void *data);
void http_cancel(struct http_op *op);

/* The same request again and again: what is made of it once is kept, so that starting it allocates
 * nothing. Free it only when none of its operations is pending. */
struct http_plan;
struct http_plan *http_plan_new(const struct http_request *request);
void http_plan_free(struct http_plan *plan);
struct http_op *http_plan_start(struct io *io, struct http_plan *plan, http_done_fn *done,
                                void *data);

bool http_resolves(const struct http_op *op); /* the host's address is not known yet */

/* ---- a connection over which bytes go as they are (connect_only) ----
 *
 * Once `done` had no error, it is the caller's until http_cancel(), and has no deadline. Both give
 * the number of bytes, hearing 0 at the end; or -1 with *ret_why, which is NULL if the socket is to
 * be waited for. */
int http_socket(struct http_op *op); /* nobody else watches it; closed by http_cancel() */
ssize_t http_say(struct http_op *op, const char *bytes, size_t len, const char **ret_why);
ssize_t http_hear(struct http_op *op, char *bytes, size_t size, const char **ret_why);

/* ---- a body that is read line by line while it comes ----
 *
 * `changed` is called from the loop whenever the functions below may tell something new. It may
 * close the stream. A reader that falls behind stops the sender, not the loop. */
typedef void http_changed_fn(void *data);

struct http_op *http_stream_start(struct io *io, const struct http_request *request,
                                  http_changed_fn *changed, void *data);

enum http_stream_state { HTTP_STREAM_WAITING, HTTP_STREAM_READY, HTTP_STREAM_ENDED };

/* WAITING until the headers are here. */
enum http_stream_state http_stream_head(struct http_op *op, struct http_response *ret_head);

/* The next line without its line end, valid until the next call; WAITING while there is no whole
 * one. After ENDED, http_stream_error() tells why. */
enum http_stream_state http_stream_line(struct http_op *op, const char **ret_line, size_t *ret_len);

/* NULL if the body came to its end. */
const struct err *http_stream_error(struct http_op *op);
void http_stream_close(struct http_op *op);

/* ---- for io_close() ---- */
void http_close(struct io *io);
