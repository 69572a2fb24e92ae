#include "env_names.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/instance.h"
#include "core/mem.h"

/* ---- names: what is not plain becomes x and two digits, as nothing else writes a small letter
 * ----
 */

static bool is_hex(char c) { return isdigit((unsigned char)c) || (c >= 'A' && c <= 'F'); }

static void put_escaped(struct buf *out, char c) { buf_printf(out, "x%02X", (unsigned char)c); }

static void put_plain(struct buf *out, char c)
{
    c = (char)toupper((unsigned char)c);
    buf_append(out, &c, 1);
}

static bool is_plain(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

static bool all_digits(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!isdigit((unsigned char)text[i]))
            return false;
    return len > 0;
}

/* Whether the part behind a dash or dot would be read as META, or as an instance's number. */
static bool part_misleads(const char *part)
{
    size_t len = strcspn(part, "-.");
    return (len == 4 && strncmp(part, "meta", 4) == 0) ||
           (part[len] == '\0' && all_digits(part, len));
}

/* pds -> PDS, feed-gen -> FEED_GEN, pds.eu -> PDS__EU. */
static void put_name(struct buf *out, const char *name)
{
    bool after_bar = true;
    for (const char *c = name; *c; c++) {
        bool separates = *c == '-' || *c == '.';
        if (is_plain(*c))
            put_plain(out, *c);
        else if (separates && !after_bar && !part_misleads(c + 1))
            buf_puts(out, *c == '-' ? "_" : "__");
        else
            put_escaped(out, *c);
        after_bar = out->data[out->len - 1] == '_';
    }
}

/* zone -> ZONE, max_age -> MAX_AGE. */
static void put_key(struct buf *out, const char *key)
{
    for (const char *c = key; *c; c++) {
        if (is_plain(*c))
            put_plain(out, *c);
        else if (*c == '_')
            buf_puts(out, "_");
        else
            put_escaped(out, *c);
    }
}

/* The next character of an encoded text; a bar is the caller's to read. */
static char take_char(const char **at)
{
    const char *c = *at;
    if (c[0] == 'x' && is_hex(c[1]) && is_hex(c[2])) {
        const char digits[] = {c[1], c[2], '\0'};
        *at += 3;
        return (char)strtol(digits, NULL, 16);
    }
    *at += 1;
    return (char)tolower((unsigned char)*c);
}

static char *read_name(const char *text)
{
    struct buf out = {0};
    while (*text) {
        if (*text == '_') {
            bool dot = text[1] == '_';
            buf_puts(&out, dot ? "." : "-");
            text += dot ? 2 : 1;
            continue;
        }
        char c = take_char(&text);
        buf_append(&out, &c, 1);
    }
    return buf_take(&out);
}

static char *read_key(const char *text)
{
    struct buf out = {0};
    while (*text) {
        char c = *text == '_' ? *text++ : take_char(&text);
        buf_append(&out, &c, 1);
    }
    return buf_take(&out);
}

/* ---- tags: with commas between; \, and \\ stand for themselves, \e for an empty tag ---- */

static char *join_tags(const json_t *tags)
{
    struct buf out = {0};
    size_t index;
    const json_t *tag;
    json_array_foreach((json_t *)tags, index, tag)
    {
        const char *text = json_string_value(tag);
        buf_puts(&out, index ? "," : "");
        buf_puts(&out, *text ? "" : "\\e");
        for (; *text; text++) {
            if (*text == ',' || *text == '\\')
                buf_puts(&out, "\\");
            buf_append(&out, text, 1);
        }
    }
    return buf_take(&out);
}

static json_t *split_tags(const char *text)
{
    json_t *tags = json_array();
    struct buf tag = {0};
    bool escaped_empty = false;
    for (;; text++) {
        if (*text == '\\' && text[1]) {
            text++;
            if (*text == 'e')
                escaped_empty = true;
            else
                buf_append(&tag, text, 1);
        } else if (*text && *text != ',') {
            buf_append(&tag, text, 1);
        } else {
            if (tag.len || escaped_empty)
                json_array_append_new(tags, json_stringn(tag.len ? tag.data : "", tag.len));
            buf_consume(&tag, tag.len);
            escaped_empty = false;
            if (!*text)
                break;
        }
    }
    buf_free(&tag);
    return tags;
}

/* ---- export ---- */

/* `url` of a record: none without a scheme. */
static char *url_of(const struct instance *i)
{
    bool v6 = strchr(i->address, ':') != NULL;
    if (!i->scheme)
        return NULL;
    char *host = v6 ? xasprintf("[%s]", i->address) : xstrdup(i->address);
    char *url = i->port ? xasprintf("%s://%s:%d", i->scheme, host, i->port)
                        : xasprintf("%s://%s", i->scheme, host);
    free(host);
    return url;
}

struct exporter {
    json_t *variables;
    char *base; /* ATPROTO_SERVICE_PDS */
};

