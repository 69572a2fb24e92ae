#include "etcd_wire.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base64.h"
#include "core/err.h"
#include "core/mem.h"
#include "core/remark.h"

#define MAX_MESSAGE 200

/* ---- what we ask ---- */

static char *text_of(json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT);
    if (!text)
        abort(); /* jansson's only failure here is memory */
    json_decref(json);
    return text;
}

static json_t *json_bytes(const char *bytes, size_t len)
{
    char *text = base64_encode(bytes, len);
    json_t *json = json_string(text);
    free(text);
    return json;
}

static json_t *json_int64(int64_t number)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, number);
    return json_string(text);
}

static json_t *json_key(const char *key)
{
    json_t *json = json_object();
    json_object_set_new(json, "key", json_bytes(key, strlen(key)));
    return json;
}

static json_t *json_keys(const char *key, const char *end)
{
    json_t *json = json_key(key);
    if (end)
        json_object_set_new(json, "range_end", json_bytes(end, strlen(end)));
    return json;
}

static json_t *json_put(const char *key, const char *value, size_t len, int64_t lease)
{
    json_t *json = json_key(key);
    json_object_set_new(json, "value", json_bytes(value, len));
    if (lease)
        json_object_set_new(json, "lease", json_int64(lease));
    return json;
}

char *wire_prefix_end(const char *prefix)
{
    char *end = xstrdup(prefix);
    end[strlen(end) - 1]++;
    return end;
}

char *wire_range(const char *key, const char *end, unsigned flags)
{
    json_t *json = json_keys(key, end);
    if (flags & WIRE_KEYS_ONLY)
        json_object_set_new(json, "keys_only", json_true());
    if (flags & WIRE_STALE)
        json_object_set_new(json, "serializable", json_true());
    return text_of(json);
}

char *wire_put(const char *key, const char *value, size_t len, int64_t lease)
{
    return text_of(json_put(key, value, len, lease));
}

char *wire_delete(const char *key) { return text_of(json_key(key)); }

/* One operation while the comparison holds, the other while it does not. */
static char *transaction(json_t *compare, const char *operation, json_t *what,
                         const char *otherwise, json_t *other)
{
    return text_of(json_pack("{s:[o], s:[{s:o}], s:[{s:o}]}", "compare", compare, "success",
                             operation, what, "failure", otherwise, other));
}

static char *transaction_if(const char *key, int64_t revision, const char *operation, json_t *what)
{
    json_t *compare = json_key(key);
    json_object_set_new(compare, "target", json_string("MOD"));
    json_object_set_new(compare, "result", json_string("EQUAL"));
    json_object_set_new(compare, "mod_revision", json_int64(revision));
    return transaction(compare, operation, what, "request_range", json_key(key));
}

/* The key must exist. */
static json_t *json_put_kept(const char *key, const char *value, size_t len)
{
    json_t *json = json_put(key, value, len, 0);
    json_object_set_new(json, "ignore_lease", json_true());
    return json;
}

char *wire_put_kept(const char *key, const char *value, size_t len)
{
    json_t *compare = json_key(key);
    json_object_set_new(compare, "target", json_string("VERSION"));
    json_object_set_new(compare, "result", json_string("GREATER"));
    json_object_set_new(compare, "version", json_int64(0));
    return transaction(compare, "request_put", json_put_kept(key, value, len), "request_put",
                       json_put(key, value, len, 0));
}

char *wire_put_if(const char *key, int64_t revision, const char *value, size_t len)
{
    json_t *put = revision ? json_put_kept(key, value, len) : json_put(key, value, len, 0);
    return transaction_if(key, revision, "request_put", put);
}

char *wire_put_new(const char *key, const char *value, size_t len, int64_t lease)
{
    return transaction_if(key, 0, "request_put", json_put(key, value, len, lease));
}

char *wire_delete_if(const char *key, int64_t revision)
{
    return transaction_if(key, revision, "request_delete_range", json_key(key));
}

char *wire_grant(int64_t lease, uint64_t ttl_s)
{
    return text_of(
        json_pack("{s:o, s:o}", "ID", json_int64(lease), "TTL", json_int64((int64_t)ttl_s)));
}

char *wire_lease(int64_t lease) { return text_of(json_pack("{s:o}", "ID", json_int64(lease))); }

char *wire_watch(const char *key, const char *end, int64_t start)
{
    json_t *json = json_keys(key, end);
    json_object_set_new(json, "start_revision", json_int64(start));
    return text_of(json_pack("{s:o}", "create_request", json));
}

char *wire_authenticate(const char *user, const char *password)
{
    json_t *json = json_object();
    json_object_set_new(json, "name", json_string(user));
    json_object_set_new(json, "password", json_string(password));
    return text_of(json);
}

/* ---- reading values ---- */

static int bad(struct err *err, const char *what)
{
    return err_set(err, "bad_reply", "the answer is not etcd's: %s", what);
}

/* A number, or the text of one. Absent is zero. */
static bool read_int64(const json_t *object, const char *key, int64_t *ret)
{
    const json_t *value = json_object_get(object, key);
    *ret = 0;
    if (!value || json_is_null(value))
        return true;
    if (json_is_integer(value)) {
        *ret = json_integer_value(value);
        return true;
    }
    const char *text = json_string_value(value);
    char *end;
    if (!text || !*text || !strchr("-0123456789", *text))
        return false;
    errno = 0;
    *ret = strtoll(text, &end, 10);
    return errno == 0 && *end == '\0' && strlen(text) == json_string_length(value);
}

