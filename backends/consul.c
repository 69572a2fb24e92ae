/* consul.c -- the consul backend: an agent's services, each with a check that must be renewed. */
#include "consul.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "consul_record.h"
#include "core/buf.h"
#include "core/err.h"
#include "core/instance.h"
#include "core/mem.h"
#include "io/io.h"

/* ---- life of an operation ---- */

static void op_free(uv_handle_t *timer)
{
    struct consul_op *op = timer->data;
    struct backend_request *r = &op->request;
    free((char *)r->service);
    free((char *)r->id);
    free((char *)r->cursor);
    free((char *)r->key);
    free((char *)r->value);
    free((char *)r->lock);
    if (op->free_more)
        op->free_more(op->more);
    free(op);
}

static void op_stop(struct consul_op *op)
{
    if (op->call)
        consul_call_cancel(op->call);
    op->call = NULL;
    consul_turn_end(op);
    uv_close((uv_handle_t *)&op->timer, op_free);
}

void consul_op_answer(struct consul_op *op, const struct backend_answer *answer)
{
    op->done(op->data, answer);
    op_stop(op);
}

void consul_op_fail(struct consul_op *op, struct err *err)
{
    consul_op_answer(op, &(struct backend_answer){.err = err});
    err_clear(err);
}

uint64_t consul_op_left_ms(const struct consul_op *op)
{
    uint64_t now = uv_now(&op->consul->io->loop);
    return now < op->deadline_ms ? op->deadline_ms - now : 0;
}

bool consul_op_failed(struct consul_op *op, const struct consul_reply *reply, const struct err *err)
{
    op->call = NULL;
    if (err) {
        consul_op_answer(op, &(struct backend_answer){.err = err});
        return true;
    }
    if (reply->status == 200)
        return false;
    struct err refusal = {0};
    consul_refusal(reply, &refusal);
    consul_op_fail(op, &refusal);
    return true;
}

/* ---- registering ---- */

static void registered(void *data, const struct consul_reply *reply, const struct err *err)
{
    struct consul_op *op = data;
    struct consul *c = op->consul;
    if (consul_op_failed(op, reply, err))
        return;
    c->addresses[c->current].registered = true;
    consul_op_answer(op, &(struct backend_answer){0});
}

static void register_now(struct consul_op *op)
{
    op->call = consul_ask(op->consul,
                          &(struct consul_question){.method = "PUT",
                                                    .path = "/v1/agent/service/register",
                                                    .query = "replace-existing-checks=true",
                                                    .body = op->more,
                                                    .expects = CONSUL_NOTHING,
                                                    .local = true},
                          registered, op);
}

static void datacenter_told(void *data, const struct consul_reply *reply, const struct err *err)
{
    struct consul_op *op = data;
    struct consul *c = op->consul;
    const char *name = reply && reply->status == 200 ? consul_read_datacenter(reply->json) : NULL;
    if (err) {
        consul_op_failed(op, reply, err);
    } else if (name && strcmp(name, c->datacenter) != 0) {
        struct err other = {0};
        op->call = NULL;
        consul_fail("invalid", reply,
                    "this agent's datacenter is not the one that consulDatacenter "
                    "names",
                    ": register with an agent there", &other);
        consul_op_fail(op, &other);
    } else {
        c->addresses[c->current].in_datacenter = true;
        register_now(op);
    }
}

/* An agent registers in its own datacenter, where nobody would look for it if another is named. */
static void ask_datacenter(struct consul_op *op)
{
    struct consul *c = op->consul;
    if (!c->datacenter || c->addresses[c->current].in_datacenter)
        register_now(op);
    else
        op->call =
            consul_ask(c,
                       &(struct consul_question){
                           .path = "/v1/agent/self", .expects = CONSUL_OBJECT, .local = true},
                       datacenter_told, op);
}

static void refuse_record(uv_timer_t *timer)
{
    struct consul_op *op = timer->data;
    consul_op_answer(op, &(struct backend_answer){.err = op->more});
}

static void free_err(void *err)
{
    err_clear(err);
    free(err);
}

static void start_register(struct consul_op *op, const struct instance *record)
{
    struct err *err = xcalloc(1, sizeof *err);
    op->more = consul_record_body(record, op->request.ttl_s, err);
    op->free_more = free;
    if (op->more) {
        free(err);
        ask_datacenter(op);
        return;
    }
    op->more = err;
    op->free_more = free_err;
    uv_timer_start(&op->timer, refuse_record, 0, 0);
}

/* The path of an agent's endpoint for the record that is meant, for free(). */
static char *path_of(const struct consul_op *op, const char *before)
{
    struct buf path = {0};
    char *id = consul_record_id(op->request.service, op->request.id);
    buf_puts(&path, before);
    consul_escape(&path, id, "-._~@:");
    free(id);
    return buf_take(&path);
}

/* ---- renewing ---- */

static bool is_unknown_check(const struct consul_reply *reply)
{
    return (reply->status == 500 || reply->status == 404) &&
           (strstr(reply->body, "does not have associated TTL") ||
            strstr(reply->body, "Unknown check"));
}

