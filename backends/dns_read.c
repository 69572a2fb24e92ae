/* dns_read.c -- one look at the instances of a service.
 *
 * First the names that _pds._tcp.DOMAIN points to and its own SRV records; then SRV and TXT of each
 * name; then the addresses that nothing told so far. An SRV record of the service itself that
 * belongs to none of the names is an instance too: so Consul, Kubernetes and people write them. */
#include "dns_read.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "core/err.h"
#include "core/hash.h"
#include "core/instance.h"
#include "core/mem.h"
#include "dns_backend.h"
#include "dns_batch.h"
#include "dns_names.h"
#include "dns_text.h"
#include "io/dns_client.h"
#include "io/dns_name.h"

#define MAX_INSTANCES 4096 /* each is compared with the others */
#define SWEEP_AFTER_S 10   /* expired for so long, it is not just renewed late */

struct entry {
    const char *name;             /* borrowed; NULL: a plain SRV record */
    const struct dns_record *srv; /* borrowed; NULL: there is none */
    struct dns_text text;
};

enum stage { STAGE_LIST, STAGE_DETAILS, STAGE_ADDRESSES, STAGES };

struct dns_read {
    struct dns_backend *backend; /* borrowed */
    struct dns_client *client;   /* borrowed */
    char *service;               /* owned */
    struct dns_batch batches[STAGES];
    struct entry *entries; /* owned */
    size_t count, named;   /* the named ones come first */
    dns_found_fn *done;
    void *data; /* borrowed */
};

static void read_free(struct dns_read *r)
{
    for (int i = 0; i < STAGES; i++)
        dns_batch_clear(&r->batches[i]);
    for (size_t i = 0; i < r->count; i++)
        dns_text_clear(&r->entries[i].text);
    free(r->entries);
    free(r->service);
    free(r);
}

void dns_read_cancel(struct dns_read *r) { read_free(r); }

static void read_fail(struct dns_read *r, const struct err *err)
{
    r->done(r->data, NULL, err);
    read_free(r);
}

/* ---- the answer ---- */

/* The address of `target` in any answer: IPv4 before IPv6, then the least as text. */
static const char *known_address(const struct dns_read *r, const char *target)
{
    const struct dns_record *best = NULL;
    for (int b = 0; b < STAGES; b++)
        for (size_t q = 0; q < r->batches[b].count; q++) {
            const struct dns_message *m = &r->batches[b].questions[q].answer;
            for (size_t i = 0; i < m->count; i++) {
                const struct dns_record *a = &m->list[i];
                if ((a->type != DNS_A && a->type != DNS_AAAA) || strcasecmp(a->owner, target) != 0)
                    continue;
                if (!best || a->type < best->type ||
                    (a->type == best->type && strcmp(a->address, best->address) < 0))
                    best = a;
            }
        }
    return best ? best->address : NULL;
}

/* An alias stands between the question's name and the address. */
static const char *aliased_address(const struct dns_read *r, const char *target)
{
    const struct dns_batch *b = &r->batches[STAGE_ADDRESSES];
    for (size_t q = 0; q < b->count; q++) {
        const struct dns_record *a = dns_question_next(&b->questions[q], NULL);
        if (a && strcasecmp(b->questions[q].name, target) == 0)
            return a->address;
    }
    return NULL;
}

static const char *address_of(const struct dns_read *r, const char *target)
{
    const char *address = known_address(r, target);
    if (!address)
        address = aliased_address(r, target);
    return address ? address : target;
}

static char *plain_id(const struct dns_read *r, const struct entry *e)
{
    return xasprintf("%s@%.80s:%u", r->service, e->srv->target, e->srv->port);
}

static char *id_of(const struct dns_read *r, const struct entry *e)
{
    const char *rest;
    if (!e->name)
        return plain_id(r, e);
    char *label = dns_name_first(e->name, &rest);
    if (instance_is_id(label))
        return label;
    free(label);
    return plain_id(r, e);
}

static void set_default(json_t *record, const char *key, const char *text)
{
    if (!json_object_get(record, key))
        json_object_set_new(record, key, json_string(text));
}

