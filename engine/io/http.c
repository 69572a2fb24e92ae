#include "io/http.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "io/dns.h"
#include "io/http_op.h"
#include "io/io.h"

#define MAX_REDIRECTS 5
#define MAX_IDLE 256u /* operations kept for the next request */
#define MAX_IDLE_BODY (16 * 1024u)
/* What the reader of a stream may be behind before its sender waits. */
#define STREAM_AHEAD (64 * 1024)

static void end_transfer(struct http_op *op)
{
    http_multi_remove(&op->transfer);
    if (op->addresses)
        libcurl.slist_free_all(op->addresses);
    op->addresses = NULL;
}

static void free_easy(struct http_op *op)
{
    if (op->transfer.easy)
        libcurl.easy_cleanup(op->transfer.easy);
    op->transfer.easy = NULL;
    op->told = (struct http_told){0};
}

static void free_op(uv_handle_t *timer)
{
    struct http_op *op = timer->data;
    buf_free(&op->head);
    buf_free(&op->body);
    free(op);
}

static bool may_be_kept(const struct http_op *op)
{
    return !op->stream && !op->transfer.stays && op->io->http_idle_count < MAX_IDLE &&
           op->body.cap <= MAX_IDLE_BODY;
}

static void keep_idle(struct http_op *op)
{
    uv_timer_stop(&op->deadline);
    op->next_idle = op->io->http_idle;
    op->io->http_idle = op;
    op->io->http_idle_count++;
}

/* The one way out. */
static void op_close(struct http_op *op)
{
    bool kept = may_be_kept(op);
    if (op->dns)
        dns_cancel(op->dns);
    op->dns = NULL;
    end_transfer(op);
    http_plan_close(&op->own);
    err_clear(&op->err);
    op->plan = NULL;
    if (kept) {
        keep_idle(op);
        return;
    }
    free_easy(op);
    uv_close((uv_handle_t *)&op->deadline, free_op);
}

void http_cancel(struct http_op *op) { op_close(op); }

bool http_resolves(const struct http_op *op) { return op->dns != NULL; }

void http_stream_close(struct http_op *op) { op_close(op); }

static const char *headers_of(struct http_op *op)
{
    char *end_of_status = op->head.data ? strchr(op->head.data, '\n') : NULL;
    return end_of_status ? end_of_status + 1 : "";
}

struct http_response http_op_response(struct http_op *op)
{
    return (struct http_response){
        .status = op->status,
        .headers = headers_of(op),
        .body = op->body.data ? op->body.data : "",
        .body_len = op->body.len,
        .elapsed_us = (uv_hrtime() - op->started_ns) / 1000,
    };
}

/* Ends the exchange: op->err tells how. */
static void finish(struct http_op *op)
{
    bool failed = op->err.code != NULL;
    if (op->stream) {
        op->ended = true;
        uv_timer_stop(&op->deadline);
        op->changed(op->data);
        return;
    }
    struct http_response response = http_op_response(op);
    if (op->transfer.stays && !failed) {
        uv_timer_stop(&op->deadline);
        op->done(op->data, &response, NULL);
        return;
    }
    op->done(op->data, failed ? NULL : &response, failed ? &op->err : NULL);
    op_close(op);
}

static void deadline_passed(uv_timer_t *timer)
{
    struct http_op *op = timer->data;
    const char *what = op->status ? "its answer was not complete" : "no answer";
    if (!op->err.code)
        err_set(&op->err, "timeout", "%s: %s within %g s", op->plan->request.shown_url, what,
                (double)op->plan->request.of.timeout_ms / 1000);
    if (op->dns)
        dns_cancel(op->dns);
    op->dns = NULL;
    end_transfer(op);
    finish(op);
}

/* Ends the exchange from the loop, not from within http_start(). */
static void fail_soon(struct http_op *op) { uv_timer_start(&op->deadline, deadline_passed, 0, 0); }

/* ---- what libcurl hands us ---- */