static void renewed(void *data, const struct consul_reply *reply, const struct err *err)
{
    struct consul_op *op = data;
    struct err unknown = {0};
    if (reply && is_unknown_check(reply)) {
        op->call = NULL;
        err_set(&unknown, "not_found", "%s: the agent does not have %s of %s any more: register it",
                reply->address, op->request.id, op->request.service);
        consul_op_fail(op, &unknown);
    } else if (!consul_op_failed(op, reply, err)) {
        consul_op_answer(op, &(struct backend_answer){0});
    }
}

static void start_renew(struct consul_op *op)
{
    char *path = path_of(op, "/v1/agent/check/pass/service:");
    op->call =
        consul_ask(op->consul,
                   &(struct consul_question){
                       .method = "PUT", .path = path, .expects = CONSUL_NOTHING, .local = true},
                   renewed, op);
    free(path);
}

/* ---- deregistering ---- */

static void deregistered(void *data, const struct consul_reply *reply, const struct err *err)
{
    struct consul_op *op = data;
    bool unknown = reply && reply->status == 404 && strstr(reply->body, "Unknown service");
    if (unknown)
        op->call = NULL;
    if (unknown || !consul_op_failed(op, reply, err))
        consul_op_answer(op, &(struct backend_answer){0});
}

/* An agent that was left when it did not answer may still have the record, and be back. */
static void tell_former_agents(struct consul *c, const char *path)
{
    for (size_t i = 0; i < c->address_count; i++)
        if (i != c->current && c->addresses[i].registered)
            consul_tell(c, &(struct consul_question){
                               .method = "PUT", .path = path, .local = true, .address = i + 1});
}

static void start_deregister(struct consul_op *op)
{
    char *path = path_of(op, "/v1/agent/service/deregister/");
    tell_former_agents(op->consul, path);
    op->call =
        consul_ask(op->consul,
                   &(struct consul_question){
                       .method = "PUT", .path = path, .expects = CONSUL_NOTHING, .local = true},
                   deregistered, op);
    free(path);
}

/* ---- the interface ---- */

static void *consul_open(struct io *io, const json_t *options, struct err *err)
{
    struct consul *c = xcalloc(1, sizeof *c);
    c->io = io;
    if (consul_read_options(c, options, err) < 0) {
        consul_free_options(c);
        free(c);
        return NULL;
    }
    if (getrandom(&c->epoch, sizeof c->epoch, GRND_NONBLOCK) < 0)
        c->epoch = (uint32_t)uv_hrtime();
    return c;
}

static void consul_close(void *self)
{
    struct consul *c = self;
    while (c->calls)
        consul_call_cancel(c->calls);
    consul_free_options(c);
    free(c);
}

static struct consul_op *op_new(struct consul *c, const struct backend_request *request)
{
    struct consul_op *op = xcalloc(1, sizeof *op);
    struct backend_request *r = &op->request;
    op->consul = c;
    *r = *request;
    r->record = NULL;
    r->service = xstrdup(request->service);
    r->id = xstrdup(request->id);
    r->cursor = xstrdup(request->cursor);
    r->key = xstrdup(request->key);
    r->lock = xstrdup(request->lock);
    bool counted = request->verb == BACKEND_KV_PUT;
    r->value = !request->value ? NULL
               : counted       ? xstrndup(request->value, request->value_len)
                               : xstrdup(request->value);
    op->timer.data = op;
    uv_update_time(&c->io->loop);
    uv_timer_init(&c->io->loop, &op->timer);
    op->deadline_ms = uv_now(&c->io->loop) + request->timeout_ms;
    return op;
}

static void start_verb(struct consul_op *op)
{
    static void (*const verbs[])(struct consul_op * op) = {
        [BACKEND_RENEW] = start_renew,          [BACKEND_DEREGISTER] = start_deregister,
        [BACKEND_LOOKUP] = consul_start_lookup, [BACKEND_SERVICES] = consul_start_services,
        [BACKEND_LOCK] = consul_start_lock,     [BACKEND_RENEW_LOCK] = consul_start_renew_lock,
        [BACKEND_UNLOCK] = consul_start_unlock, [BACKEND_KV_GET] = consul_start_kv_get,
        [BACKEND_KV_PUT] = consul_start_kv_put, [BACKEND_KV_DELETE] = consul_start_kv_delete,
    };
    verbs[op->request.verb](op);
}

static void *consul_start(void *self, const struct backend_request *request, backend_done_fn *done,
                          void *data)
{
    struct consul_op *op = op_new(self, request);
    op->done = done;
    op->data = data;
    if (request->verb == BACKEND_REGISTER)
        start_register(op, request->record);
    else
        start_verb(op);
    return op;
}

static void consul_cancel(void *self, void *data)
{
    struct consul_op *op = data;
    (void)self;
    if (op->cancelled)
        op->cancelled(op);
    op_stop(op);
}

static json_t *consul_sketch(void *self, const struct instance *record, uint64_t ttl_s,
                             struct err *err)
{
    (void)self;
    char *text = consul_record_body(record, ttl_s, err);
    json_t *body = text ? json_loads(text, 0, NULL) : NULL;
    free(text);
    return body;
}

const struct backend backend_consul = {.name = "consul",
                                       .can_watch = true,
                                       .can_lock = true,
                                       .can_kv = true,
                                       .options = consul_options,
                                       .open = consul_open,
                                       .start = consul_start,
                                       .cancel = consul_cancel,
                                       .close = consul_close,
                                       .sketch = consul_sketch};
