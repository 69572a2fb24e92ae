/* etcd.c -- the etcd backend: records as keys under leases, over the v3 gateway of etcd 3.4 and
 * later. Here is how its requests run; the verbs are etcd_record.c, etcd_lookup.c and etcd_lock.c.
 */
#include "etcd.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/instance.h"
#include "core/mem.h"
#include "io/io.h"

#define DEFAULT_PREFIX "/atproto/services"

/* ---- life of a request ---- */

static void op_free(uv_handle_t *timer)
{
    struct etcd_op *op = timer->data;
    free(op->key);
    free(op->end);
    free(op->service);
    free(op->value);
    free(op);
}

static void op_stop(struct etcd_op *op)
{
    if (op->call)
        etcd_call_cancel(op->call);
    op->call = NULL;
    etcd_watch_leave(&op->wait);
    uv_close((uv_handle_t *)&op->timer, op_free);
}

void etcd_op_answer(struct etcd_op *op, const struct backend_answer *answer)
{
    op->done(op->data, answer);
    op_stop(op);
}

void etcd_op_fail(struct etcd_op *op, const struct err *err)
{
    etcd_op_answer(op, &(struct backend_answer){.err = err});
}

void etcd_op_fail_with(struct etcd_op *op, struct err *err)
{
    etcd_op_fail(op, err);
    err_clear(err);
}

/* ---- asking ---- */

static void op_replied(void *data, const struct etcd_reply *reply)
{
    struct etcd_op *op = data;
    op->call = NULL;
    op->step(op, reply);
}

void etcd_op_ask_with(struct etcd_op *op, const struct etcd_request *request, etcd_step_fn *step)
{
    op->step = step;
    op->call = etcd_call_start(&op->etcd->client, request, op_replied, op);
}

void etcd_op_ask(struct etcd_op *op, const char *path, char *body, etcd_step_fn *step)
{
    etcd_op_ask_with(op, &(struct etcd_request){.path = path, .body = body}, step);
}

bool etcd_op_read(struct etcd_op *op, const struct etcd_reply *reply, struct wire_answer *ret)
{
    struct err reason = {0}, err = {0};
    if (reply->err) {
        etcd_op_fail(op, reply->err);
        return false;
    }
    if (wire_read_answer(reply->json, ret, &reason) == 0) {
        if (!op->stale) /* not the highest: etcd may have been restored from a copy */
            op->etcd->client.revision = ret->revision;
        return true;
    }
    err_set(&err, reason.code, "%s: %s", op->etcd->client.endpoints[reply->endpoint].address,
            reason.message);
    err_clear(&reason);
    etcd_op_fail_with(op, &err);
    return false;
}

int64_t etcd_new_lease(void)
{
    uint64_t number = 0;
    while (number == 0)
        if (getrandom(&number, sizeof number, 0) == sizeof number)
            number &= INT64_MAX;
        else
            number = 0;
    return (int64_t)number;
}

/* ---- waiting ---- */

static struct etcd_watch *watch_of(struct etcd *etcd, const char *key, const char *end)
{
    struct etcd_watches *w;
    for (w = etcd->watches; w; w = w->next)
        if (etcd_watch_is(w->watch, key, end))
            return w->watch;
    w = xcalloc(1, sizeof *w);
    w->watch = etcd_watch_new(&etcd->client, key, end);
    w->next = etcd->watches;
    etcd->watches = w;
    return w->watch;
}

/* Watches of keys that nobody asks for any more are not kept for good. */
static void drop_idle_watches(struct etcd *etcd)
{
    struct etcd_watches **at = &etcd->watches, *w;
    while ((w = *at)) {
        if (!etcd_watch_is_idle(w->watch)) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        etcd_watch_free(w->watch);
        free(w);
    }
}

static void join_watch(struct etcd_op *op)
{
    struct etcd *etcd = op->etcd;
    drop_idle_watches(etcd);
    bool whole = op->end && !etcd->narrow;
    char *end = whole ? wire_prefix_end(etcd->prefix) : xstrdup(op->end);
    etcd_watch_join(watch_of(etcd, whole ? etcd->prefix : op->key, end), &op->wait);
    free(end);
}

