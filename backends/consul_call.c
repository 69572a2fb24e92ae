/* consul_call.c -- one question to Consul, asked at one address after the other. It stays with the
 * address that answered last. */
#include <stdlib.h>
#include <string.h>

#include "consul.h"
#include "core/buf.h"
#include "core/err.h"
#include "core/json_text.h"
#include "core/mem.h"
#include "io/http.h"
#include "io/io.h"

#define TIMEOUT_MS 10000 /* without a leader an agent takes 7 s to say so */
#define WAIT_GRACE_MS 5000
#define EMPTY_LEN 8          /* "[]" and line ends */
#define LAST_KNOWN_MS 300000 /* what a server without a leader knows counts no longer */

/* Owned by the loop: freed when its timer has closed. */
struct consul_call {
    uv_timer_t timer; /* for failing soon, from the loop */
    struct consul *consul;
    struct consul_call *next, **prev; /* consul.calls */
    struct consul_question of;        /* its strings are owned */
    struct http_op *http;             /* owned; NULL while nothing is asked */
    size_t address, tried;
    bool stale; /* this try asks for the last known */
    char *url, *token;
    struct err err; /* of all tries so far */
    consul_answered_fn *answered;
    void *data; /* borrowed */
};

/* ---- its life ---- */

static void call_free(uv_handle_t *timer)
{
    struct consul_call *call = timer->data;
    free((char *)call->of.method);
    free((char *)call->of.path);
    free((char *)call->of.query);
    free((char *)call->of.body);
    free(call->url);
    free(call->token);
    err_clear(&call->err);
    free(call);
}

static void call_close(struct consul_call *call)
{
    *call->prev = call->next;
    if (call->next)
        call->next->prev = call->prev;
    uv_close((uv_handle_t *)&call->timer, call_free);
}

void consul_call_cancel(struct consul_call *call)
{
    if (call->http)
        http_cancel(call->http);
    call->http = NULL;
    call_close(call);
}

static void deliver(struct consul_call *call, const struct consul_reply *reply)
{
    if (call->answered)
        call->answered(call->data, reply, reply ? NULL : &call->err);
    call_close(call);
}

static void fail_soon(uv_timer_t *timer) { deliver(timer->data, NULL); }

/* ---- asking at one address ---- */

static struct consul_address *address_of(const struct consul_call *call)
{
    return &call->consul->addresses[call->address];
}

static void make_url(struct consul_call *call)
{
    const struct consul *c = call->consul;
    struct buf url = {0};
    const char *mark = "?";
    buf_printf(&url, "%s%s", address_of(call)->url, call->of.path);
    if (call->of.query && *call->of.query) {
        buf_printf(&url, "?%s", call->of.query);
        mark = "&";
    }
    if (c->datacenter && !call->of.local) {
        buf_printf(&url, "%sdc=%s", mark, c->datacenter);
        mark = "&";
    }
    if (call->of.read && (c->stale || call->stale))
        buf_printf(&url, "%sstale", mark);
    else if (call->of.read && c->consistent)
        buf_printf(&url, "%sconsistent", mark);
    free(call->url);
    call->url = buf_take(&url);
}

static char **make_headers(const struct consul_call *call)
{
    char **headers = xcalloc(3, sizeof *headers);
    size_t count = 0;
    if (call->token)
        headers[count++] = xasprintf("X-Consul-Token: %s", call->token);
    if (call->of.body)
        headers[count++] = xstrdup("Content-Type: application/json");
    return headers;
}

static void free_headers(char **headers)
{
    for (char **h = headers; *h; h++) {
        explicit_bzero(*h, strlen(*h));
        free(*h);
    }
    free(headers);
}

static void answered(void *data, const struct http_response *response, const struct err *err);

static uint64_t timeout_of(const struct consul_call *call)
{
    uint64_t wait = call->of.wait_ms;
    return wait ? wait + wait / 16 + WAIT_GRACE_MS : TIMEOUT_MS;
}

