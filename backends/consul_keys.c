/* consul_keys.c -- keys and values. Writes are transactions of one step: only those tell the
 * revision that they made. A value that is written again as it is keeps its revision. */
#include <stdlib.h>
#include <string.h>

#include "consul.h"
#include "core/base64.h"
#include "core/buf.h"
#include "core/err.h"
#include "core/mem.h"

#define MAX_ANSWER (4 * 1024 * 1024)

/* ---- names ---- */

/* Consul's path cleaning makes "a//b" and "a/../b" other keys. */
static bool has_odd_part(const char *key)
{
    for (const char *part = key;; part++) {
        size_t len = strcspn(part, "/");
        if (len == 0 || (len == 1 && part[0] == '.') || (len == 2 && strncmp(part, "..", 2) == 0))
            return true;
        part += len;
        if (!*part)
            return false;
    }
}

const char *consul_key_name(const char *key, struct err *err)
{
    json_t *text = json_string(key); /* NULL: no UTF-8 */
    const char *name = key + strspn(key, "/");
    bool bad = !text || has_odd_part(name);
    json_decref(text);
    if (!bad)
        return name;
    err_set(err, "invalid",
            "the key \"%.100s\" must be a path such as a/b in UTF-8, with no empty "
            "part and no . or ..",
            text ? key : "?");
    return NULL;
}

/* An operation that cannot even begin. */
static void fail_now(uv_timer_t *timer)
{
    struct consul_op *op = timer->data;
    struct err err = {0};
    consul_key_name(op->request.key, &err);
    consul_op_fail(op, &err);
}

static const char *name_of(struct consul_op *op)
{
    const char *name = consul_key_name(op->request.key, NULL);
    if (!name)
        uv_timer_start(&op->timer, fail_now, 0, 0);
    return name;
}

/* ---- reading ---- */

static void ask_key(uv_timer_t *timer);

static void tell_key(struct consul_op *op, const struct consul_reply *reply,
                     const struct consul_key *key)
{
    struct consul_watch *watch = op->more;
    struct err err = {0};
    size_t len = 0;
    char *value =
        key->exists ? base64_decode(key->value ? key->value : "", key->value_len, &len) : NULL;
    if (key->exists && !value) {
        consul_fail("bad_reply", reply, "the value is not base64", "", &err);
        consul_op_fail(op, &err);
        return;
    }
    char *cursor = consul_watch_cursor(watch, op->consul);
    consul_op_answer(
        op, &(struct backend_answer){
                .value = value, .value_len = len, .revision = key->revision, .cursor = cursor});
    free(cursor);
    free(value);
}

static void again(struct consul_op *op)
{
    uint64_t pause = consul_watch_pause_ms(op->more), left = consul_op_left_ms(op);
    uv_timer_start(&op->timer, ask_key, pause < left ? pause : left, 0);
}

static void key_found(void *data, const struct consul_reply *reply, const struct err *err)
{
    struct consul_op *op = data;
    struct consul_key key = {0};
    bool absent = reply && reply->status == 404 && reply->body_len == 0;
    bool failed = err || (reply->status != 200 && !absent);
    consul_turn_end(op);
    if (failed && consul_watch_restart(op->more, op, err)) {
        op->call = NULL;
        again(op);
        return;
    }
    if (absent)
        op->call = NULL;
    else if (consul_op_failed(op, reply, err))
        return;
    else
        consul_read_key(reply->json, &key);
    if (consul_watch_is_over(op->more, op, reply->index, key.revision))
        tell_key(op, reply, &key);
    else
        again(op);
}

static void ask_key(uv_timer_t *timer)
{
    struct consul_op *op = timer->data;
    struct buf path = {0};
    uint64_t wait_ms = 0;
    if (!consul_turn_take(op, consul_watch_waits(op->more, op), ask_key))
        return;
    char *query = consul_watch_query(op->more, op, &wait_ms);
    buf_puts(&path, "/v1/kv/");
    consul_escape(&path, consul_key_name(op->request.key, NULL), "/-._~");
    op->call = consul_ask(op->consul,
                          &(struct consul_question){.path = path.data,
                                                    .query = query,
                                                    .wait_ms = wait_ms,
                                                    .expects = CONSUL_ARRAY,
                                                    .read = true,
                                                    .max_bytes = MAX_ANSWER},
                          key_found, op);
    buf_free(&path);
    free(query);
}

void consul_start_kv_get(struct consul_op *op)
{
    if (!name_of(op))
        return;
    op->more = xcalloc(1, sizeof(struct consul_watch));
    op->free_more = free;
    consul_watch_init(op->more, op);
    ask_key(&op->timer);
}

/* ---- writing ---- */

static void changed_meanwhile(struct consul_op *op, const struct consul_reply *reply)
{
    struct err err = {0};
    const char *what = consul_read_failure(reply->json);
    op->call = NULL;
    if (strcasestr(what, "Permission denied"))
        consul_fail("denied", reply, what,
                    "; the token needs key_prefix \"\" { policy = \"write\" }, or the key's name",
                    &err);
    else if (strcasestr(what, "index is stale"))
        consul_fail("exists", reply, what, ": it was written by another; read it again", &err);
    else
        consul_fail("invalid", reply, what, "", &err);
    consul_op_fail(op, &err);
}

static void written(void *data, const struct consul_reply *reply, const struct err *err)
{
    struct consul_op *op = data;
    struct consul_key key = {0};
    if (reply && reply->status == 409) {
        changed_meanwhile(op, reply);
        return;
    }
    if (consul_op_failed(op, reply, err))
        return;
    consul_read_result(reply->json, &key);
    consul_op_answer(op, &(struct backend_answer){.revision = key.revision});
}

static void write_key(struct consul_op *op, const char *verb, const char *value)
{
    const struct backend_request *r = &op->request;
    bool checks = r->revision != NO_REVISION;
    json_t *body = json_pack("[{s:{s:s, s:s, s:s*, s:I}}]", "KV", "Verb", verb, "Key",
                             consul_key_name(r->key, NULL), "Value", value, "Index",
                             checks ? (json_int_t)r->revision : 0);
    char *text = json_dumps(body, JSON_COMPACT);
    op->call = consul_ask(op->consul,
                          &(struct consul_question){.method = "PUT",
                                                    .path = "/v1/txn",
                                                    .body = text,
                                                    .expects = CONSUL_OBJECT,
                                                    .once = checks},
                          written, op);
    free(text);
    json_decref(body);
}

void consul_start_kv_put(struct consul_op *op)
{
    if (!name_of(op))
        return;
    char *value = base64_encode(op->request.value, op->request.value_len);
    write_key(op, op->request.revision == NO_REVISION ? "set" : "cas", value);
    free(value);
}

void consul_start_kv_delete(struct consul_op *op)
{
    if (!name_of(op))
        return;
    write_key(op, op->request.revision == NO_REVISION ? "delete" : "delete-cas", NULL);
}