static void op_woken(void *data, const struct err *err)
{
    struct etcd_op *op = data;
    struct etcd *etcd = op->etcd;
    uv_timer_stop(&op->timer);
    if (err && op->end && !etcd->narrow && strcmp(err->code, "denied") == 0) {
        etcd->narrow = true;
        op->again(op);
    } else if (err) {
        etcd_op_fail(op, err);
    } else {
        op->again(op);
    }
}

static void wait_over(uv_timer_t *timer)
{
    struct etcd_op *op = timer->data;
    etcd_watch_leave(&op->wait);
    op->again(op);
}

void etcd_op_wait(struct etcd_op *op, int64_t since, void (*again)(struct etcd_op *op))
{
    uint64_t now = uv_now(&op->etcd->client.io->loop);
    op->again = again;
    op->wait.key = op->key;
    op->wait.since = since;
    op->wait.woken = op_woken;
    op->wait.data = op;
    uv_timer_start(&op->timer, wait_over, op->deadline_ms > now ? op->deadline_ms - now : 0, 0);
    join_watch(op);
}

/* ---- starting ---- */

static void op_begin(uv_timer_t *timer)
{
    static void (*const verbs[])(struct etcd_op *) = {
        [BACKEND_REGISTER] = etcd_register,     [BACKEND_RENEW] = etcd_renew,
        [BACKEND_DEREGISTER] = etcd_deregister, [BACKEND_LOOKUP] = etcd_lookup,
        [BACKEND_SERVICES] = etcd_services,     [BACKEND_LOCK] = etcd_lock,
        [BACKEND_RENEW_LOCK] = etcd_renew_lock, [BACKEND_UNLOCK] = etcd_unlock,
        [BACKEND_KV_GET] = etcd_kv_get,         [BACKEND_KV_PUT] = etcd_kv_put,
        [BACKEND_KV_DELETE] = etcd_kv_delete,
    };
    struct etcd_op *op = timer->data;
    verbs[op->verb](op);
}

/* A lock is named "<lease>:<key>", so that it can be renewed and released by its name alone. */
static void read_lock(struct etcd_op *op, const char *lock)
{
    char *end;
    op->lease = strtoll(lock, &end, 16);
    free(op->key);
    op->key = xstrdup(*end == ':' ? end + 1 : "");
}

static void take_keys(struct etcd_op *op, const struct backend_request *r)
{
    const char *prefix = op->etcd->prefix;
    if (r->verb == BACKEND_LOOKUP) {
        op->key = xasprintf("%s%s/", prefix, r->service);
        op->end = wire_prefix_end(op->key);
    } else if (r->verb == BACKEND_SERVICES) {
        op->key = xstrdup(prefix);
        op->end = wire_prefix_end(op->key);
    } else if (r->verb <= BACKEND_DEREGISTER) {
        op->key = xasprintf("%s%s/%s", prefix, r->service, r->id);
    } else if (r->lock) {
        read_lock(op, r->lock);
    } else {
        op->key = xstrdup(r->key);
    }
}

/* What others may read of a record: where it came from and its revision are ours to tell. */
static char *text_of(const struct instance *record)
{
    json_t *json = instance_dump(record);
    json_object_del(json, "revision");
    json_object_del(json, "source");
    char *text = json_dumps(json, JSON_COMPACT);
    json_decref(json);
    return text;
}

static void take_values(struct etcd_op *op, const struct backend_request *r)
{
    if (r->record) {
        op->value = text_of(r->record);
        op->value_len = strlen(op->value);
    } else if (r->value) {
        op->value_len = r->verb == BACKEND_LOCK ? strlen(r->value) : r->value_len;
        op->value = xstrndup(r->value, op->value_len);
    }
}

static void take_cursor(struct etcd_op *op, const char *cursor)
{
    char *end;
    if (!cursor)
        return;
    op->revision = strtoll(cursor, &end, 10);
    op->has_cursor = op->revision > 0 && *end == '\0';
}