static void put(const struct exporter *e, const char *field, const char *value)
{
    char *name = xasprintf("%s_%s", e->base, field);
    if (value)
        json_object_set_new(e->variables, name, json_string(value));
    free(name);
}

static void put_number(const struct exporter *e, const char *field, int64_t number)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)number);
    put(e, field, number ? text : NULL);
}

static void put_meta(const struct exporter *e, const json_t *meta)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)meta, key, value)
    {
        struct buf field = {0};
        buf_puts(&field, "META_");
        put_key(&field, key);
        put(e, field.data, json_string_value(value));
        buf_free(&field);
    }
}

static void put_texts(const struct exporter *e, const struct instance *i)
{
    char *url = url_of(i);
    char *tags = json_array_size(i->tags) ? join_tags(i->tags) : NULL;
    put(e, "URL", url);
    put(e, "ADDRESS", i->address);
    put_number(e, "PORT", i->port);
    put(e, "SCHEME", i->scheme);
    put(e, "DID", i->did);
    put(e, "TAGS", tags);
    free(url);
    free(tags);
}

static bool has_zero(const json_t *text)
{
    return strlen(json_string_value(text)) != json_string_length(text);
}

static int check_zeros(const struct instance *i, struct err *err)
{
    const char *key;
    json_t *value;
    size_t index;
    json_array_foreach(i->tags, index, value) if (has_zero(value)) return err_set(
        err, "invalid", "tags: a variable cannot hold a zero byte");
    json_object_foreach(i->meta, key, value) if (has_zero(value)) return err_set(
        err, "invalid", "meta: a variable cannot hold a zero byte");
    return 0;
}

/* The `number`th of its service, from 0. */
static int export_one(json_t *variables, const char *prefix, const struct env_record *record,
                      int number, struct err *err)
{
    const struct instance *i = record->instance;
    struct buf base = {0};
    if (check_zeros(i, err) < 0)
        return -1;
    buf_puts(&base, prefix);
    put_name(&base, i->service);
    if (number)
        buf_printf(&base, "_%d", number + 1);
    struct exporter e = {variables, buf_take(&base)};
    put_texts(&e, i);
    put_meta(&e, i->meta);
    put(&e, "ID", i->id);
    put(&e, "NODE", i->node);
    put(&e, "STATUS", strcmp(i->status, "passing") == 0 ? NULL : i->status);
    put_number(&e, "REVISION", i->revision);
    put_number(&e, "TTL", record->ttl);
    put_number(&e, "EXPIRES", record->expires);
    free(e.base);
    return 0;
}

int env_export(json_t *variables, const char *prefix, const struct env_record *records,
               size_t count, struct err *err)
{
    json_t *numbers = json_object();
    int result = 0;
    for (size_t r = 0; r < count && result == 0; r++) {
        const char *service = records[r].instance->service;
        int number = (int)json_integer_value(json_object_get(numbers, service));
        result = export_one(variables, prefix, &records[r], number, err);
        json_object_set_new(numbers, service, json_integer(number + 1));
    }
    json_decref(numbers);
    return result;
}

/* ---- import ---- */

static const char *const fields[] = {"URL", "ADDRESS", "PORT",   "SCHEME",   "DID", "TAGS",
                                     "ID",  "NODE",    "STATUS", "REVISION", "TTL", "EXPIRES"};

/* PDS_2_META_ZONE: where the base ends, and the field behind it; NULL if it is none of ours. */
static const char *find_field(const char *rest)
{
    const char *meta = strstr(rest, "_META_"), *last = strrchr(rest, '_');
    if (meta && meta > rest)
        return meta;
    if (!last || last == rest)
        return NULL;
    for (size_t f = 0; f < sizeof fields / sizeof *fields; f++)
        if (strcmp(last + 1, fields[f]) == 0)
            return last;
    return NULL;
}

/* The variables in groups, one for each instance: {PDS_2 = {PORT = ..., META_ZONE = ...}}. */
static json_t *group(const json_t *variables, const char *prefix)
{
    json_t *groups = json_object(), *value;
    size_t skip = strlen(prefix);
    const char *name;
    json_object_foreach((json_t *)variables, name, value)
    {
        const char *rest = name + skip;
        const char *field = strncmp(name, prefix, skip) == 0 ? find_field(rest) : NULL;
        if (!field)
            continue;
        char *base = xstrndup(rest, (size_t)(field - rest));
        json_t *fields_of = json_object_get(groups, base);
        if (!fields_of) {
            fields_of = json_object();
            json_object_set_new(groups, base, fields_of);
        }
        json_object_set(fields_of, field + 1, value);
        free(base);
    }
    return groups;
}

/* PDS_2 is the second instance of PDS. */
static char *service_of(const char *base)
{
    const char *bar = strrchr(base, '_');
    bool numbered = bar && bar > base && all_digits(bar + 1, strlen(bar + 1));
    char *name = xstrndup(base, numbered ? (size_t)(bar - base) : strlen(base));
    char *service = read_name(name);
    free(name);
    return service;
}

