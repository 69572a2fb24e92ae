/* etcd_lookup.c -- looking up: the range of a service's keys, and waiting until it changes.
 *
 * The cursor is the revision of the store at which the range was read. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/instance.h"
#include "core/mem.h"
#include "core/texts.h"
#include "etcd.h"
#include "io/io.h"

#define READ_BUDGET_MS 3000 /* then what a server without a leader last knew will do */
#define CURSOR_SIZE 24
#define MAX_WARNED 1000

static void read_range(struct etcd_op *op, const struct etcd_reply *reply);

static void ask_range(struct etcd_op *op)
{
    unsigned flags =
        (op->verb == BACKEND_SERVICES ? WIRE_KEYS_ONLY : 0) | (op->stale ? WIRE_STALE : 0);
    etcd_op_ask_with(op,
                     &(struct etcd_request){.path = "kv/range",
                                            .body = wire_range(op->key, op->end, flags),
                                            .budget_ms = READ_BUDGET_MS,
                                            .stale = op->stale},
                     read_range);
}

/* ---- records ---- */

/* The key says which service and id it is, whatever was written into it. */
static struct instance *read_record(const struct etcd_op *op, const struct wire_kv *kv,
                                    struct err *err)
{
    const char *id = kv->key + strlen(op->key);
    json_error_t where;
    json_t *json = json_loadb(kv->value, kv->value_len, 0, &where);
    struct instance *record = NULL;
    if (!instance_is_id(id)) {
        err_set(err, "invalid", "its last part is no id");
    } else if (!json) {
        err_set(err, "invalid", "it is not JSON: %s (byte %d)", where.text, where.position);
    } else {
        json_object_set_new(json, "id", json_string(id));
        json_object_set_new(json, "service", json_string(op->service));
        json_object_set_new(json, "source", json_string("etcd"));
        json_object_set_new(json, "revision", json_integer(kv->mod));
        record = instance_parse(json, op->service, err);
    }
    json_decref(json);
    return record;
}

/* Told once for each change of such a key, and it hides no other. */
static void report(struct etcd_op *op, const struct wire_kv *kv, const struct err *err)
{
    struct etcd *etcd = op->etcd;
    if (json_integer_value(json_object_get(etcd->warned, kv->key)) == kv->mod)
        return;
    if (json_object_size(etcd->warned) >= MAX_WARNED)
        json_object_clear(etcd->warned);
    json_object_set_new_nocheck(etcd->warned, kv->key, json_integer(kv->mod));
    io_log(etcd->client.io, IO_LOG_WARNING, "etcd: %s is no record and is left out: %s", kv->key,
           err->message);
}

static void fail_unreadable(struct etcd_op *op, const struct wire_kv *kv, struct err *reason)
{
    struct err err = {0};
    err_set(&err, "bad_reply", "none of the keys below %s can be read; %s: %s", op->key, kv->key,
            reason->message);
    etcd_op_fail_with(op, &err);
}

static void answer_records(struct etcd_op *op, const struct wire_answer *found, const char *cursor)
{
    struct instance **list = xcalloc(found->count + 1, sizeof(struct instance *));
    size_t count = 0, failed = 0;
    struct err err = {0};
    for (size_t i = 0; i < found->count; i++) {
        list[count] = read_record(op, &found->kvs[i], &err);
        if (list[count]) {
            count++;
        } else {
            failed = i;
            report(op, &found->kvs[i], &err);
        }
    }
    if (found->count && !count)
        fail_unreadable(op, &found->kvs[failed], &err);
    else
        etcd_op_answer(op, &(struct backend_answer){
                               .instances = list, .instance_count = count, .cursor = cursor});
    err_clear(&err);
    instances_free(list, count);
}

/* ---- services ---- */

/* The part of the key that names the service; NULL if it is none of ours. The caller frees it. */
static char *service_of(const struct etcd_op *op, const char *key)
{
    const char *name = key + strlen(op->key), *slash = strchr(name, '/');
    char *service =
        slash && instance_is_id(slash + 1) ? xstrndup(name, (size_t)(slash - name)) : NULL;
    if (service && instance_is_name(service))
        return service;
    free(service);
    return NULL;
}

/* The keys of one service are neighbours, but "a-b/" comes before "a/": sorted once more. */
static void answer_names(struct etcd_op *op, const struct wire_answer *found)
{
    char **names = xcalloc(found->count + 1, sizeof *names);
    size_t count = 0;
    for (size_t i = 0; i < found->count; i++) {
        char *name = service_of(op, found->kvs[i].key);
        if (name && (!count || strcmp(names[count - 1], name) != 0))
            names[count++] = name;
        else
            free(name);
    }
    texts_sort(names, count);
    etcd_op_answer(op, &(struct backend_answer){.names = names, .name_count = count});
    texts_free(names, count);
}

static void answer_value(struct etcd_op *op, const struct wire_answer *found, const char *cursor)
{
    const struct wire_kv *kv = found->count ? &found->kvs[0] : NULL;
    etcd_op_answer(op, &(struct backend_answer){.value = kv ? kv->value : NULL,
                                                .value_len = kv ? kv->value_len : 0,
                                                .revision = kv ? (uint64_t)kv->mod : 0,
                                                .cursor = cursor});
}

/* ---- reading ---- */

/* Without a leader a server still tells what it last knew. That may be old, but never older than
 * what was read before. */
static bool falls_back(struct etcd_op *op, const struct err *err)
{
    if (op->stale || strcmp(err->code, "timeout") != 0 || op->verb == BACKEND_KV_GET)
        return false;
    op->stale = true;
    ask_range(op);
    return true;
}

static bool is_outdated(struct etcd_op *op, const struct etcd_reply *reply,
                        const struct wire_answer *found)
{
    struct err err = {0};
    if (!op->stale || found->revision >= op->etcd->client.revision)
        return false;
    err_set(&err, "timeout",
            "%s: etcd has no leader, and this server knows less than was read before",
            op->etcd->client.endpoints[reply->endpoint].address);
    etcd_op_fail_with(op, &err);
    return true;
}

static void answer_range(struct etcd_op *op, const struct wire_answer *found)
{
    char cursor[CURSOR_SIZE];
    snprintf(cursor, sizeof cursor, "%" PRId64, found->revision);
    if (op->verb == BACKEND_SERVICES)
        answer_names(op, found);
    else if (op->verb == BACKEND_KV_GET)
        answer_value(op, found, cursor);
    else
        answer_records(op, found, cursor);
}

static void read_range(struct etcd_op *op, const struct etcd_reply *reply)
{
    struct wire_answer found;
    if (reply->err && falls_back(op, reply->err))
        return;
    if (!etcd_op_read(op, reply, &found))
        return;
    if (!is_outdated(op, reply, &found))
        answer_range(op, &found);
    wire_answer_free(&found);
}

/* ---- the verbs ---- */

void etcd_lookup(struct etcd_op *op)
{
    if (op->has_cursor && op->timeout_ms) {
        op->has_cursor = false;
        etcd_op_wait(op, op->revision, etcd_lookup);
    } else {
        ask_range(op);
    }
}

void etcd_services(struct etcd_op *op) { ask_range(op); }

void etcd_kv_get(struct etcd_op *op) { etcd_lookup(op); }