static void take_condition(struct etcd_op *op, uint64_t revision)
{
    op->conditional = revision != NO_REVISION;
    if (op->conditional)
        op->revision = revision > INT64_MAX ? INT64_MAX : (int64_t)revision;
}

static void *etcd_start(void *self, const struct backend_request *request, backend_done_fn *done,
                        void *data)
{
    struct etcd_op *op = xcalloc(1, sizeof *op);
    op->etcd = self;
    op->verb = request->verb;
    op->service = xstrdup(request->service);
    op->ttl_s = request->ttl_s;
    op->timeout_ms = request->timeout_ms;
    take_keys(op, request);
    take_values(op, request);
    if (request->verb == BACKEND_KV_PUT || request->verb == BACKEND_KV_DELETE)
        take_condition(op, request->revision);
    else
        take_cursor(op, request->cursor);
    op->done = done;
    op->data = data;
    uv_loop_t *loop = &op->etcd->client.io->loop;
    uv_update_time(loop);
    op->deadline_ms = uv_now(loop) + op->timeout_ms;
    op->timer.data = op;
    uv_timer_init(loop, &op->timer);
    uv_timer_start(&op->timer, op_begin, 0, 0);
    return op;
}

/* Who gives up a lock must not get it after all. */
static void etcd_cancel(void *self, void *data)
{
    struct etcd_op *op = data;
    (void)self;
    bool locks = op->verb == BACKEND_LOCK && op->lease;
    if (locks)
        etcd_drop_lease(op);
    op_stop(op);
}

/* ---- opening ---- */

static void etcd_close(void *self)
{
    struct etcd *etcd = self;
    while (etcd->watches) {
        struct etcd_watches *w = etcd->watches;
        etcd->watches = w->next;
        etcd_watch_free(w->watch);
        free(w);
    }
    etcd_client_close(&etcd->client);
    etcd_forget_records(etcd);
    json_decref(etcd->warned);
    free(etcd->prefix);
    free(etcd);
}

static char *read_prefix(const json_t *options)
{
    const char *given = json_string_value(json_object_get(options, "etcdKeyPrefix"));
    const char *prefix = given && *given ? given : DEFAULT_PREFIX;
    size_t len = strlen(prefix);
    while (len && prefix[len - 1] == '/')
        len--;
    return xasprintf("%.*s/", (int)len, prefix);
}

static void *etcd_open(struct io *io, const json_t *options, struct err *err)
{
    struct etcd *etcd = xcalloc(1, sizeof *etcd);
    if (etcd_client_init(&etcd->client, io, options, err) < 0) {
        free(etcd);
        return NULL;
    }
    etcd->prefix = read_prefix(options);
    etcd->warned = json_object();
    return etcd;
}

static const char *const options[] = {
    "etcdEndpoints",    "etcdKeyPrefix",  "etcdUser",   "etcdPassword",
    "etcdPasswordFile", "etcdEnableTLS",  "etcdCaFile", "etcdCertFile",
    "etcdKeyFile",      "etcdServerName", NULL};

static json_t *etcd_sketch(void *self, const struct instance *record, uint64_t ttl_s,
                           struct err *err)
{
    const struct etcd *etcd = self;
    char *key = xasprintf("%s%s/%s", etcd->prefix, record->service, record->id);
    char *value = text_of(record);
    (void)err;
    json_t *sketch = json_pack("{s:s, s:s}", "key", key, "value", value);
    if (ttl_s)
        json_object_set_new(sketch, "lease", json_integer((json_int_t)ttl_s));
    free(key);
    free(value);
    return sketch;
}

const struct backend backend_etcd = {.name = "etcd",
                                     .can_watch = true,
                                     .can_lock = true,
                                     .can_kv = true,
                                     .options = options,
                                     .open = etcd_open,
                                     .start = etcd_start,
                                     .cancel = etcd_cancel,
                                     .close = etcd_close,
                                     .sketch = etcd_sketch};
