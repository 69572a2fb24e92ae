#include "io/dns_message.h"

#include <ares.h>
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/mem.h"

#define HEADER_SIZE 12
#define TYPE_CNAME 5

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
    uint16_t high, low;
    if (read_16(r, &high) < 0 || read_16(r, &low) < 0)
        return -1;
    *ret = (uint32_t)high << 16 | low;
    return 0;
}

/* Reads a name, which may point backwards. The caller frees it. */
static char *read_name(struct reader *r)
{
    char *name, *copy;
    long used;
    if (r->at >= r->len || ares_expand_name(r->message + r->at, r->message, (int)r->len, &name,
                                            &used) != ARES_SUCCESS) {
        broken(r, "a bad name");
        return NULL;
    }
    r->at += (size_t)used;
    copy = xstrdup(name);
    ares_free_string(name);
    return copy;
}

static int skip_name(struct reader *r)
{
    char *name = read_name(r);
    free(name);
    return name ? 0 : -1;
}

static int read_srv(struct reader *r, struct dns_record *record)
{
    if (read_16(r, &record->priority) < 0 || read_16(r, &record->weight) < 0 ||
        read_16(r, &record->port) < 0)
        return -1;
    record->target = read_name(r);
    return record->target ? 0 : -1;
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
    record->strings = xcalloc(1, sizeof *record->strings);
    while (r->at < end) {
        size_t size = r->message[r->at++];
        if (end - r->at < size)
            return broken(r, "a text that is cut off");
        record->strings = xreallocarray(record->strings, count + 2, sizeof *record->strings);
        record->strings[count++] = xstrndup((const char *)r->message + r->at, size);
        record->strings[count] = NULL;
        r->at += size;
    }
    return 0;
}

static int read_data(struct reader *r, size_t end, enum dns_type type, struct dns_record *record)
{
    switch (type) {
    case DNS_SRV:
        return read_srv(r, record);
    case DNS_TXT:
        return read_txt(r, end, record);
    case DNS_A:
        return read_address(r, AF_INET, 4, record);
    case DNS_AAAA:
        return read_address(r, AF_INET6, 16, record);
    }
    return broken(r, "a type that was not asked for");
}

/* What stands before the data of a record. */
struct record_head {
    uint16_t type, class, size;
    uint32_t ttl_s;
};

static int read_head(struct reader *r, struct record_head *head)
{
    if (skip_name(r) < 0 || read_16(r, &head->type) < 0 || read_16(r, &head->class) < 0 ||
        read_32(r, &head->ttl_s) < 0 || read_16(r, &head->size) < 0)
        return -1;
    if (r->len - r->at < head->size)
        return broken(r, "a record that is cut off");
    return 0;
}

static int read_record(struct reader *r, enum dns_type type, struct dns_records *records)
{
    struct record_head head;
    if (read_head(r, &head) < 0)
        return -1;
    size_t end = r->at + head.size;
    if (head.type == TYPE_CNAME || head.type == type)
        records->ttl_s = head.ttl_s < records->ttl_s ? head.ttl_s : records->ttl_s;
    if (head.type == type) {
        struct dns_record *record = &records->list[records->count++];
        record->ttl_s = head.ttl_s;
        if (read_data(r, end, type, record) < 0)
            return -1;
        if (r->at != end)
            return broken(r, "a record of a wrong length");
    }
    r->at = end;
    return 0;
}

static int read_answers(struct reader *r, enum dns_type type, struct dns_records *records)
{
    uint16_t questions, answers;
    r->at = 4;
    if (read_16(r, &questions) < 0 || read_16(r, &answers) < 0)
        return -1;
    if (answers > DNS_MAX_RECORDS)
        return err_set(r->err, "bad_reply", "the answer has %u records, more than %d", answers,
                       DNS_MAX_RECORDS);
    r->at = HEADER_SIZE;
    records->list = xcalloc(answers, sizeof *records->list);
    for (; questions; questions--) {
        uint32_t type_and_class;
        if (skip_name(r) < 0 || read_32(r, &type_and_class) < 0)
            return -1;
    }
    for (; answers; answers--)
        if (read_record(r, type, records) < 0)
            return -1;
    return 0;
}

int dns_message_read(const unsigned char *message, size_t len, enum dns_type type,
                     struct dns_records *ret_records, struct err *err)
{
    struct reader r = {.message = message, .len = len, .err = err};
    *ret_records = (struct dns_records){.ttl_s = UINT32_MAX};
    if (len < HEADER_SIZE)
        return broken(&r, "it ends too early");
    if (read_answers(&r, type, ret_records) == 0)
        return 0;
    dns_records_free(ret_records);
    return -1;
}

static void free_record(struct dns_record *record)
{
    free(record->target);
    for (size_t i = 0; record->strings && record->strings[i]; i++)
        free(record->strings[i]);
    free(record->strings);
}

void dns_records_free(struct dns_records *records)
{
    for (size_t i = 0; i < records->count; i++)
        free_record(&records->list[i]);
    free(records->list);
    *records = (struct dns_records){0};
}