/* Bytes in base64. Absent is empty. NULL if they are not readable. */
static char *read_bytes(const json_t *object, const char *key, size_t *ret_len)
{
    const json_t *value = json_object_get(object, key);
    *ret_len = 0;
    if (!value || json_is_null(value))
        return xstrdup("");
    if (!json_is_string(value))
        return NULL;
    return base64_decode(json_string_value(value), json_string_length(value), ret_len);
}

/* ---- answers ---- */

static int read_kv(const json_t *json, struct wire_kv *kv, struct err *err)
{
    size_t key_len;
    *kv = (struct wire_kv){.key = read_bytes(json, "key", &key_len)};
    kv->value = read_bytes(json, "value", &kv->value_len);
    bool good = kv->key && kv->value && read_int64(json, "create_revision", &kv->create) &&
                read_int64(json, "mod_revision", &kv->mod) && read_int64(json, "lease", &kv->lease);
    if (good && strlen(kv->key) == key_len)
        return 1;
    free(kv->key);
    free(kv->value);
    return good ? 0 : bad(err, "a key is malformed");
}

static int read_kvs(const json_t *list, struct wire_answer *answer, struct err *err)
{
    size_t index;
    const json_t *item;
    answer->kvs = xcalloc(json_array_size(list) + 1, sizeof *answer->kvs);
    json_array_foreach((json_t *)list, index, item)
    {
        int read = read_kv(item, &answer->kvs[answer->count], err);
        if (read < 0)
            return -1;
        answer->count += (size_t)read;
    }
    return 0;
}

/* The keys of a range, or of the range in a transaction's first response. */
static const json_t *find_kvs(const json_t *json)
{
    const json_t *first = json_array_get(json_object_get(json, "responses"), 0);
    const json_t *range = json_object_get(first, "response_range");
    return json_object_get(range ? range : json, "kvs");
}

int wire_read_answer(const json_t *json, struct wire_answer *ret, struct err *err)
{
    const json_t *header = json_object_get(json, "header");
    *ret = (struct wire_answer){0};
    if (!json_is_object(header))
        return bad(err, "it has no header");
    if (!read_int64(header, "revision", &ret->revision) ||
        !read_int64(json, "deleted", &ret->deleted) || ret->revision <= 0)
        return bad(err, "its header has no revision");
    ret->succeeded = json_is_true(json_object_get(json, "succeeded"));
    if (read_kvs(find_kvs(json), ret, err) == 0)
        return 0;
    wire_answer_free(ret);
    return -1;
}

void wire_answer_free(struct wire_answer *answer)
{
    for (size_t i = 0; i < answer->count; i++) {
        free(answer->kvs[i].key);
        free(answer->kvs[i].value);
    }
    free(answer->kvs);
    *answer = (struct wire_answer){0};
}

int wire_read_keepalive(const json_t *json, int64_t *ret_ttl_s, struct err *err)
{
    const json_t *result = json_object_get(json, "result");
    int64_t lease;
    if (!read_int64(result, "ID", &lease) || lease == 0 || !read_int64(result, "TTL", ret_ttl_s))
        return bad(err, "it names no lease");
    return 0;
}

bool wire_read_failure(const json_t *json, struct wire_failure *ret)
{
    const json_t *nested = json_object_get(json, "error");
    const json_t *failure = json_is_object(nested) ? nested : json;
    const json_t *code = json_object_get(failure, "code");
    if (!code)
        code = json_object_get(failure, "grpc_code");
    ret->code = (int)json_integer_value(code);
    ret->message = json_string_value(json_object_get(failure, "message"));
    return json_is_integer(code) && ret->message;
}

char *wire_line(const char *message, const char *token)
{
    return remark(message, MAX_MESSAGE, token);
}

/* ---- watching ---- */

static int read_changes(const json_t *events, struct wire_event *event, struct err *err)
{
    size_t index, key_len;
    const json_t *item;
    event->changes = xcalloc(json_array_size(events) + 1, sizeof *event->changes);
    json_array_foreach((json_t *)events, index, item)
    {
        const json_t *kv = json_object_get(item, "kv");
        struct wire_change *change = &event->changes[event->count];
        change->key = read_bytes(kv, "key", &key_len);
        event->count++;
        if (!change->key || !read_int64(kv, "mod_revision", &change->mod) || change->mod <= 0)
            return bad(err, "an event is malformed");
    }
    return 0;
}

int wire_read_event(const json_t *json, struct wire_event *ret, struct err *err)
{
    const json_t *result = json_object_get(json, "result");
    *ret = (struct wire_event){0};
    if (!json_is_object(result))
        return bad(err, "an event is malformed");
    ret->created = json_is_true(json_object_get(result, "created"));
    ret->canceled = json_is_true(json_object_get(result, "canceled"));
    ret->cancel_reason = json_string_value(json_object_get(result, "cancel_reason"));
    if (!read_int64(result, "compact_revision", &ret->compacted))
        return bad(err, "an event is malformed");
    if (read_changes(json_object_get(result, "events"), ret, err) == 0)
        return 0;
    wire_event_free(ret);
    return -1;
}

void wire_event_free(struct wire_event *event)
{
    for (size_t i = 0; i < event->count; i++)
        free(event->changes[i].key);
    free(event->changes);
    *event = (struct wire_event){0};
}
