#include "consul_record.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/hash.h"
#include "core/instance.h"
#include "core/mem.h"

/* Consul's limits of a service's meta. */
#define MAX_PAIRS 64
#define MAX_KEY 128
#define MAX_VALUE 512

#define MIN_REAP_S 60 /* Consul removes nothing that is critical for less */

static const char key_letters[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";

/* Fields of a record that are plain entries of the meta. */
static const char *const plain[] = {"did", "scheme", "node"};
#define PLAIN_COUNT (sizeof plain / sizeof *plain)

static bool is_plain(const char *key)
{
    for (size_t i = 0; i < PLAIN_COUNT; i++)
        if (strcmp(key, plain[i]) == 0)
            return true;
    return false;
}

/* ---- a record as a service ---- */

/* Whether Consul takes this entry, and a reader cannot mistake it for one of ours. */
static bool fits(const char *key, const json_t *value)
{
    size_t len = strlen(key);
    return len > 0 && len <= MAX_KEY && strspn(key, key_letters) == len && !is_plain(key) &&
           strncmp(key, "consul-", 7) != 0 && strncmp(key, "orrery-", 7) != 0 &&
           json_string_length(value) <= MAX_VALUE;
}

/* What does not fit as it is. */
static json_t *pack_rest(const struct instance *record, json_t *meta)
{
    json_t *rest = json_object(), *more = json_object(), *value;
    const char *fields[PLAIN_COUNT] = {record->did, record->scheme, record->node};
    const char *key;
    for (size_t i = 0; i < PLAIN_COUNT; i++)
        if (fields[i])
            json_object_set_new(strlen(fields[i]) <= MAX_VALUE ? meta : rest, plain[i],
                                json_string(fields[i]));
    json_object_foreach(record->meta, key, value)
    {
        json_object_set(fits(key, value) ? meta : more, key, value);
    }
    if (json_object_size(more))
        json_object_set(rest, "meta", more);
    json_decref(more);
    return rest;
}

/* Pure ASCII, so that it may be cut anywhere. */
static void write_chunks(json_t *meta, const json_t *rest)
{
    char *text = json_dumps(rest, JSON_COMPACT | JSON_ENSURE_ASCII);
    size_t len = strlen(text), at = 0;
    for (int i = 0; at < len; i++) {
        char *key = xasprintf("orrery-%d", i);
        size_t size = len - at < MAX_VALUE ? len - at : MAX_VALUE;
        json_object_set_new(meta, key, json_stringn(text + at, size));
        free(key);
        at += size;
    }
    free(text);
}

/* Room is made by packing the user's entries too. */
static json_t *write_meta(const struct instance *record, struct err *err)
{
    json_t *meta = json_object(), *rest = pack_rest(record, meta);
    write_chunks(meta, rest);
    if (json_object_size(meta) > MAX_PAIRS) {
        json_object_clear(meta);
        json_object_clear(rest);
        json_t *all = instance_dump(record);
        for (size_t i = 0; i < PLAIN_COUNT; i++)
            if (json_object_get(all, plain[i]))
                json_object_set(rest, plain[i], json_object_get(all, plain[i]));
        json_object_set(rest, "meta", record->meta);
        json_decref(all);
        write_chunks(meta, rest);
    }
    json_decref(rest);
    if (json_object_size(meta) <= MAX_PAIRS)
        return meta;
    json_decref(meta);
    err_set(err, "invalid", "meta: Consul keeps %d entries of %d bytes, and this is more",
            MAX_PAIRS, MAX_VALUE);
    return NULL;
}

static bool is_status(const char *text)
{
    return strcmp(text, "passing") == 0 || strcmp(text, "warning") == 0 ||
           strcmp(text, "critical") == 0;
}

static json_t *write_check(const struct instance *record, const char *id, uint64_t ttl_s)
{
    json_t *check = json_object();
    uint64_t reap_s = ttl_s * 2 < MIN_REAP_S ? MIN_REAP_S : ttl_s * 2;
    char *check_id = xasprintf("service:%s", id),
         *ttl = xasprintf("%llus", (unsigned long long)ttl_s),
         *reap = xasprintf("%llus", (unsigned long long)reap_s);
    json_object_set_new(check, "CheckID", json_string(check_id));
    json_object_set_new(check, "Name", json_string("renewed by orrery"));
    json_object_set_new(check, "TTL", json_string(ttl));
    json_object_set_new(check, "Status",
                        json_string(is_status(record->status) ? record->status : "passing"));
    json_object_set_new(check, "DeregisterCriticalServiceAfter", json_string(reap));
    free(check_id);
    free(ttl);
    free(reap);
    return check;
}

char *consul_record_body(const struct instance *record, uint64_t ttl_s, struct err *err)
{
    json_t *meta = write_meta(record, err);
    if (!meta)
        return NULL;
    json_t *body = json_object();
    char *id = consul_record_id(record->service, record->id);
    json_object_set_new(body, "ID", json_string(id));
    json_object_set_new(body, "Name", json_string(record->service));
    json_object_set_new(body, "Address", json_string(record->address));
    json_object_set_new(body, "Port", json_integer(record->port));
    json_object_set(body, "Tags", record->tags);
    json_object_set_new(body, "Meta", meta);
    if (ttl_s)
        json_object_set_new(body, "Check", write_check(record, id, ttl_s));
    char *text = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    free(id);
    return text;
}

char *consul_record_id(const char *service, const char *id)
{
    size_t len = strlen(service);
    bool own = strncmp(id, service, len) == 0 && (id[len] == '@' || id[len] == '\0');
    return own ? xstrdup(id) : xasprintf("%s/%s", service, id);
}

/* ---- a service as a record ---- */

static const char *text_of(const json_t *json, const char *key)
{
    const json_t *value = json_object_get(json, key);
    const char *text = json_string_value(value);
    return text && *text && strlen(text) == json_string_length(value) ? text : NULL;
}

/* What orrery-0, orrery-1 ... hold; NULL if they are not there, or not ours. */
static json_t *unpack(const json_t *meta)
{
    struct buf text = {0};
    for (int i = 0; i < MAX_PAIRS; i++) {
        char *key = xasprintf("orrery-%d", i);
        const json_t *chunk = json_object_get(meta, key);
        free(key);
        if (!json_is_string(chunk))
            break;
        buf_append(&text, json_string_value(chunk), json_string_length(chunk));
    }
    json_t *rest = text.len ? json_loadb(text.data, text.len, JSON_ALLOW_NUL, NULL) : NULL;
    buf_free(&text);
    if (json_is_object(rest))
        return rest;
    json_decref(rest);
    return NULL;
}

static void read_tags(json_t *json, const json_t *tags)
{
    json_t *list = json_array(), *tag;
    size_t index;
    json_array_foreach((json_t *)tags, index, tag)
    {
        if (json_is_string(tag) && json_string_length(tag) <= MAX_KEY &&
            json_array_size(list) < MAX_PAIRS)
            json_array_append(list, tag);
    }
    json_object_set_new(json, "tags", list);
}

static void read_meta(json_t *json, const json_t *from, const json_t *rest)
{
    json_t *meta = json_object(), *more = json_object_get(rest, "meta"), *value;
    const char *key;
    json_object_foreach((json_t *)from, key, value)
    {
        if (is_plain(key))
            json_object_set(json, key, value);
        else if (json_is_string(value) && strncmp(key, "orrery-", 7) != 0 &&
                 json_object_size(meta) < MAX_PAIRS)
            json_object_set(meta, key, value);
    }
    for (size_t i = 0; i < PLAIN_COUNT; i++)
        if (json_object_get(rest, plain[i]))
            json_object_set(json, plain[i], json_object_get(rest, plain[i]));
    if (json_is_object(more))
        json_object_update(meta, more);
    json_object_set_new(json, "meta", meta);
}

static uint32_t short_hash(const char *text)
{
    uint32_t hash = 2166136261u;
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 16777619u;
    return hash;
}

/* An id that can be one, made of one that cannot. */
static char *clean_id(char *id)
{
    if (instance_is_id(id))
        return id;
    char *clean = xasprintf("x%.100s-%08x", id, short_hash(id));
    for (char *c = clean; *c; c++)
        if (!isascii((unsigned char)*c) || !(isalnum((unsigned char)*c) || strchr("._-@:%", *c)))
            *c = '-';
    free(id);
    return clean;
}

/* Ours is the one it was registered with. A service that was registered by hand has its name for an
 * id on every node, so the node tells them apart. */
static char *read_id(const json_t *entry, const char *service, bool ours)
{
    const char *id = text_of(json_object_get(entry, "Service"), "ID");
    const char *node = text_of(json_object_get(entry, "Node"), "Node");
    size_t len = strlen(service);
    if (!id)
        return NULL;
    if (ours && strncmp(id, service, len) == 0 && id[len] == '/')
        return clean_id(xstrdup(id + len + 1));
    if (ours || strchr(id, '@') || !node)
        return clean_id(xstrdup(id));
    return clean_id(xasprintf("%s@%s", id, node));
}

/* The worst of its checks and its node's. */
static const char *read_status(const json_t *checks)
{
    const char *worst = "passing";
    size_t index;
    json_t *check;
    json_array_foreach((json_t *)checks, index, check)
    {
        const char *status = text_of(check, "Status");
        if (!status || strcmp(status, "passing") == 0)
            continue;
        if (strcmp(status, "warning") != 0)
            return "critical";
        worst = "warning";
    }
    return worst;
}

static json_int_t read_revision(const json_t *entry)
{
    json_t *check, *checks = json_object_get(entry, "Checks");
    json_int_t revision =
        json_integer_value(json_object_get(json_object_get(entry, "Service"), "ModifyIndex"));
    size_t index;
    json_array_foreach(checks, index, check)
    {
        json_int_t of = json_integer_value(json_object_get(check, "ModifyIndex"));
        revision = of > revision ? of : revision;
    }
    return revision > 0 ? revision : 0;
}

static json_t *read_entry(const json_t *entry, const char *service)
{
    const json_t *from = json_object_get(entry, "Service"), *node = json_object_get(entry, "Node");
    const json_t *meta = json_object_get(from, "Meta");
    const char *address = text_of(from, "Address");
    json_t *json = json_object(), *rest = unpack(meta);
    char *id = read_id(entry, service, rest != NULL);
    if (text_of(node, "Node") && !rest)
        json_object_set(json, "node", json_object_get(node, "Node"));
    read_meta(json, meta, rest);
    read_tags(json, json_object_get(from, "Tags"));
    json_object_set_new(json, "service", json_string(service));
    json_object_set_new(json, "id", json_string(id ? id : ""));
    json_object_set_new(json, "address", json_string(address ? address : text_of(node, "Address")));
    json_object_set(json, "port", json_object_get(from, "Port"));
    json_object_set_new(json, "status", json_string(read_status(json_object_get(entry, "Checks"))));
    json_object_set_new(json, "source", json_string("consul"));
    json_object_set_new(json, "revision", json_integer(read_revision(entry)));
    json_decref(rest);
    free(id);
    return json;
}

/* Whoever registered it by hand need not know our rules: a field that breaks them is left out. */
static struct instance *parse_entry(const json_t *entry, const char *service)
{
    static const char *const optional[] = {"did", "scheme", "node", "meta", "tags", "port", NULL};
    json_t *json = read_entry(entry, service);
    struct instance *instance = instance_parse(json, service, NULL);
    for (const char *const *key = optional; *key && !instance; key++) {
        json_object_del(json, *key);
        instance = instance_parse(json, service, NULL);
    }
    json_decref(json);
    return instance;
}

/* ---- lists ---- */

static int rank(const struct instance *i)
{
    return strcmp(i->status, "passing") == 0 ? 0 : strcmp(i->status, "warning") == 0 ? 1 : 2;
}

/* By id; of two with the same id the better one first. */
static int compare(const void *left, const void *right)
{
    const struct instance *a = *(struct instance *const *)left;
    const struct instance *b = *(struct instance *const *)right;
    int order = strcmp(a->id, b->id);
    if (order == 0)
        order = rank(a) - rank(b);
    if (order == 0)
        order = a->revision < b->revision ? 1 : a->revision > b->revision ? -1 : 0;
    return order;
}

static uint64_t mix_bytes(uint64_t hash, const void *bytes, size_t len)
{
    return hash_text(hash_bytes(hash, bytes, len), "\xff"); /* "a", "b" is not "ab" */
}

static uint64_t mix(uint64_t hash, const char *text)
{
    return mix_bytes(hash, text ? text : "\xfe", text ? strlen(text) : 1);
}

static uint64_t mix_instance(uint64_t hash, const struct instance *i)
{
    const char *const texts[] = {i->id, i->node, i->address, i->scheme, i->did, i->status};
    size_t index;
    json_t *value;
    const char *key;
    for (size_t t = 0; t < sizeof texts / sizeof *texts; t++)
        hash = mix(hash, texts[t]);
    hash = mix_bytes(hash, &i->port, sizeof i->port);
    json_array_foreach(i->tags, index, value)
    {
        hash = mix_bytes(hash, json_string_value(value), json_string_length(value));
    }
    uint64_t meta = 0; /* a sum: its order is none */
    json_object_foreach(i->meta, key, value)
    {
        meta +=
            mix_bytes(mix(HASH_START, key), json_string_value(value), json_string_length(value));
    }
    return mix_bytes(hash, &meta, sizeof meta);
}

void consul_read_instances(const json_t *list, const char *service, struct consul_found *ret_found)
{
    size_t index;
    json_t *entry;
    *ret_found = (struct consul_found){.hash = HASH_START};
    ret_found->instances = xcalloc(json_array_size(list) + 1, sizeof *ret_found->instances);
    json_array_foreach((json_t *)list, index, entry)
    {
        struct instance *instance = parse_entry(entry, service);
        if (instance)
            ret_found->instances[ret_found->count++] = instance;
    }
    qsort(ret_found->instances, ret_found->count, sizeof *ret_found->instances, compare);
    /* A record that was registered again with another agent, since its own was away, is there twice
     * until the first has lapsed. */
    ret_found->count = instances_drop_doubles(ret_found->instances, ret_found->count);
    for (size_t i = 0; i < ret_found->count; i++)
        ret_found->hash = mix_instance(ret_found->hash, ret_found->instances[i]);
}

void consul_found_free(struct consul_found *found)
{
    instances_free(found->instances, found->count);
    *found = (struct consul_found){0};
}
