/* etcd_record.c -- registering: a record is a key under a lease of its own, so that one record that
 * is no longer renewed goes and the others of its process stay. */
#include "etcd.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

/* ---- what this process has registered ---- */

static struct etcd_record **find_record(struct etcd *etcd, const char *key)
{
    struct etcd_record **at = &etcd->records;
    while (*at && strcmp((*at)->key, key) != 0)
        at = &(*at)->next;
    return at;
}

static void forget_record(struct etcd_record **at)
{
    struct etcd_record *record = *at;
    *at = record->next;
    free(record->key);
    free(record->value);
    free(record);
}

void etcd_forget_records(struct etcd *etcd)
{
    while (etcd->records)
        forget_record(&etcd->records);
}

static void remember(struct etcd_op *op)
{
    struct etcd_record **at = find_record(op->etcd, op->key);
    if (*at)
        forget_record(at);
    struct etcd_record *record = xcalloc(1, sizeof *record);
    record->key = xstrdup(op->key);
    record->value = xstrdup(op->value);
    record->lease = op->lease;
    record->ttl_s = op->ttl_s;
    record->next = op->etcd->records;
    op->etcd->records = record;
}

static void succeed(struct etcd_op *op) { etcd_op_answer(op, &(struct backend_answer){0}); }

/* ---- register: a lease, then the key, then away with the lease that it had ---- */

static void grant(struct etcd_op *op);

static void put_done(struct etcd_op *op, const struct etcd_reply *reply)
{
    if (reply->err && strcmp(reply->err->code, "not_found") == 0 && !op->retried) {
        op->retried = true; /* the lease is gone already: the server was away for longer */
        grant(op);
        return;
    }
    if (reply->err) {
        etcd_op_fail(op, reply->err);
        return;
    }
    remember(op);
    op->lease = op->old_lease;
    if (op->lease)
        etcd_drop_lease(op);
    succeed(op);
}

static void put(struct etcd_op *op)
{
    char *body = wire_put(op->key, op->value, op->value_len, op->lease);
    etcd_op_ask(op, "kv/put", body, put_done);
}

/* A try that timed out may have granted it: then it exists. */
static void granted(struct etcd_op *op, const struct etcd_reply *reply)
{
    if (reply->err && strcmp(reply->err->code, "exists") != 0)
        etcd_op_fail(op, reply->err);
    else
        put(op);
}

static void grant(struct etcd_op *op)
{
    op->lease = etcd_new_lease();
    etcd_op_ask(op, "lease/grant", wire_grant(op->lease, op->ttl_s), granted);
}

void etcd_register(struct etcd_op *op)
{
    struct etcd_record *known = *find_record(op->etcd, op->key);
    op->old_lease = known ? known->lease : 0;
    if (op->ttl_s)
        grant(op);
    else
        put(op);
}

/* ---- renew: the key may be gone, or hang on another lease by now ---- */

static void register_again(struct etcd_op *op)
{
    struct etcd_record *known = *find_record(op->etcd, op->key);
    struct err err = {0};
    if (!known) {
        err_set(&err, "not_found", "%s: it is not registered any more", op->key);
        etcd_op_fail_with(op, &err);
        return;
    }
    op->value = xstrdup(known->value);
    op->value_len = strlen(op->value);
    op->ttl_s = known->ttl_s;
    etcd_register(op);
}

/* A keepalive of a lease that is gone is a success without a TTL. */
static void kept_alive(struct etcd_op *op, const struct etcd_reply *reply)
{
    struct etcd_record *known = *find_record(op->etcd, op->key);
    int64_t ttl_s = 0;
    struct err err = {0};
    if (reply->err) {
        etcd_op_fail(op, reply->err);
    } else if (wire_read_keepalive(reply->json, &ttl_s, &err) < 0) {
        etcd_op_fail_with(op, &err);
    } else if (ttl_s <= 0) {
        register_again(op);
    } else {
        if (known)
            known->lease = op->lease;
        succeed(op);
    }
}

static void found_key(struct etcd_op *op, const struct etcd_reply *reply)
{
    struct wire_answer answer;
    if (!etcd_op_read(op, reply, &answer))
        return;
    bool exists = answer.count > 0;
    op->lease = exists ? answer.kvs[0].lease : 0;
    wire_answer_free(&answer);
    if (!exists)
        register_again(op);
    else if (op->lease)
        etcd_op_ask(op, "lease/keepalive", wire_lease(op->lease), kept_alive);
    else
        succeed(op);
}

void etcd_renew(struct etcd_op *op)
{
    etcd_op_ask(op, "kv/range", wire_range(op->key, NULL, WIRE_KEYS_ONLY), found_key);
}

/* ---- deregister ---- */

static void revoked(struct etcd_op *op, const struct etcd_reply *reply)
{
    (void)reply; /* the key is gone; a lease that is left lapses */
    succeed(op);
}

static void deleted(struct etcd_op *op, const struct etcd_reply *reply)
{
    struct etcd_record **at = find_record(op->etcd, op->key);
    if (reply->err) {
        etcd_op_fail(op, reply->err);
        return;
    }
    op->lease = *at ? (*at)->lease : 0;
    if (*at)
        forget_record(at);
    if (op->lease)
        etcd_op_ask(op, "lease/revoke", wire_lease(op->lease), revoked);
    else
        succeed(op);
}

void etcd_deregister(struct etcd_op *op)
{
    etcd_op_ask(op, "kv/deleterange", wire_delete(op->key), deleted);
}