static void set_place(const struct dns_read *r, const struct entry *e, json_t *record)
{
    char *id = id_of(r, e);
    set_default(record, "id", id);
    if (!json_object_get(record, "address"))
        json_object_set_new(record, "address", json_string(address_of(r, e->srv->target)));
    json_object_set_new(record, "port", json_integer(e->srv->port));
    json_object_set_new(record, "source", json_string("dns"));
    json_object_set_new(record, "service", json_string(r->service));
    free(id);
}

/* Text that is written badly costs the record what the text says, not the instance. */
static struct instance *make_instance(const struct dns_read *r, const struct entry *e)
{
    json_t *record = e->text.record ? json_incref(e->text.record) : json_object();
    set_place(r, e, record);
    struct instance *made = instance_parse(record, r->service, NULL);
    json_decref(record);
    if (made)
        return made;
    record = json_object();
    set_place(r, e, record);
    made = instance_parse(record, r->service, NULL);
    json_decref(record);
    return made;
}

static int by_id(const void *a, const void *b)
{
    return strcmp((*(struct instance *const *)a)->id, (*(struct instance *const *)b)->id);
}

/* A hash of the records, without what a renewal changes. */
static void set_cursor(struct dns_found *found)
{
    uint64_t hash = HASH_START;
    for (size_t i = 0; i < found->count; i++) {
        json_t *json = instance_dump(found->instances[i]);
        char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
        hash = hash_text(hash, text);
        free(text);
        json_decref(json);
    }
    snprintf(found->cursor, sizeof found->cursor, "%016" PRIx64, hash);
}

static bool is_live(const struct entry *e, int64_t now, struct dns_found *found, size_t *expired)
{
    int64_t expires = e->text.lease.expires;
    const char *id = json_string_value(json_object_get(e->text.record, "id"));
    if (!expires || expires > now) {
        if (expires && (!found->next_expiry || expires < found->next_expiry))
            found->next_expiry = expires;
        return true;
    }
    if (e->text.ours && id && instance_is_id(id) && expires + SWEEP_AFTER_S < now)
        found->expired[(*expired)++] = xstrdup(id);
    return false;
}

static void set_ttl(const struct dns_read *r, struct dns_found *found)
{
    found->ttl_s = UINT32_MAX;
    for (int b = 0; b < STAGES; b++)
        for (size_t q = 0; q < r->batches[b].count; q++) {
            uint32_t ttl_s = dns_question_ttl(&r->batches[b].questions[q], r->backend->ttl_s);
            found->ttl_s = ttl_s < found->ttl_s ? ttl_s : found->ttl_s;
        }
}

static void read_answer(struct dns_read *r)
{
    struct dns_found found = {0};
    size_t expired = 0;
    int64_t now = (int64_t)time(NULL);
    found.instances = xcalloc(r->count + 1, sizeof(struct instance *));
    found.expired = xcalloc(r->count + 1, sizeof *found.expired);
    for (size_t i = 0; i < r->count; i++) {
        struct entry *e = &r->entries[i];
        struct instance *made;
        if (e->srv && is_live(e, now, &found, &expired) && (made = make_instance(r, e)))
            found.instances[found.count++] = made;
    }
    qsort(found.instances, found.count, sizeof(struct instance *), by_id);
    found.count = instances_drop_doubles(found.instances, found.count);
    set_cursor(&found);
    set_ttl(r, &found);
    r->done(r->data, &found, NULL);
    instances_free(found.instances, found.count);
    for (size_t i = 0; found.expired[i]; i++)
        free(found.expired[i]);
    free(found.expired);
    read_free(r);
}

/* ---- third: addresses ---- */

static bool is_asked(const struct dns_batch *b, const char *name)
{
    for (size_t i = 0; i < b->count; i++)
        if (strcasecmp(b->questions[i].name, name) == 0)
            return true;
    return false;
}

static void addresses_told(void *data, const struct err *err)
{
    struct dns_read *r = data;
    if (err)
        read_fail(r, err);
    else
        read_answer(r);
}

static void ask_addresses(struct dns_read *r)
{
    struct dns_batch *b = &r->batches[STAGE_ADDRESSES];
    for (size_t i = 0; i < r->count; i++) {
        const struct entry *e = &r->entries[i];
        if (!e->srv || json_object_get(e->text.record, "address") || is_asked(b, e->srv->target) ||
            known_address(r, e->srv->target))
            continue;
        dns_batch_add(b, xstrdup(e->srv->target), DNS_A)->may_refuse = true;
        dns_batch_add(b, xstrdup(e->srv->target), DNS_AAAA)->may_refuse = true;
    }
    if (b->count)
        dns_batch_start(b, addresses_told, r);
    else
        read_answer(r);
}

