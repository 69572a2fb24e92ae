/* consul_lock.c -- locks: a session of Consul's for each, and the key that it holds.
 *
 * The session has no health checks, so that only its ttl, and not a restarted agent, ends it. When
 * it ends, Consul deletes the key, and gives it to nobody for another ttl (the lock-delay): the
 * holder must have noticed by then. The fencing token is the key's ModifyIndex as the acquiring
 * transaction told it; LockIndex starts again when the key is written or deleted. */
#include <stdlib.h>
#include <string.h>

#include "consul.h"
#include "core/base64.h"
#include "core/buf.h"
#include "core/err.h"
#include "core/mem.h"
#include "io/io.h"

#define MIN_TTL_S 10 /* Consul's limits of a session */
#define MAX_TTL_S 86400
#define MAX_DELAY_S 60
#define DELAY_REST_MS 500 /* the end of a lock-delay is no event */
#define REST_MS 50
#define SESSION_LEN 36

/* What lock() works with. */
struct locking {
    char *session; /* owned; NULL: none yet */
    uint64_t session_at_ms;
    uint64_t index; /* of the key while we wait for it; 0: not known */
    bool waiting;   /* the question under way is a blocking one */
};

static void locking_free(void *data)
{
    struct locking *l = data;
    free(l->session);
    free(l);
}

static uint64_t ttl_of(const struct consul_op *op)
{
    uint64_t ttl = op->request.ttl_s;
    return ttl < MIN_TTL_S ? MIN_TTL_S : ttl > MAX_TTL_S ? MAX_TTL_S : ttl;
}

static const char *key_of(const struct consul_op *op)
{
    return consul_key_name(op->request.key, NULL);
}

/* ---- questions ---- */

static char *key_path(const char *key)
{
    struct buf path = {0};
    buf_puts(&path, "/v1/kv/");
    consul_escape(&path, key, "/-._~");
    return buf_take(&path);
}

static struct consul_call *ask_session(struct consul_op *op, const char *verb, const char *session,
                                       consul_answered_fn *answered)
{
    char *path = xasprintf("/v1/session/%s/%.*s", verb, SESSION_LEN, session);
    struct consul_call *call = NULL;
    struct consul_question question = {.method = "PUT", .path = path};
    if (answered)
        call = consul_ask(op->consul, &question, answered, op);
    else
        consul_tell(op->consul, &question);
    free(path);
    return call;
}

/* A transaction of the steps in `body`, which it drops. */
static struct consul_call *ask_transaction(struct consul_op *op, json_t *body,
                                           consul_answered_fn *answered)
{
    char *text = json_dumps(body, JSON_COMPACT);
    struct consul_question question = {
        .method = "PUT", .path = "/v1/txn", .body = text, .expects = CONSUL_OBJECT};
    struct consul_call *call = consul_ask(op->consul, &question, answered, op);
    json_decref(body);
    free(text);
    return call;
}

/* ---- failing ---- */

static void drop_session(struct consul_op *op)
{
    struct locking *l = op->more;
    if (l->session)
        ask_session(op, "destroy", l->session, NULL);
    free(l->session);
    l->session = NULL;
}

static void fail(struct consul_op *op, const struct consul_reply *reply, const char *code,
                 const char *text, const char *remedy)
{
    struct err err = {0};
    consul_fail(code, reply, text, remedy, &err);
    consul_op_fail(op, &err);
}

static void fail_denied(struct consul_op *op, const struct consul_reply *reply)
{
    fail(op, reply, "denied", consul_read_failure(reply->json),
         "; the token needs key_prefix \"\" { policy = \"write\" }, or the key's name, and "
         "session_prefix \"\" { policy = \"write\" }");
}

static bool is_denied(const struct consul_reply *reply)
{
    return strcasestr(consul_read_failure(reply->json), "Permission denied") != NULL;
}

static void fail_now(uv_timer_t *timer)
{
    struct consul_op *op = timer->data;
    struct err err = {0};
    if (!op->request.key || consul_key_name(op->request.key, &err))
        err_set(&err, "invalid", "this is not a lock that lock() gave");
    consul_op_fail(op, &err);
}

/* As consul_op_failed(), and ends what was begun. */
static bool lock_failed(struct consul_op *op, const struct consul_reply *reply,
                        const struct err *err)
{
    if (err || reply->status != 200)
        drop_session(op);
    return consul_op_failed(op, reply, err);
}

/* ---- acquiring ---- */

static void begin(uv_timer_t *timer);

static void later(struct consul_op *op, uint64_t ms)
{
    uint64_t left = consul_op_left_ms(op);
    uv_timer_start(&op->timer, begin, ms < left ? ms : left, 0);
}

static void give_up(struct consul_op *op, const struct consul_reply *reply)
{
    char *text = xasprintf("the lock %s is held by another", key_of(op));
    drop_session(op);
    fail(op, reply, "exists", text, "");
    free(text);
}

