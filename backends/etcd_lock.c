/* etcd_lock.c -- locks and keys.
 *
 * A lock is a key that exists: its holder made it, under a lease of its own, when it did not exist.
 * Its fencing token is the revision of that, which only grows. Who waits watches the key and has
 * nothing in etcd meanwhile. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "etcd.h"
#include "io/io.h"

static void succeed(struct etcd_op *op) { etcd_op_answer(op, &(struct backend_answer){0}); }

void etcd_drop_lease(struct etcd_op *op)
{
    struct etcd_request request = {.path = "lease/revoke", .body = wire_lease(op->lease)};
    etcd_call_start(&op->etcd->client, &request, NULL, NULL);
    op->lease = 0;
}

/* ---- lock ---- */

static void wait_for_release(struct etcd_op *op, int64_t since)
{
    struct err err = {0};
    if (uv_now(&op->etcd->client.io->loop) < op->deadline_ms) {
        etcd_op_wait(op, since, etcd_lock);
        return;
    }
    err_set(&err, "exists", "%s: the lock is held by another", op->key);
    etcd_op_fail_with(op, &err);
}

static void answer_lock(struct etcd_op *op, int64_t token)
{
    char *lock = xasprintf("%" PRIx64 ":%s", op->lease, op->key);
    etcd_op_answer(op, &(struct backend_answer){.lock = lock, .token = (uint64_t)token});
    free(lock);
}

/* Another was faster, or an earlier try of ours had succeeded. */
static void take_taken(struct etcd_op *op, const struct wire_answer *answer)
{
    if (answer->count && answer->kvs[0].lease == op->lease) {
        answer_lock(op, answer->kvs[0].create);
        return;
    }
    etcd_drop_lease(op);
    wait_for_release(op, answer->revision);
}

static void took(struct etcd_op *op, const struct etcd_reply *reply)
{
    struct wire_answer answer;
    if (reply->err)
        etcd_drop_lease(op);
    if (!etcd_op_read(op, reply, &answer))
        return;
    if (answer.succeeded)
        answer_lock(op, answer.revision);
    else
        take_taken(op, &answer);
    wire_answer_free(&answer);
}

static void granted(struct etcd_op *op, const struct etcd_reply *reply)
{
    if (reply->err && strcmp(reply->err->code, "exists") != 0) {
        etcd_op_fail(op, reply->err);
        return;
    }
    const char *value = op->value ? op->value : "";
    etcd_op_ask(op, "kv/txn", wire_put_new(op->key, value, op->value_len, op->lease), took);
}

static void looked(struct etcd_op *op, const struct etcd_reply *reply)
{
    struct wire_answer answer;
    if (!etcd_op_read(op, reply, &answer))
        return;
    if (answer.count) {
        wait_for_release(op, answer.revision);
    } else {
        op->lease = etcd_new_lease();
        etcd_op_ask(op, "lease/grant", wire_grant(op->lease, op->ttl_s), granted);
    }
    wire_answer_free(&answer);
}

void etcd_lock(struct etcd_op *op)
{
    etcd_op_ask(op, "kv/range", wire_range(op->key, NULL, WIRE_KEYS_ONLY), looked);
}

/* ---- renew, unlock ---- */

static void lost(struct etcd_op *op)
{
    struct err err = {0};
    err_set(&err, "not_found", "%s: the lock is lost: it was not renewed in time, or taken away",
            op->key);
    etcd_op_fail_with(op, &err);
}

/* The lease may live and the key be gone: somebody deleted it, and another may hold the lock. */
static void checked(struct etcd_op *op, const struct etcd_reply *reply)
{
    struct wire_answer answer;
    if (!etcd_op_read(op, reply, &answer))
        return;
    bool ours = answer.count && answer.kvs[0].lease == op->lease;
    wire_answer_free(&answer);
    if (ours) {
        succeed(op);
        return;
    }
    etcd_drop_lease(op);
    lost(op);
}

static void kept_alive(struct etcd_op *op, const struct etcd_reply *reply)
{
    int64_t ttl_s = 0;
    struct err err = {0};
    if (reply->err)
        etcd_op_fail(op, reply->err);
    else if (wire_read_keepalive(reply->json, &ttl_s, &err) < 0)
        etcd_op_fail_with(op, &err);
    else if (ttl_s <= 0)
        lost(op);
    else
        etcd_op_ask(op, "kv/range", wire_range(op->key, NULL, WIRE_KEYS_ONLY), checked);
}

void etcd_renew_lock(struct etcd_op *op)
{
    if (op->lease <= 0) { /* no name that we gave */
        lost(op);
        return;
    }
    etcd_op_ask(op, "lease/keepalive", wire_lease(op->lease), kept_alive);
}

/* The key goes with its lease. */
static void released(struct etcd_op *op, const struct etcd_reply *reply)
{
    if (reply->err && strcmp(reply->err->code, "not_found") != 0)
        etcd_op_fail(op, reply->err);
    else
        succeed(op);
}

void etcd_unlock(struct etcd_op *op)
{
    if (op->lease <= 0)
        succeed(op);
    else
        etcd_op_ask(op, "lease/revoke", wire_lease(op->lease), released);
}

/* ---- keys ---- */

static void fail_differs(struct etcd_op *op, int64_t revision)
{
    struct err err = {0};
    err_set(&err, "exists", "%s: it has revision %" PRId64 " by now, not %" PRId64, op->key,
            revision, op->revision);
    etcd_op_fail_with(op, &err);
}

/* The key differs. If an earlier try was lost on its way, that may be our own doing. */
static void take_difference(struct etcd_op *op, const struct wire_answer *answer, bool again)
{
    const struct wire_kv *kv = answer->count ? &answer->kvs[0] : NULL;
    bool put = op->verb == BACKEND_KV_PUT;
    bool ours = put ? kv && kv->mod > op->revision && kv->value_len == op->value_len &&
                          memcmp(kv->value, op->value, kv->value_len) == 0
                    : !kv;
    if (again && ours)
        etcd_op_answer(op, &(struct backend_answer){.revision = kv ? (uint64_t)kv->mod : 0});
    else
        fail_differs(op, kv ? kv->mod : 0);
}

static void written(struct etcd_op *op, const struct etcd_reply *reply)
{
    struct wire_answer answer;
    if (!etcd_op_read(op, reply, &answer))
        return;
    if (answer.succeeded || !op->conditional)
        etcd_op_answer(op, &(struct backend_answer){.revision = (uint64_t)answer.revision});
    else
        take_difference(op, &answer, reply->again);
    wire_answer_free(&answer);
}

/* A key that exists keeps its lease: it may be a lock's, which would never lapse without. */
void etcd_kv_put(struct etcd_op *op)
{
    char *body = op->conditional ? wire_put_if(op->key, op->revision, op->value, op->value_len)
                                 : wire_put_kept(op->key, op->value, op->value_len);
    etcd_op_ask(op, "kv/txn", body, written);
}

void etcd_kv_delete(struct etcd_op *op)
{
    if (op->conditional)
        etcd_op_ask(op, "kv/txn", wire_delete_if(op->key, op->revision), written);
    else
        etcd_op_ask(op, "kv/deleterange", wire_delete(op->key), written);
}
