#include "io/dns_message.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/mem.h"
#include "io/dns_name.h"

#define HEADER_SIZE 12
#define MIN_RECORD 11 /* bytes of the shortest: a name, type, class, lifetime, size */
#define CLASS_IN 1

struct reader {
    const unsigned char *message;
    size_t len, at;
    struct err *err; /* borrowed */
};

static int broken(struct reader *r, const char *what)
{
    return err_set(r->err, "bad_reply", "the answer is malformed: %s at byte %zu", what, r->at);
}

static int read_16(struct reader *r, uint16_t *ret)
{
    if (r->len - r->at < 2)
        return broken(r, "it ends too early");
    *ret = (uint16_t)(r->message[r->at] << 8 | r->message[r->at + 1]);
    r->at += 2;
    return 0;
}

static int read_32(struct reader *r, uint32_t *ret)
{
    uint16_t high = 0, low = 0;
    if (read_16(r, &high) < 0 || read_16(r, &low) < 0)
        return -1;
    *ret = (uint32_t)high << 16 | low;
    return 0;
}

static int read_name(struct reader *r, char **ret)
{
    free(*ret);
    *ret = dns_name_read(r->message, r->len, &r->at);
    return *ret ? 0 : broken(r, "a bad name");
}

/* ---- data, by type ---- */

static int read_srv(struct reader *r, struct dns_record *record)
{
    if (read_16(r, &record->priority) < 0 || read_16(r, &record->weight) < 0 ||
        read_16(r, &record->port) < 0)
        return -1;
    return read_name(r, &record->target);
}

static int read_address(struct reader *r, int family, size_t size, struct dns_record *record)
{
    if (r->len - r->at < size)
        return broken(r, "an address that is cut off");
    inet_ntop(family, r->message + r->at, record->address, sizeof record->address);
    r->at += size;
    return 0;
}

static int read_txt(struct reader *r, size_t end, struct dns_record *record)
{
    size_t count = 0;
    record->data_len = (uint16_t)(end - r->at);
    record->data = xmalloc(record->data_len + 1u);
    memcpy(record->data, r->message + r->at, record->data_len);
    record->strings = xcalloc(record->data_len + 1u, sizeof *record->strings);
    while (r->at < end) {
        size_t size = r->message[r->at++];
        if (end - r->at < size)
            return broken(r, "a text that is cut off");
        record->strings[count++] = xstrndup((const char *)r->message + r->at, size);
        r->at += size;
    }
    record->strings = xreallocarray(record->strings, count + 1, sizeof *record->strings);
    return 0;
}

static int read_soa(struct reader *r, struct dns_record *record)
{
    uint32_t skipped;
    if (read_name(r, &record->target) < 0 || read_name(r, &record->target) < 0)
        return -1;
    for (int i = 0; i < 4; i++) /* serial, refresh, retry, expire */
        if (read_32(r, &skipped) < 0)
            return -1;
    return read_32(r, &record->minimum_s);
}

static int read_data(struct reader *r, size_t end, struct dns_record *record)
{
    switch (record->type) {
    case DNS_SRV:
        return read_srv(r, record);
    case DNS_TXT:
        return read_txt(r, end, record);
    case DNS_A:
        return read_address(r, AF_INET, 4, record);
    case DNS_AAAA:
        return read_address(r, AF_INET6, 16, record);
    case DNS_SOA:
        return read_soa(r, record);
    case DNS_PTR:
    case DNS_CNAME:
    case DNS_NS:
        return read_name(r, &record->target);
    }
    return broken(r, "a type that is not known");
}

static bool is_known(uint16_t type)
{
    static const uint16_t known[] = {DNS_A,   DNS_NS,  DNS_CNAME, DNS_SOA,
                                     DNS_PTR, DNS_TXT, DNS_AAAA,  DNS_SRV};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (type == known[i])
            return true;
    return false;
}

/* ---- records ---- */

static void free_record(struct dns_record *record)
{
    free(record->owner);
    free(record->target);
    free(record->data);
    for (size_t i = 0; record->strings && record->strings[i]; i++)
        free(record->strings[i]);
    free(record->strings);
}

/* Reads one record into *record, which the caller frees in any case. Its type is 0 if it is none
 * of those known here. */