static const char *text_of(const json_t *group, const char *field)
{
    return json_string_value(json_object_get(group, field));
}

static int64_t number_of(const json_t *group, const char *field)
{
    const char *text = text_of(group, field);
    return text && all_digits(text, strlen(text)) && strlen(text) < 19 ? strtoll(text, NULL, 10)
                                                                       : 0;
}

static void set_text(json_t *record, const char *key, const char *text)
{
    if (text && *text)
        json_object_set_new(record, key, json_string(text));
}

/* Left as text if it is none, for instance_parse() to refuse. */
static void set_number(json_t *record, const char *key, const char *text)
{
    if (!text || !*text)
        return;
    bool fits = all_digits(text, strlen(text)) && strlen(text) < 19;
    json_object_set_new(record, key,
                        fits ? json_integer(strtoll(text, NULL, 10)) : json_string(text));
}

static int default_port(const char *scheme)
{
    if (strcasecmp(scheme, "https") == 0)
        return 443;
    return strcasecmp(scheme, "http") == 0 ? 80 : 0;
}

static void set_missing(json_t *record, const char *key, json_t *value)
{
    if (!json_object_get(record, key))
        json_object_set(record, key, value);
    json_decref(value);
}

/* For a person who gives nothing but the url. A password in it is not taken over. */
static void read_url(json_t *record, const char *url)
{
    const char *colon = url ? strstr(url, "://") : NULL;
    if (!colon)
        return;
    const char *host = colon + 3, *end = host + strcspn(host, "/?#");
    for (const char *c = host; c < end; c++)
        if (*c == '@')
            host = c + 1;
    const char *stop = *host == '[' ? strchr(host, ']') : NULL;
    const char *port = stop ? stop + 1 : host + strcspn(host, ":/?#");
    host += stop ? 1 : 0;
    char *scheme = xstrndup(url, (size_t)(colon - url));
    long number = *port == ':' && port < end ? strtol(port + 1, NULL, 10) : default_port(scheme);
    set_missing(record, "scheme", json_string(scheme));
    if (number)
        set_missing(record, "port", json_integer(number));
    set_missing(record, "address", json_stringn(host, (size_t)((stop ? stop : port) - host)));
    free(scheme);
}

static json_t *read_meta(const json_t *group)
{
    json_t *meta = json_object(), *value;
    const char *field;
    json_object_foreach((json_t *)group, field, value)
    {
        if (strncmp(field, "META_", 5) != 0)
            continue;
        char *key = read_key(field + 5);
        json_object_set(meta, key, value);
        free(key);
    }
    return meta;
}

static json_t *read_group(const json_t *group)
{
    static const char *const plain[][2] = {{"ADDRESS", "address"}, {"SCHEME", "scheme"},
                                           {"DID", "did"},         {"ID", "id"},
                                           {"NODE", "node"},       {"STATUS", "status"}};
    json_t *record = json_object();
    for (size_t f = 0; f < sizeof plain / sizeof *plain; f++)
        set_text(record, plain[f][1], text_of(group, plain[f][0]));
    set_number(record, "port", text_of(group, "PORT"));
    set_number(record, "revision", text_of(group, "REVISION"));
    if (!json_object_get(record, "address"))
        read_url(record, text_of(group, "URL"));
    if (text_of(group, "TAGS"))
        json_object_set_new(record, "tags", split_tags(text_of(group, "TAGS")));
    json_object_set_new(record, "meta", read_meta(group));
    return record;
}

/* "port: must be ..." of a record as what stands in a variable. */
static void name_variable(struct err *err, const char *prefix, const char *base)
{
    size_t len = strcspn(err->message, ":");
    char *field = xstrndup(err->message, len);
    for (char *c = field; *c; c++)
        *c = (char)toupper((unsigned char)*c);
    const char *rest = err->message[len] ? err->message + len + 1 : "";
    char *message = xasprintf("%s%s_%s%s", prefix, base, field, rest);
    err_set(err, "invalid", "%s", message);
    free(message);
    free(field);
}

void env_import(const json_t *variables, const char *prefix, env_import_fn *found, void *data)
{
    json_t *groups = group(variables, prefix), *fields_of;
    const char *base;
    json_object_foreach(groups, base, fields_of)
    {
        struct err err = {0};
        struct env_record record = {.ttl = number_of(fields_of, "TTL"),
                                    .expires = number_of(fields_of, "EXPIRES")};
        char *service = service_of(base);
        json_t *json = read_group(fields_of);
        if (instance_is_name(service))
            record.instance = instance_parse(json, service, &err);
        if (err.code)
            name_variable(&err, prefix, base);
        if (record.instance || err.code)
            found(data, service, &record, err.code ? &err : NULL);
        err_clear(&err);
        json_decref(json);
        free(service);
    }
    json_decref(groups);
}