static void waited(void *data, const struct consul_reply *reply, const struct err *err)
{
    struct consul_op *op = data;
    struct locking *l = op->more;
    struct consul_key key = {0};
    bool absent = reply && reply->status == 404;
    consul_turn_end(op);
    if (l->waiting && (err || reply->status >= 500)) { /* its server went; the next may answer */
        op->call = NULL;
        l->index = 0;
        l->waiting = false;
        later(op, REST_MS);
        return;
    }
    if (absent)
        op->call = NULL;
    else if (lock_failed(op, reply, err))
        return;
    else
        consul_read_key(reply->json, &key);
    bool held = key.exists && key.session;
    l->index = held && reply->index >= l->index ? reply->index : 0;
    if (held && consul_op_left_ms(op) == 0)
        give_up(op, reply);
    else
        later(op, REST_MS); /* also so that a server which never lets us wait is not asked all the
                             * time */
}

static void wait_for_key(struct consul_op *op)
{
    struct locking *l = op->more;
    uint64_t left = consul_op_left_ms(op), wait = left < CONSUL_WAIT_MS ? left : CONSUL_WAIT_MS;
    l->waiting = l->index && wait;
    if (!consul_turn_take(op, l->waiting, begin))
        return;
    if (op->turn.brief && wait > CONSUL_BRIEF_MS)
        wait = CONSUL_BRIEF_MS;
    char *path = key_path(key_of(op));
    char *query = l->waiting ? xasprintf("consistent&index=%llu&wait=%llums",
                                         (unsigned long long)l->index, (unsigned long long)wait)
                             : xstrdup("consistent");
    op->call = consul_ask(op->consul,
                          &(struct consul_question){.path = path,
                                                    .query = query,
                                                    .wait_ms = l->waiting ? wait : 0,
                                                    .expects = CONSUL_ARRAY},
                          waited, op);
    free(query);
    free(path);
}

static void acquired(struct consul_op *op, const struct consul_reply *reply)
{
    struct locking *l = op->more;
    struct consul_key key;
    consul_read_result(reply->json, &key);
    if (!key.exists) {
        drop_session(op);
        fail(op, reply, "bad_reply", "the transaction tells no key", "");
        return;
    }
    char *lock = xasprintf("%s:%s", l->session, key_of(op));
    consul_op_answer(op, &(struct backend_answer){.lock = lock, .token = key.revision});
    free(lock);
}

static void not_acquired(struct consul_op *op, const struct consul_reply *reply)
{
    const char *why = consul_read_failure(reply->json);
    op->call = NULL;
    if (is_denied(reply)) {
        drop_session(op);
        fail_denied(op, reply);
    } else if (consul_op_left_ms(op) == 0) {
        give_up(op, reply);
    } else if (strcasestr(why, "lock delay")) {
        later(op, DELAY_REST_MS);
    } else if (strcasestr(why, "invalid session")) {
        drop_session(op);
        later(op, REST_MS);
    } else {
        wait_for_key(op);
    }
}

static void tried(void *data, const struct consul_reply *reply, const struct err *err)
{
    struct consul_op *op = data;
    if (reply && reply->status == 409)
        not_acquired(op, reply);
    else if (!lock_failed(op, reply, err))
        acquired(op, reply);
}

static void try_it(struct consul_op *op)
{
    struct locking *l = op->more;
    const char *text = op->request.value ? op->request.value : "";
    char *value = base64_encode(text, strlen(text));
    op->call = ask_transaction(op,
                               json_pack("[{s:{s:s, s:s, s:s, s:s}}]", "KV", "Verb", "lock", "Key",
                                         key_of(op), "Value", value, "Session", l->session),
                               tried);
    free(value);
}

/* ---- its session ---- */

static void session_made(void *data, const struct consul_reply *reply, const struct err *err)
{
    struct consul_op *op = data;
    struct locking *l = op->more;
    if (consul_op_failed(op, reply, err))
        return;
    const char *id = consul_read_session(reply->json);
    if (!id) {
        fail(op, reply, "bad_reply", "the answer tells no session", "");
        return;
    }
    l->session = xstrdup(id);
    l->session_at_ms = uv_now(&op->consul->io->loop);
    try_it(op);
}

static void make_session(struct consul_op *op)
{
    unsigned long long ttl = ttl_of(op), delay = ttl < MAX_DELAY_S ? ttl : MAX_DELAY_S;
    char *body = xasprintf("{\"Name\":\"orrery\",\"TTL\":\"%llus\",\"LockDelay\":\"%llus\","
                           "\"Behavior\":\"delete\",\"NodeChecks\":[]}",
                           ttl, delay);
    op->call = consul_ask(
        op->consul,
        &(struct consul_question){
            .method = "PUT", .path = "/v1/session/create", .body = body, .expects = CONSUL_OBJECT},
        session_made, op);
    free(body);
}

