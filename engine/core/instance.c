#include "core/instance.h"

#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/mem.h"

#define MAX_NAME 63
#define MAX_ID 128
#define MAX_ENTRIES 64
#define MAX_KEY 128
#define MAX_VALUE 4096

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

static bool starts_well(const char *text) { return *text && strchr(letters, *text); }

static bool consists_of(const char *text, const char *extra)
{
    while (*text && (strchr(letters, *text) || strchr(extra, *text)))
        text++;
    return *text == '\0';
}

static bool is_name(const char *text)
{
    return strlen(text) <= MAX_NAME && starts_well(text) && consists_of(text, "._-");
}

static bool is_id(const char *text)
{
    return strlen(text) <= MAX_ID && starts_well(text) && consists_of(text, "._-@:%");
}

static bool is_address(const char *text)
{
    return *text && strlen(text) <= 255 && consists_of(text, "._-:%");
}

static bool is_scheme(const char *text)
{
    return strlen(text) <= 32 && starts_well(text) && consists_of(text, "+.-");
}

static bool is_did(const char *text)
{
    return strlen(text) <= 2048 && strncmp(text, "did:", 4) == 0 && consists_of(text, "._-:%");
}

bool instance_is_name(const char *text) { return is_name(text); }

bool instance_is_id(const char *text) { return is_id(text); }

/* One text field, how it is checked, and what it may be in words. */
struct field {
    const char *key;
    size_t offset;
    bool (*accepts)(const char *text);
    const char *expected;
};

#define NAME_WORDS "up to 63 letters, digits and . _ - (not first)"

static const struct field fields[] = {
    {"service", offsetof(struct instance, service), is_name, NAME_WORDS},
    {"id", offsetof(struct instance, id), is_id, "up to 128 letters, digits and . _ - @ : %"},
    {"node", offsetof(struct instance, node), is_name, NAME_WORDS},
    {"address", offsetof(struct instance, address), is_address, "a host name or an IP address"},
    {"scheme", offsetof(struct instance, scheme), is_scheme, "a URL scheme such as http"},
    {"did", offsetof(struct instance, did), is_did, "a DID such as did:web:example.com"},
    {"status", offsetof(struct instance, status), is_name, "a word such as passing"},
    {"source", offsetof(struct instance, source), is_name, NAME_WORDS},
};

static char **place(struct instance *i, const struct field *field)
{
    return (char **)((char *)i + field->offset);
}

static int refuse(struct err *err, const char *key, const char *expected)
{
    return err_set(err, "invalid", "%s: must be %s", key, expected);
}

static int parse_field(struct instance *i, const struct field *field, const json_t *json,
                       struct err *err)
{
    const json_t *value = json_object_get(json, field->key);
    if (!value || json_is_null(value))
        return 0;
    const char *text = json_string_value(value);
    if (!text || strlen(text) != json_string_length(value) || !field->accepts(text))
        return refuse(err, field->key, field->expected);
    *place(i, field) = xstrdup(text);
    return 0;
}

static int parse_number(const json_t *json, const char *key, json_int_t max, json_int_t *ret_number,
                        struct err *err)
{
    const json_t *value = json_object_get(json, key);
    if (!value || json_is_null(value))
        return 0;
    json_int_t number = json_integer_value(value);
    if (!json_is_integer(value) || number < 0 || number > max)
        return err_set(err, "invalid", "%s: must be a whole number from 0 to %lld", key,
                       (long long)max);
    *ret_number = number;
    return 0;
}

static bool is_short(const json_t *value, size_t max)
{
    return json_is_string(value) && json_string_length(value) <= max;
}

/* Absent, null, or an empty table of Lua, which does not tell an empty list from an empty map. */
static bool is_none(const json_t *value)
{
    return !value || json_is_null(value) || (json_is_array(value) && json_array_size(value) == 0) ||
           (json_is_object(value) && json_object_size(value) == 0);
}

static int parse_tags(struct instance *i, const json_t *json, struct err *err)
{
    const json_t *tags = json_object_get(json, "tags");
    size_t index;
    const json_t *tag;
    if (is_none(tags))
        return 0;
    if (!json_is_array(tags) || json_array_size(tags) > MAX_ENTRIES)
        return refuse(err, "tags", "a list of at most 64 strings");
    json_array_foreach((json_t *)tags, index, tag)
    {
        if (!is_short(tag, MAX_KEY))
            return refuse(err, "tags", "strings of at most 128 bytes");
        json_array_append(i->tags, (json_t *)tag);
    }
    return 0;
}