static int read_record(struct reader *r, struct dns_record *record)
{
    uint16_t type, class, size;
    if (read_name(r, &record->owner) < 0 || read_16(r, &type) < 0 || read_16(r, &class) < 0 ||
        read_32(r, &record->ttl_s) < 0 || read_16(r, &size) < 0)
        return -1;
    if (r->len - r->at < size)
        return broken(r, "a record that is cut off");
    size_t end = r->at + size;
    if (is_known(type) && class == CLASS_IN) {
        record->type = (enum dns_type)type;
        if (read_data(r, end, record) < 0)
            return -1;
        if (r->at != end)
            return broken(r, "a record of a wrong length");
    }
    r->at = end;
    return 0;
}

static int read_section(struct reader *r, enum dns_section section, uint16_t count,
                        struct dns_message *m)
{
    for (; count; count--) {
        struct dns_record *record = &m->list[m->count++];
        record->section = section;
        if (read_record(r, record) < 0)
            return -1;
        if (record->type == 0) {
            free_record(record);
            *record = (struct dns_record){0};
            m->count--;
        }
    }
    return 0;
}

static int read_sections(struct reader *r, struct dns_message *m)
{
    uint16_t questions, counts[3];
    size_t total = 0;
    r->at = 4;
    if (read_16(r, &questions) < 0)
        return -1;
    for (int i = 0; i < 3; i++) {
        if (read_16(r, &counts[i]) < 0)
            return -1;
        total += counts[i];
    }
    if (total > r->len / MIN_RECORD)
        return broken(r, "more records than it has room for");
    for (; questions; questions--) {
        uint32_t type_and_class;
        char *name = NULL;
        int result = read_name(r, &name);
        free(name);
        if (result < 0 || read_32(r, &type_and_class) < 0)
            return -1;
    }
    m->list = xcalloc(total + 1, sizeof *m->list);
    for (int i = 0; i < 3; i++)
        if (read_section(r, (enum dns_section)i, counts[i], m) < 0)
            return -1;
    return r->at == r->len ? 0 : broken(r, "it goes on behind its end");
}

int dns_message_parse(const unsigned char *message, size_t len, struct dns_message *ret_message,
                      struct err *err)
{
    struct reader r = {.message = message, .len = len, .err = err};
    *ret_message = (struct dns_message){.bytes = message, .len = len};
    if (len < HEADER_SIZE)
        return broken(&r, "it ends too early");
    ret_message->rcode = (enum dns_rcode)(message[3] & 15);
    ret_message->authoritative = message[2] & 4;
    return read_sections(&r, ret_message);
}

void dns_message_free(struct dns_message *m)
{
    for (size_t i = 0; i < m->count; i++)
        free_record(&m->list[i]);
    free(m->list);
    *m = (struct dns_message){0};
}

struct dns_message dns_message_take(struct dns_message *message)
{
    struct dns_message taken = *message;
    taken.bytes = NULL;
    taken.len = 0;
    message->list = NULL;
    message->count = 0;
    return taken;
}

const char *dns_rcode_name(enum dns_rcode rcode)
{
    static const char *const names[] = {"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN",
                                        "NOTIMP",  "REFUSED", "YXDOMAIN", "YXRRSET",
                                        "NXRRSET", "NOTAUTH", "NOTZONE"};
    return (size_t)rcode < sizeof names / sizeof *names ? names[rcode] : "an unknown code";
}

int dns_message_read(const unsigned char *message, size_t len, enum dns_type type,
                     struct dns_records *ret_records, struct err *err)
{
    struct dns_message m;
    int result = dns_message_parse(message, len, &m, err);
    *ret_records = (struct dns_records){.ttl_s = UINT32_MAX};
    if (result == 0)
        ret_records->list = xcalloc(m.count + 1, sizeof *m.list);
    for (size_t i = 0; result == 0 && i < m.count; i++) {
        struct dns_record *record = &m.list[i];
        if (record->section != DNS_ANSWER || (record->type != type && record->type != DNS_CNAME))
            continue;
        if (record->ttl_s < ret_records->ttl_s)
            ret_records->ttl_s = record->ttl_s;
        if (record->type == type) {
            ret_records->list[ret_records->count++] = *record;
            *record = (struct dns_record){0};
        }
    }
    dns_message_free(&m);
    return result;
}

void dns_records_free(struct dns_records *records)
{
    for (size_t i = 0; i < records->count; i++)
        free_record(&records->list[i]);
    free(records->list);
    *records = (struct dns_records){0};
}