static void ask(struct consul_call *call)
{
    const struct consul *c = call->consul;
    make_url(call);
    char **headers = make_headers(call);
    call->http = http_start(c->io,
                            &(struct http_request){
                                .method = call->of.method,
                                .url = call->url,
                                .headers = headers,
                                .body = call->of.body,
                                .body_len = call->of.body ? strlen(call->of.body) : 0,
                                .timeout_ms = timeout_of(call),
                                .max_bytes = call->of.max_bytes,
                                .ca = c->ca_file,
                                .cert = c->cert_file,
                                .key = c->key_file,
                                .server_name = c->server_name,
                                .reuse = !call->of.once, /* libcurl asks again if a kept one died */
                            },
                            answered, call);
    free_headers(headers);
}

/* ---- what comes back ---- */

static void add_failure(struct consul_call *call, const struct err *err)
{
    if (call->err.message)
        err_set(&call->err, err->code, "%s; %s", call->err.message, err->message);
    else
        err_set(&call->err, err->code, "%s", err->message);
}

/* Who let a watch wait beyond its time is frozen: what comes next is asked elsewhere first. */
static void leave(const struct consul_call *call)
{
    struct consul *c = call->consul;
    if (call->of.wait_ms && c->current == call->address)
        c->current = (call->address + 1) % c->address_count;
}

/* Asks the next address, or gives up. What has failed here makes the cursors of watches doubtful:
 * the server that answers next may have lost its data. */
static void go_on(struct consul_call *call, bool may_repeat)
{
    struct consul *c = call->consul;
    bool only_here = call->of.address || call->of.wait_ms;
    c->epoch++;
    if (++call->tried >= c->address_count || only_here || !may_repeat) {
        deliver(call, NULL);
        return;
    }
    call->address = (call->address + 1) % c->address_count;
    call->stale = false;
    ask(call);
}

/* The question was surely not understood by anybody. */
static bool never_arrived(const struct err *err)
{
    return strcmp(err->code, "refused") == 0 || strcmp(err->code, "not_found") == 0;
}

/* libcurl knows only that sending or receiving failed; TLS 1.3 tells after the handshake. */
static const char *certificate_hint(const struct consul_call *call, const struct err *err)
{
    const struct consul *c = call->consul;
    bool tls = strncmp(address_of(call)->url, "https:", 6) == 0;
    if (!tls || c->cert_file || strcmp(err->code, "io") != 0 ||
        strstr(err->message, "is not accepted") || strstr(err->message, "no TLS is spoken"))
        return "";
    return "; does it demand a client certificate? Then set consulCertFile and consulKeyFile";
}

static void not_reached(struct consul_call *call, const struct err *err)
{
    const char *reason = err->message;
    size_t len = strlen(call->url);
    if (strncmp(reason, call->url, len) == 0 && strncmp(reason + len, ": ", 2) == 0)
        reason += len + 2;
    bool arrived = !never_arrived(err);
    struct err shown = {0};
    err_set(&shown, strcmp(err->code, "not_found") == 0 ? "io" : err->code, "%s: %s%s%s",
            address_of(call)->shown, reason, certificate_hint(call, err),
            arrived && call->of.once ? "; whether it was done is not known" : "");
    add_failure(call, &shown);
    err_clear(&shown);
    if (strcmp(err->code, "timeout") == 0)
        leave(call);
    go_on(call, !call->of.once || !arrived);
}

static void refused(struct consul_call *call, const struct consul_reply *reply)
{
    struct err err = {0};
    consul_refusal(reply, &err);
    add_failure(call, &err);
    err_clear(&err);
    go_on(call, !call->of.once || consul_is_undone(reply));
}