static size_t take_header(char *line, size_t size, size_t count, void *data)
{
    struct http_op *op = data;
    size_t len = size * count;
    if (len > 5 && memcmp(line, "HTTP/", 5) == 0) {
        buf_consume(&op->head, op->head.len); /* a 100 came before, or this is the next hop */
        op->status = 0;
    }
    op->head_too_big = op->head.len + len > HTTP_MAX_HEADERS;
    op->too_big = !op->stream && http_is_too_big(&op->plan->request.of, line, len);
    if (op->head_too_big || op->too_big)
        return 0;
    if (len == 2 && op->head.len) {
        long status = 0;
        libcurl.easy_getinfo(op->transfer.easy, CURLINFO_RESPONSE_CODE, &status);
        op->status = (int)status;
        if (op->stream && status >= 200) {
            op->head_ended = true;
            uv_timer_stop(&op->deadline);
            http_multi_touch(op->io, &op->transfer);
        }
        return len;
    }
    buf_append(&op->head, line, len);
    return len;
}

/* What the reader has looked at holds no line end: a long line is not looked at again and again. */
static bool has_line(struct http_op *op)
{
    return op->body.len > op->scanned &&
           memchr(op->body.data + op->scanned, '\n', op->body.len - op->scanned);
}

static size_t take_body(char *bytes, size_t size, size_t count, void *data)
{
    struct http_op *op = data;
    size_t len = size * count, held = op->body.len - op->line_at;
    if (op->stream && held >= STREAM_AHEAD && has_line(op)) {
        op->paused = true;
        return CURL_WRITEFUNC_PAUSE;
    }
    if (held + len > op->plan->request.of.max_bytes && !(op->stream && has_line(op))) {
        op->too_big = true;
        return 0;
    }
    buf_append(&op->body, bytes, len);
    if (op->stream)
        http_multi_touch(op->io, &op->transfer);
    return len;
}

/* ---- one hop: resolve, then transfer ---- */

static void start_hop(struct http_op *op);

static bool is_redirect(struct http_op *op)
{
    return op->plan->request.of.follow_redirects && !op->stream &&
           (op->status == 301 || op->status == 302 || op->status == 303 || op->status == 307 ||
            op->status == 308);
}

/* Goes on as the request that the redirect asks for. */
static void replan(struct http_op *op, const char *location)
{
    struct http_plan next = {0};
    http_copy_init(&next.request, &op->plan->request.of);
    http_copy_show(&next.request, op->plan->request.shown_url);
    http_copy_redirect(&next.request, op->status, location);
    buf_consume(&op->body, op->body.len);
    end_transfer(op);
    http_plan_close(&op->own);
    op->own = next;
    op->plan = &op->own;
    if (http_plan_make(op->plan, &op->err) < 0)
        fail_soon(op);
    else
        start_hop(op);
}

/* Follows a Location, if there is one. Each hop is resolved by us, and by the same deadline. */
static bool follow(struct http_op *op)
{
    char *location = NULL;
    if (!is_redirect(op))
        return false;
    libcurl.easy_getinfo(op->transfer.easy, CURLINFO_REDIRECT_URL, &location);
    if (!location)
        return false;
    if (op->redirects++ == MAX_REDIRECTS) {
        err_set(&op->err, "bad_reply", "%s: redirected more than %d times",
                op->plan->request.shown_url, MAX_REDIRECTS);
        return false;
    }
    replan(op, location);
    return true;
}

static void transfer_done(struct http_transfer *transfer, CURLcode code)
{
    struct http_op *op = (struct http_op *)transfer;
    if (code != CURLE_OK)
        http_op_fail(op, code);
    else if (follow(op))
        return;
    finish(op);
}

static void transfer_touched(struct http_transfer *transfer)
{
    struct http_op *op = (struct http_op *)transfer;
    op->changed(op->data);
}

static void configure(struct http_op *op)
{
    CURL *easy = op->transfer.easy;
    if (op->told.id != op->plan->id) {
        http_plan_configure(op->plan, &op->told, easy);
        libcurl.easy_setopt(easy, CURLOPT_ERRORBUFFER, op->curl_error);
        libcurl.easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
        libcurl.easy_setopt(easy, CURLOPT_HEADERDATA, op);
        libcurl.easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_body);
        libcurl.easy_setopt(easy, CURLOPT_WRITEDATA, op);
        http_multi_configure(op->io, &op->transfer);
        op->told = (struct http_told){.id = op->plan->id, .plain = op->plan->plain};
    }
    libcurl.easy_setopt(easy, CURLOPT_RESOLVE, op->addresses);
}

