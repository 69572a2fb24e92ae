#include "dns_text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/instance.h"
#include "core/mem.h"
#include "io/dns_message.h"

#define MAX_STRING 255
#define MAX_ENTRIES 64
#define MAX_KEY 128
#define MAX_VALUE 4096

/* ---- writing ---- */

static void put_string(struct buf *out, const char *head, const char *text, size_t len)
{
    unsigned char size = (unsigned char)(strlen(head) + len);
    buf_append(out, &size, 1);
    buf_puts(out, head);
    buf_append(out, text, len);
}

static void put_text(struct buf *out, const char *text)
{
    size_t len = strlen(text), part = len < MAX_STRING ? len : MAX_STRING;
    put_string(out, "", text, part);
    for (size_t at = part; at < len; at += part) {
        part = len - at < MAX_STRING - 1 ? len - at : MAX_STRING - 1;
        put_string(out, "=", text + at, part);
    }
}

static void put(struct buf *out, const char *key, const char *value)
{
    if (!value)
        return;
    char *text = xasprintf("%s=%s", key, value);
    put_text(out, text);
    free(text);
}

static void put_number(struct buf *out, const char *key, int64_t number)
{
    char *text = xasprintf("%s=%" PRId64, key, number);
    put_text(out, text);
    free(text);
}

static void put_meta(struct buf *out, const char *key, const char *value)
{
    struct buf text = {0};
    buf_puts(&text, "meta.");
    for (; *key; key++) {
        if (*key == '=' || *key == '%')
            buf_printf(&text, "%%%02X", (unsigned char)*key);
        else
            buf_append(&text, key, 1);
    }
    put(out, text.data, value);
    buf_free(&text);
}

int dns_text_write(const struct instance *record, const struct dns_lease *lease, struct buf *out,
                   struct err *err)
{
    size_t start = out->len, index;
    const char *key;
    json_t *value;
    put(out, "orrery", "1");
    put(out, "id", record->id);
    put(out, "node", record->node);
    put(out, "address", record->address);
    put(out, "scheme", record->scheme);
    put(out, "did", record->did);
    if (strcmp(record->status, "passing") != 0)
        put(out, "status", record->status);
    json_array_foreach(record->tags, index, value) put(out, "tag", json_string_value(value));
    json_object_foreach(record->meta, key, value) put_meta(out, key, json_string_value(value));
    put_number(out, "rev", lease->revision);
    if (lease->ttl_s) {
        put_number(out, "ttl", (int64_t)lease->ttl_s);
        put_number(out, "exp", lease->expires);
    }
    if (out->len - start <= DNS_MAX_TEXT)
        return 0;
    return err_set(err, "invalid",
                   "the record of %s is too big for the DNS: %zu bytes of text, at most %d; "
                   "shorten its meta",
                   record->id, out->len - start, DNS_MAX_TEXT);
}

void dns_text_write_one(const char *key, const char *value, struct buf *out)
{
    put(out, key, value);
}

/* ---- reading ---- */

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static char *decode_key(const char *key)
{
    struct buf out = {0};
    for (; *key; key++) {
        int high = key[0] == '%' ? hex(key[1]) : -1, low = high < 0 ? -1 : hex(key[2]);
        char c = low < 0 ? *key : (char)(high * 16 + low);
        if (low >= 0)
            key += 2;
        if (c)
            buf_append(&out, &c, 1);
    }
    return buf_take(&out);
}

static int64_t number_of(const char *text)
{
    char *end;
    long long number = strtoll(text, &end, 10);
    return *text && *end == '\0' && number > 0 && number < INT64_MAX / 2 ? number : 0;
}

static json_t *child(json_t *record, const char *key, json_t *fresh)
{
    if (!json_object_get(record, key))
        json_object_set(record, key, fresh);
    json_decref(fresh);
    return json_object_get(record, key);
}

static void add_meta(json_t *record, const char *key, const char *value)
{
    json_t *meta = child(record, "meta", json_object());
    char *name = decode_key(key);
    json_t *text = strlen(value) <= MAX_VALUE ? json_string(value) : NULL;
    if (*name && strlen(name) <= MAX_KEY && text && json_object_size(meta) < MAX_ENTRIES &&
        !json_object_get(meta, name))
        json_object_set(meta, name, text);
    json_decref(text);
    free(name);
}

static void add_tag(json_t *record, const char *value)
{
    json_t *tags = child(record, "tags", json_array());
    if (strlen(value) <= MAX_KEY && json_array_size(tags) < MAX_ENTRIES)
        json_array_append_new(tags, json_string(value));
}

/* Whether it is a field of the record that is written as it is. */
static bool is_field(const char *key)
{
    static const char *const names[] = {"id", "node", "address", "scheme", "did", "status"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(key, names[i]) == 0)
            return true;
    return false;
}

static void take(struct dns_text *t, const char *key, const char *value)
{
    if (strcmp(key, "orrery") == 0) {
        t->ours = true;
    } else if (strcmp(key, "exp") == 0) {
        t->lease.expires = number_of(value);
    } else if (strcmp(key, "ttl") == 0) {
        t->lease.ttl_s = (uint64_t)number_of(value);
    } else if (strcmp(key, "rev") == 0) {
        t->lease.revision = number_of(value);
    } else if (strcmp(key, "tag") == 0) {
        add_tag(t->record, value);
    } else if (strcmp(key, "service") == 0) {
        free(t->service);
        t->service = xstrdup(value);
    } else if (is_field(key)) {
        if (!json_object_get(t->record, key))
            json_object_set_new(t->record, key, json_string(value));
    } else if (strncmp(key, "meta.", 5) == 0) {
        add_meta(t->record, key + 5, value);
    } else if (strcmp(key, "txtvers") != 0) {
        add_meta(t->record, key, value);
    }
}

/* One whole text, which it cuts at its first "=". */
static void take_text(struct dns_text *t, char *text)
{
    char *equals = strchr(text, '=');
    if (equals)
        *equals = '\0';
    if (*text)
        take(t, text, equals ? equals + 1 : "");
    free(text);
}

static void read_strings(struct dns_text *t, char *const *strings)
{
    struct buf text = {0};
    for (; *strings; strings++) {
        bool goes_on = (*strings)[0] == '=';
        if (goes_on && !text.len)
            continue;
        if (!goes_on && text.len)
            take_text(t, buf_take(&text));
        buf_puts(&text, *strings + goes_on);
    }
    take_text(t, buf_take(&text));
}

void dns_text_read(const struct dns_message *answer, struct dns_text *ret_text)
{
    *ret_text = (struct dns_text){.record = json_object()};
    for (size_t i = 0; i < answer->count; i++) {
        const struct dns_record *r = &answer->list[i];
        if (r->section != DNS_ANSWER || r->type != DNS_TXT)
            continue;
        ret_text->found = true;
        read_strings(ret_text, r->strings);
    }
    json_object_set_new(ret_text->record, "revision", json_integer(ret_text->lease.revision));
}

void dns_text_clear(struct dns_text *text)
{
    json_decref(text->record);
    free(text->service);
    *text = (struct dns_text){0};
}
