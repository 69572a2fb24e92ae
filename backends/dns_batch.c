#include "dns_batch.h"

#include <stdlib.h>

#include "core/err.h"
#include "core/mem.h"
#include "io/dns_client.h"

#define MAX_RECORDS 32768 /* to all questions of a batch */
#define MAX_BYTES (16 << 20)

void dns_batch_init(struct dns_batch *b, struct dns_client *client)
{
    *b = (struct dns_batch){.client = client};
}

struct dns_question *dns_batch_add(struct dns_batch *b, char *name, enum dns_type type)
{
    if (b->count == b->cap) {
        b->cap = b->cap ? 2 * b->cap : 4;
        b->questions = xreallocarray(b->questions, b->cap, sizeof *b->questions);
    }
    struct dns_question *q = &b->questions[b->count++];
    *q = (struct dns_question){.name = name, .type = type, .batch = b};
    return q;
}

static void cancel(struct dns_batch *b)
{
    for (size_t i = 0; i < b->count; i++) {
        if (b->questions[i].ask)
            dns_ask_cancel(b->questions[i].ask);
        b->questions[i].ask = NULL;
    }
    b->pending = 0;
}

void dns_batch_clear(struct dns_batch *b)
{
    cancel(b);
    for (size_t i = 0; i < b->count; i++) {
        dns_message_free(&b->questions[i].answer);
        free(b->questions[i].name);
    }
    free(b->questions);
    *b = (struct dns_batch){0};
}

static const struct dns_record *find(const struct dns_message *m, enum dns_section section,
                                     enum dns_type type)
{
    for (size_t i = 0; i < m->count; i++)
        if (m->list[i].section == section && m->list[i].type == type)
            return &m->list[i];
    return NULL;
}

/* A server that knows only who else would know: what it says is no answer. */
static bool is_referral(const struct dns_question *q)
{
    const struct dns_message *m = &q->answer;
    return !m->authoritative && !dns_question_next(q, NULL) && find(m, DNS_AUTHORITY, DNS_NS) &&
           !find(m, DNS_AUTHORITY, DNS_SOA);
}

static int check(const struct dns_question *q, struct err *err)
{
    const char *server = dns_client_servers(q->batch->client), *type = dns_type_name(q->type);
    switch (q->answer.rcode) {
    case DNS_NXDOMAIN:
        return 0;
    case DNS_NOERROR:
        if (!is_referral(q))
            return 0;
        return err_set(err, "bad_reply",
                       "%s: does not answer for %s %s but refers to other servers: name one that "
                       "holds the zone or resolves recursively",
                       server, q->name, type);
    case DNS_REFUSED:
        if (q->may_refuse)
            return 0;
        return err_set(err, "denied",
                       "%s: refuses to answer for %s %s: it does not hold that zone, or does not "
                       "serve this machine",
                       server, q->name, type);
    default:
        return err_set(err, "bad_reply", "%s: failed to answer for %s %s: %s", server, q->name,
                       type, dns_rcode_name(q->answer.rcode));
    }
}

/* A server that means harm could answer each of thousands of questions with 64 KiB. */
static int take(struct dns_question *q, struct dns_message *message, struct err *err)
{
    struct dns_batch *b = q->batch;
    b->bytes += message->len;
    q->answer = dns_message_take(message);
    b->records += q->answer.count;
    if (b->bytes > MAX_BYTES || b->records > MAX_RECORDS)
        return err_set(err, "bad_reply",
                       "%s: answers with too much: more than %d records, or %d MiB",
                       dns_client_servers(b->client), MAX_RECORDS, MAX_BYTES >> 20);
    return check(q, err);
}

static void told(void *data, struct dns_message *message, const struct err *err)
{
    struct dns_question *q = data;
    struct dns_batch *b = q->batch;
    struct err own = {0};
    q->ask = NULL;
    b->pending--;
    if (message && take(q, message, &own) < 0)
        err = &own;
    if (err)
        cancel(b);
    if (err || b->pending == 0)
        b->done(b->data, err);
    err_clear(&own);
}

void dns_batch_start(struct dns_batch *b, dns_batch_fn *done, void *data)
{
    b->done = done;
    b->data = data;
    b->pending = b->count;
    for (size_t i = 0; i < b->count; i++) {
        struct dns_question *q = &b->questions[i];
        q->ask = dns_ask(b->client, q->name, q->type, told, q);
    }
}

const struct dns_record *dns_question_next(const struct dns_question *q,
                                           const struct dns_record *after)
{
    const struct dns_message *m = &q->answer;
    for (size_t i = after ? (size_t)(after - m->list) + 1 : 0; i < m->count; i++)
        if (m->list[i].section == DNS_ANSWER && m->list[i].type == q->type)
            return &m->list[i];
    return NULL;
}

uint32_t dns_question_ttl(const struct dns_question *q, uint32_t otherwise_s)
{
    const struct dns_message *m = &q->answer;
    uint32_t least = UINT32_MAX;
    if (!dns_question_next(q, NULL)) {
        const struct dns_record *soa = find(m, DNS_AUTHORITY, DNS_SOA);
        if (!soa)
            return otherwise_s;
        return soa->ttl_s < soa->minimum_s ? soa->ttl_s : soa->minimum_s;
    }
    for (size_t i = 0; i < m->count; i++)
        if (m->list[i].section == DNS_ANSWER && m->list[i].ttl_s < least)
            least = m->list[i].ttl_s;
    return least;
}