static void start_transfer(struct http_op *op)
{
    if (!op->transfer.easy)
        op->transfer.easy = libcurl.easy_init();
    if (!op->transfer.easy)
        abort();
    op->curl_error[0] = '\0';
    op->status = 0;
    op->transfer.stays = op->plan->request.of.connect_only;
    configure(op);
    if (http_multi_add(op->io, &op->transfer, &op->err) < 0)
        fail_soon(op);
}

static void host_resolved(void *data, const struct dns_addresses *addresses, const struct err *err)
{
    struct http_op *op = data;
    op->dns = NULL;
    if (err) {
        err_set(&op->err, err->code, "%s: %s", op->plan->request.shown_url, err->message);
        finish(op);
        return;
    }
    op->addresses = http_target_addresses(&op->plan->target, addresses);
    start_transfer(op);
}

static void start_hop(struct http_op *op)
{
    const struct http_request *request = &op->plan->request.of;
    const char *host = op->plan->target.host;
    union dns_address numeric;
    if (request->unix_path || dns_numeric(host, &numeric))
        start_transfer(op);
    else
        op->dns = dns_resolve(op->io, host, request->timeout_ms, host_resolved, op);
}

/* ---- operations ---- */

static struct http_op *new_op(struct io *io)
{
    struct http_op *op = xcalloc(1, sizeof *op);
    op->io = io;
    op->transfer = (struct http_transfer){.done = transfer_done, .touched = transfer_touched};
    uv_timer_init(&io->loop, &op->deadline);
    op->deadline.data = op;
    return op;
}

static struct http_op *idle_op(struct io *io)
{
    struct http_op *op = io->http_idle;
    io->http_idle = op->next_idle;
    io->http_idle_count--;
    op->redirects = op->status = 0;
    op->head_ended = op->too_big = op->head_too_big = op->paused = op->ended = false;
    buf_consume(&op->head, op->head.len);
    buf_consume(&op->body, op->body.len);
    op->line_at = op->scanned = 0;
    return op;
}

struct http_op *http_op_start(struct io *io, struct http_plan *plan,
                              const struct http_request *request, void *data)
{
    struct http_op *op = io->http_idle ? idle_op(io) : new_op(io);
    op->data = data;
    op->started_ns = uv_hrtime();
    op->plan = plan ? plan : &op->own;
    if (!plan)
        http_copy_init(&op->own.request, request);
    uv_update_time(&io->loop);
    if (!op->plan->request.of.no_deadline)
        uv_timer_start(&op->deadline, deadline_passed, op->plan->request.of.timeout_ms, 0);
    if (!op->plan->id && http_plan_make(op->plan, &op->err) < 0)
        fail_soon(op);
    else
        start_hop(op);
    return op;
}

struct http_op *http_start(struct io *io, const struct http_request *request, http_done_fn *done,
                           void *data)
{
    struct http_op *op = http_op_start(io, NULL, request, data);
    op->done = done;
    return op;
}

struct http_plan *http_plan_new(const struct http_request *request)
{
    struct http_plan *plan = xcalloc(1, sizeof *plan);
    http_copy_init(&plan->request, request);
    return plan;
}

void http_plan_free(struct http_plan *plan)
{
    if (plan)
        http_plan_close(plan);
    free(plan);
}

struct http_op *http_plan_start(struct io *io, struct http_plan *plan, http_done_fn *done,
                                void *data)
{
    struct http_op *op = http_op_start(io, plan, NULL, data);
    op->done = done;
    return op;
}

void http_close(struct io *io)
{
    while (io->http_idle) {
        struct http_op *op = io->http_idle;
        io->http_idle = op->next_idle;
        free_easy(op);
        uv_close((uv_handle_t *)&op->deadline, free_op);
    }
    io->http_idle_count = 0;
    http_multi_close(io);
}