/* A number or a boolean is kept as its text: people write `weight = 10`. */
static json_t *text_of(const json_t *value)
{
    if (json_is_string(value) || json_is_object(value) || json_is_array(value) ||
        json_is_null(value))
        return json_incref((json_t *)value);
    char *text = json_dumps(value, JSON_ENCODE_ANY);
    json_t *string = json_string(text);
    free(text);
    return string;
}

static int parse_meta(struct instance *i, const json_t *json, struct err *err)
{
    const json_t *meta = json_object_get(json, "meta");
    const char *key;
    json_t *value;
    if (is_none(meta))
        return 0;
    if (!json_is_object(meta) || json_object_size(meta) > MAX_ENTRIES)
        return refuse(err, "meta", "a map of at most 64 strings");
    json_object_foreach((json_t *)meta, key, value)
    {
        json_t *text = text_of(value);
        json_object_set_new(i->meta, key, text);
        if (strlen(key) > MAX_KEY || !is_short(text, MAX_VALUE))
            return refuse(err, "meta", "strings of at most 4096 bytes, their keys of at most 128");
    }
    return 0;
}

static int parse_all(struct instance *i, const json_t *json, struct err *err)
{
    json_int_t port = 0;
    for (size_t f = 0; f < sizeof fields / sizeof *fields; f++)
        if (parse_field(i, &fields[f], json, err) < 0)
            return -1;
    if (parse_number(json, "port", 65535, &port, err) < 0 ||
        parse_number(json, "revision", INT64_MAX, &i->revision, err) < 0)
        return -1;
    i->port = (int)port;
    return parse_tags(i, json, err) < 0 ? -1 : parse_meta(i, json, err);
}

static int complete(struct instance *i, const char *service, struct err *err)
{
    if (!i->service && service)
        i->service = xstrdup(service);
    if (!i->service)
        return err_set(err, "invalid", "service: is missing");
    if (!i->address)
        return err_set(err, "invalid", "address: is missing");
    if (!i->status)
        i->status = xstrdup("passing");
    if (!i->id && i->node)
        i->id = xasprintf("%s@%s", i->service, i->node);
    else if (!i->id)
        i->id = xasprintf("%s@%.50s:%d", i->service, i->address, i->port);
    return 0;
}

struct instance *instance_parse(const json_t *json, const char *service, struct err *err)
{
    if (!json_is_object(json)) {
        err_set(err, "invalid", "a record must be an object with address and port");
        return NULL;
    }
    struct instance *i = xcalloc(1, sizeof *i);
    i->tags = json_array();
    i->meta = json_object();
    if (parse_all(i, json, err) == 0 && complete(i, service, err) == 0)
        return i;
    instance_free(i);
    return NULL;
}

json_t *instance_dump(const struct instance *i)
{
    json_t *json = json_object();
    for (size_t f = 0; f < sizeof fields / sizeof *fields; f++) {
        const char *text = *place((struct instance *)i, &fields[f]);
        if (text)
            json_object_set_new(json, fields[f].key, json_string(text));
        if (i->port && strcmp(fields[f].key, "address") == 0)
            json_object_set_new(json, "port", json_integer(i->port));
    }
    json_object_set(json, "tags", i->tags);
    json_object_set(json, "meta", i->meta);
    json_object_set_new(json, "revision", json_integer(i->revision));
    return json;
}

struct instance *instance_copy(const struct instance *i)
{
    if (!i)
        return NULL;
    json_t *json = instance_dump(i);
    struct instance *copy = instance_parse(json, NULL, NULL);
    json_decref(json);
    return copy;
}

void instance_free(struct instance *i)
{
    if (!i)
        return;
    for (size_t f = 0; f < sizeof fields / sizeof *fields; f++)
        free(*place(i, &fields[f]));
    json_decref(i->tags);
    json_decref(i->meta);
    free(i);
}

size_t instances_drop_doubles(struct instance **list, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (kept && strcmp(list[kept - 1]->id, list[i]->id) == 0)
            instance_free(list[i]);
        else
            list[kept++] = list[i];
    }
    return kept;
}

void instances_free(struct instance **list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        instance_free(list[i]);
    free(list);
}