/* ---- second: each instance ---- */

static bool is_before(const struct dns_record *a, const struct dns_record *b)
{
    if (a->priority != b->priority)
        return a->priority < b->priority;
    int order = strcmp(a->target, b->target);
    return order ? order < 0 : a->port < b->port;
}

/* No target ("."): the service is decidedly not there. */
static const struct dns_record *first_srv(const struct dns_question *q)
{
    const struct dns_record *first = NULL, *s = NULL;
    while ((s = dns_question_next(q, s)))
        if (*s->target && (!first || is_before(s, first)))
            first = s;
    return first;
}

static bool is_of_named(const struct dns_read *r, const struct dns_record *srv)
{
    for (size_t i = 0; i < r->named; i++) {
        const struct dns_record *own = r->entries[i].srv;
        if (own && own->port == srv->port && strcasecmp(own->target, srv->target) == 0)
            return true;
    }
    return false;
}

/* A host name that we made belongs to an instance whose name has just come or gone. */
static void add_plain(struct dns_read *r)
{
    const struct dns_question *q = &r->batches[STAGE_LIST].questions[1];
    const struct dns_record *s = NULL;
    while ((s = dns_question_next(q, s)))
        if (*s->target && !dns_is_host_name(r->backend->domain, s->target) && !is_of_named(r, s))
            r->entries[r->count++] = (struct entry){.srv = s};
}

static void details_told(void *data, const struct err *err)
{
    struct dns_read *r = data;
    const struct dns_question *q = r->batches[STAGE_DETAILS].questions;
    if (err) {
        read_fail(r, err);
        return;
    }
    for (size_t i = 0; i < r->named; i++, q += 2) {
        r->entries[i].srv = first_srv(q);
        dns_text_read(&q[1].answer, &r->entries[i].text);
    }
    add_plain(r);
    ask_addresses(r);
}

static size_t count_records(const struct dns_question *q)
{
    size_t count = 0;
    const struct dns_record *record = NULL;
    while ((record = dns_question_next(q, record)))
        count++;
    return count;
}

static void fail_many(struct dns_read *r, size_t count)
{
    struct err err = {0};
    err_set(&err, "bad_reply", "%s: lists %zu instances of %s, more than %d",
            dns_client_servers(r->client), count, r->service, MAX_INSTANCES);
    read_fail(r, &err);
    err_clear(&err);
}

static void list_told(void *data, const struct err *err)
{
    struct dns_read *r = data;
    const struct dns_question *q = r->batches[STAGE_LIST].questions;
    struct dns_batch *details = &r->batches[STAGE_DETAILS];
    const struct dns_record *p = NULL;
    if (err) {
        read_fail(r, err);
        return;
    }
    size_t count = count_records(&q[0]) + count_records(&q[1]);
    if (count > MAX_INSTANCES) {
        fail_many(r, count);
        return;
    }
    r->entries = xcalloc(count + 1, sizeof *r->entries);
    while ((p = dns_question_next(&q[0], p))) {
        r->entries[r->count++].name = p->target;
        dns_batch_add(details, xstrdup(p->target), DNS_SRV);
        dns_batch_add(details, xstrdup(p->target), DNS_TXT);
    }
    r->named = r->count;
    if (details->count)
        dns_batch_start(details, details_told, r);
    else
        details_told(r, NULL);
}

/* ---- first: the list ---- */

struct dns_read *dns_read_start(struct dns_backend *b, struct dns_client *client,
                                const char *service, dns_found_fn *done, void *data)
{
    struct dns_read *r = xcalloc(1, sizeof *r);
    *r = (struct dns_read){
        .backend = b, .client = client, .service = xstrdup(service), .done = done, .data = data};
    for (int i = 0; i < STAGES; i++)
        dns_batch_init(&r->batches[i], client);
    struct dns_batch *list = &r->batches[STAGE_LIST];
    dns_batch_add(list, dns_service_name(b->domain, service), DNS_PTR);
    dns_batch_add(list, dns_service_name(b->domain, service), DNS_SRV);
    dns_batch_start(list, list_told, r);
    return r;
}