static bool is_expected(const struct consul_call *call, const struct consul_reply *reply)
{
    if (call->of.expects == CONSUL_ANY || reply->same ||
        (reply->status != 200 && reply->status != 409))
        return true;
    if (call->of.expects == CONSUL_NOTHING)
        return reply->body_len == 0;
    return call->of.expects == CONSUL_OBJECT ? json_is_object(reply->json)
                                             : json_is_array(reply->json);
}

static void not_understood(struct consul_call *call, const struct consul_reply *reply)
{
    struct err err = {0};
    consul_fail("bad_reply", reply, "its answer is not what was expected",
                "; is this the HTTP port of a Consul agent?", &err);
    add_failure(call, &err);
    err_clear(&err);
    go_on(call, !call->of.once);
}

/* Without a leader, one server's knowledge may do, unless that server has just begun. */
static bool ask_last_known(struct consul_call *call)
{
    const struct consul *c = call->consul;
    if (!call->of.last_known || call->stale || c->stale || c->consistent || call->of.wait_ms)
        return false;
    call->stale = true;
    ask(call);
    return true;
}

static void judge(struct consul_call *call, const struct consul_reply *reply)
{
    if (consul_is_leaderless(reply)) {
        if (!ask_last_known(call))
            refused(call, reply);
    } else if (call->stale && reply->contact_ms > LAST_KNOWN_MS) {
        struct err err = {0};
        consul_fail("io", reply, "the Consul cluster has no leader now", "", &err);
        add_failure(call, &err);
        err_clear(&err);
        go_on(call, true);
    } else if (!is_expected(call, reply)) {
        not_understood(call, reply);
    } else {
        call->consul->current = call->address;
        deliver(call, reply);
    }
}

/* The same index is the same answer, unless the token's rights have changed: then it is empty. */
static bool is_same(const struct consul_call *call, const struct consul_reply *reply)
{
    return call->of.known_index && reply->status == 200 && reply->index == call->of.known_index &&
           reply->body_len > EMPTY_LEN;
}

static json_t *read_json(const struct consul_call *call, const struct consul_reply *reply)
{
    if (call->of.expects != CONSUL_OBJECT && call->of.expects != CONSUL_ARRAY)
        return NULL;
    return json_text_read(reply->body, reply->body_len, JSON_ALLOW_NUL);
}

static void answered(void *data, const struct http_response *response, const struct err *err)
{
    struct consul_call *call = data;
    call->http = NULL;
    if (err) {
        not_reached(call, err);
        return;
    }
    struct consul_reply reply = {.address = address_of(call)->shown,
                                 .status = response->status,
                                 .body = response->body,
                                 .body_len = response->body_len,
                                 .token = call->token,
                                 .stale = call->stale};
    consul_read_headers(&reply, response->headers);
    reply.same = is_same(call, &reply);
    json_t *json = reply.same ? NULL : read_json(call, &reply);
    reply.json = json;
    judge(call, &reply);
    json_decref(json);
}

/* ---- starting ---- */

struct consul_call *consul_ask(struct consul *c, const struct consul_question *question,
                               consul_answered_fn *answered_fn, void *data)
{
    struct consul_call *call = xcalloc(1, sizeof *call);
    call->consul = c;
    call->of = *question;
    call->of.method = xstrdup(question->method ? question->method : "GET");
    call->of.path = xstrdup(question->path);
    call->of.query = xstrdup(question->query);
    call->of.body = xstrdup(question->body);
    call->address = question->address ? question->address - 1 : c->current;
    call->answered = answered_fn;
    call->data = data;
    call->timer.data = call;
    uv_timer_init(&c->io->loop, &call->timer);
    call->prev = &c->calls;
    call->next = c->calls;
    if (call->next)
        call->next->prev = &call->next;
    c->calls = call;
    if (consul_read_token(c, &call->token, &call->err) < 0)
        uv_timer_start(&call->timer, fail_soon, 0, 0);
    else
        ask(call);
    return call;
}

void consul_tell(struct consul *c, const struct consul_question *question)
{
    consul_ask(c, question, NULL, NULL);
}