static void session_renewed(void *data, const struct consul_reply *reply, const struct err *err)
{
    struct consul_op *op = data;
    struct locking *l = op->more;
    if (reply && reply->status == 404) {
        op->call = NULL;
        free(l->session);
        l->session = NULL;
        make_session(op);
    } else if (!lock_failed(op, reply, err)) {
        l->session_at_ms = uv_now(&op->consul->io->loop);
        try_it(op);
    }
}

/* A session that waited for long would be gone just when the lock is ours. */
static void begin(uv_timer_t *timer)
{
    struct consul_op *op = timer->data;
    struct locking *l = op->more;
    uint64_t age_ms = uv_now(&op->consul->io->loop) - l->session_at_ms;
    if (l->index)
        wait_for_key(op);
    else if (!l->session)
        make_session(op);
    else if (age_ms > ttl_of(op) * 1000 / 3)
        op->call = ask_session(op, "renew", l->session, session_renewed);
    else
        try_it(op);
}

void consul_start_lock(struct consul_op *op)
{
    op->more = xcalloc(1, sizeof(struct locking));
    op->free_more = locking_free;
    op->cancelled = drop_session;
    if (key_of(op))
        begin(&op->timer);
    else
        uv_timer_start(&op->timer, fail_now, 0, 0);
}

/* ---- a lock that is held: "<session>:<key>" ---- */

static bool is_lock(const char *lock)
{
    return strlen(lock) > SESSION_LEN + 1 && lock[SESSION_LEN] == ':' &&
           strspn(lock, "0123456789abcdefABCDEF-") == SESSION_LEN &&
           consul_key_name(lock + SESSION_LEN + 1, NULL);
}

static void lost(struct consul_op *op, const struct consul_reply *reply)
{
    char *text = xasprintf("the lock %s is lost", op->request.lock + SESSION_LEN + 1);
    op->call = NULL;
    fail(op, reply, "not_found", text, ": it was not renewed in time, or somebody took it away");
    free(text);
}

/* The key can be deleted, and then taken, while its session goes on. */
static void holder_found(void *data, const struct consul_reply *reply, const struct err *err)
{
    struct consul_op *op = data;
    struct consul_key key;
    if (reply && reply->status == 404) {
        lost(op, reply);
        return;
    }
    if (consul_op_failed(op, reply, err))
        return;
    consul_read_key(reply->json, &key);
    if (key.session && strncasecmp(key.session, op->request.lock, SESSION_LEN) == 0)
        consul_op_answer(op, &(struct backend_answer){0});
    else
        lost(op, reply);
}

static void lock_renewed(void *data, const struct consul_reply *reply, const struct err *err)
{
    struct consul_op *op = data;
    if (reply && reply->status == 404) {
        lost(op, reply);
        return;
    }
    if (consul_op_failed(op, reply, err))
        return;
    char *path = key_path(consul_key_name(op->request.lock + SESSION_LEN + 1, NULL));
    op->call = consul_ask(
        op->consul,
        &(struct consul_question){.path = path, .query = "consistent", .expects = CONSUL_ARRAY},
        holder_found, op);
    free(path);
}

void consul_start_renew_lock(struct consul_op *op)
{
    if (is_lock(op->request.lock))
        op->call = ask_session(op, "renew", op->request.lock, lock_renewed);
    else
        uv_timer_start(&op->timer, fail_now, 0, 0);
}

static void session_ended(void *data, const struct consul_reply *reply, const struct err *err)
{
    struct consul_op *op = data;
    if (!consul_op_failed(op, reply, err))
        consul_op_answer(op, &(struct backend_answer){0});
}

/* First the key, then the session: a key whose session is destroyed has a lock-delay. 409 says that
 * another holds it by now, which is as good. */
static void unlocked(void *data, const struct consul_reply *reply, const struct err *err)
{
    struct consul_op *op = data;
    if (reply && reply->status == 409 && is_denied(reply)) {
        op->call = NULL;
        fail_denied(op, reply);
    } else if ((reply && reply->status == 409) || !consul_op_failed(op, reply, err)) {
        op->call = ask_session(op, "destroy", op->request.lock, session_ended);
    }
}

void consul_start_unlock(struct consul_op *op)
{
    const char *lock = op->request.lock;
    if (!is_lock(lock)) {
        uv_timer_start(&op->timer, fail_now, 0, 0);
        return;
    }
    const char *key = consul_key_name(lock + SESSION_LEN + 1, NULL);
    char *session = xstrndup(lock, SESSION_LEN);
    op->call = ask_transaction(op,
                               json_pack("[{s:{s:s, s:s, s:s}}, {s:{s:s, s:s}}]", "KV", "Verb",
                                         "check-session", "Key", key, "Session", session, "KV",
                                         "Verb", "delete", "Key", key),
                               unlocked);
    free(session);
}
