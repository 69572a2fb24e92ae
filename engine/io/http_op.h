/* http_op.h -- a request on its way: what the rooms of http.h share, and nobody else sees. */
#pragma once
#include <uv.h>

#include "core/buf.h"
#include "core/err.h"
#include "io/http.h"
#include "io/http_multi.h"
#include "io/http_request.h"

#define HTTP_MAX_HEADERS (64 * 1024)

/* Owned by the loop. Those of plain requests are kept for the next one, with libcurl's handle. */
struct http_op {
    struct http_transfer transfer; /* first: a transfer is its operation */
    struct io *io;                 /* borrowed */
    struct http_plan *plan;        /* borrowed, or `own` */
    struct http_plan own;          /* embedded: what nobody else has planned, a redirect too */
    struct http_told told;         /* to libcurl's handle */
    struct dns_op *dns;            /* while the host is being resolved */
    struct curl_slist *addresses;  /* owned; libcurl reads them */
    struct http_op *next_idle;     /* io->http_idle */
    uv_timer_t deadline;
    uint64_t started_ns;
    int redirects;
    int status;      /* 0 until the status line is here */
    bool head_ended; /* the blank line after the headers is here */
    bool too_big;    /* why we stopped libcurl */
    bool head_too_big;
    bool stream, ended, paused;
    struct buf head, body;
    size_t line_at, scanned; /* stream: where the next line starts, how far it was looked at */
    struct err err;
    char curl_error[CURL_ERROR_SIZE];
    http_done_fn *done;
    http_changed_fn *changed;
    void *data; /* borrowed */
};

/* Without a plan it makes its own, of the request. `done` or `changed` is the caller's to set. */
struct http_op *http_op_start(struct io *io, struct http_plan *plan,
                              const struct http_request *request, void *data);

struct http_response http_op_response(struct http_op *op);

/* What libcurl says of a failure, in its own words. */
const char *http_op_detail(const struct http_op *op, CURLcode code);

/* Sets op->err to why the transfer failed. */
void http_op_fail(struct http_op *op, CURLcode code);
