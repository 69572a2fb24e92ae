#include "dns_change.h"

#include <arpa/inet.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "core/err.h"
#include "core/instance.h"
#include "core/mem.h"
#include "dns_backend.h"
#include "dns_batch.h"
#include "dns_names.h"
#include "dns_text.h"
#include "dns_update.h"
#include "dns_write.h"
#include "io/dns_name.h"

/* ---- names ---- */

void dns_places_init(struct dns_places *p, const char *domain, const char *service, const char *id)
{
    *p = (struct dns_places){.services = dns_services_name(domain),
                             .service = dns_service_name(domain, service),
                             .instance = dns_instance_name(domain, service, id),
                             .host = dns_host_name(domain, service, id)};
}

void dns_places_clear(struct dns_places *p)
{
    free(p->services);
    free(p->service);
    free(p->instance);
    free(p->host);
    *p = (struct dns_places){0};
}

static void put_name(struct buf *b, const char *name)
{
    if (dns_name_write(name, b) < 0)
        buf_append(b, "", 1);
}

/* ---- what shall be ---- */

/* Told in whole seconds, so up to one more: a lease is never shorter than was asked for. */
int64_t dns_expiry(uint64_t ttl_s)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec + (int64_t)ttl_s + (now.tv_nsec > 0);
}

static void put_srv(struct buf *b, uint16_t priority, uint16_t weight, uint16_t port,
                    const char *target)
{
    uint16_t numbers[3] = {htobe16(priority), htobe16(weight), htobe16(port)};
    buf_append(b, numbers, sizeof numbers);
    put_name(b, target);
}

/* Whether a client could ask for it as it is; text keeps what the DNS would change. */
static bool is_host_name(const char *address)
{
    struct buf wire = {0};
    bool ok = !strchr(address, ':') && !strchr(address, '%') && *address &&
              address[strlen(address) - 1] != '.' && dns_name_write(address, &wire) == 0;
    buf_free(&wire);
    return ok;
}

static void set_target(struct dns_wanted *w, const struct dns_places *p, const char *address)
{
    if (inet_pton(AF_INET, address, w->address) == 1)
        w->address_len = 4;
    else if (inet_pton(AF_INET6, address, w->address) == 1)
        w->address_len = 16;
    w->target = xstrdup(!w->address_len && is_host_name(address) ? address : p->host);
}

/* The same record again, even after a restart, is the same revision. */
static int64_t revision_of(const struct instance *record, const struct dns_question *old_text)
{
    struct dns_text old;
    int64_t now = (int64_t)time(NULL), revision = now;
    dns_text_read(&old_text->answer, &old);
    if (old.ours && old.lease.revision) {
        struct instance *before = instance_parse(old.record, record->service, NULL);
        json_t *a = before ? instance_dump(before) : NULL, *b = instance_dump(record);
        json_object_del(a, "revision");
        json_object_del(b, "revision");
        json_object_del(b, "port"); /* the SRV record tells it */
        json_object_del(b, "source");
        if (a && json_equal(a, b))
            revision = old.lease.revision;
        else if (old.lease.revision >= now)
            revision = old.lease.revision + 1;
        json_decref(a);
        json_decref(b);
        instance_free(before);
    }
    dns_text_clear(&old);
    return revision;
}

/* A lifetime well below the lease, so that no cache holds a text past the next renewal. */
static uint32_t ttl_of(const struct dns_backend *b, uint64_t lease_s)
{
    if (!lease_s || lease_s / 4 >= b->ttl_s)
        return b->ttl_s;
    return lease_s >= 4 ? (uint32_t)(lease_s / 4) : 1;
}

int dns_wanted_init(struct dns_wanted *w, const struct dns_places *p, const struct dns_backend *b,
                    const struct dns_write_request *request, const struct dns_question *old_text,
                    struct err *err)
{
    const struct instance *record = request->record;
    struct dns_lease lease = {.revision = revision_of(record, old_text),
                              .ttl_s = request->ttl_s,
                              .expires = dns_expiry(request->ttl_s)};
    *w = (struct dns_wanted){.ttl_s = ttl_of(b, request->ttl_s)};
    set_target(w, p, record->address);
    put_srv(&w->srv, 0, 0, (uint16_t)record->port, w->target);
    return dns_text_write(record, &lease, &w->text, err);
}

void dns_wanted_clear(struct dns_wanted *w)
{
    free(w->target);
    buf_free(&w->srv);
    buf_free(&w->text);
    *w = (struct dns_wanted){0};
}

/* ---- what is there ---- */

static bool is_text(const struct dns_question *q, const struct buf *text)
{
    const struct dns_record *r = dns_question_next(q, NULL);
    return r && !dns_question_next(q, r) && r->data_len == text->len &&
           memcmp(r->data, text->data, text->len) == 0;
}

static bool is_srv(const struct dns_question *q, const struct buf *srv)
{
    struct buf got = {0};
    const struct dns_record *r = dns_question_next(q, NULL);
    if (!r || dns_question_next(q, r))
        return false;
    put_srv(&got, r->priority, r->weight, r->port, r->target);
    /* Servers may change the case of names. */
    bool same = got.len == srv->len && memcmp(got.data, srv->data, 6) == 0;
    for (size_t i = 6; same && i < got.len; i++)
        same = (got.data[i] | 0x20) == (srv->data[i] | 0x20);
    buf_free(&got);
    return same;
}

bool dns_current_is_wanted(const struct dns_current *c, const struct dns_wanted *w)
{
    return is_srv(c->srv, &w->srv) && is_text(c->text, &w->text);
}

/* ---- changes ---- */

/* The change counts only while the instance is as it was seen. */
static void require_current(struct dns_update *u, const struct dns_places *p,
                            const struct dns_current *c)
{
    const struct dns_record *r = dns_question_next(c->text, NULL);
    if (!r && !dns_question_next(c->srv, NULL)) {
        dns_update_require_unused(u, p->instance);
        return;
    }
    if (!r)
        dns_update_require_none(u, p->instance, DNS_TXT);
    for (; r; r = dns_question_next(c->text, r))
        dns_update_require(u, p->instance, DNS_TXT, r->data, r->data_len);
}

static void delete_current(struct dns_update *u, const struct dns_places *p,
                           const struct dns_current *c)
{
    const struct dns_record *r = NULL;
    while ((r = dns_question_next(c->srv, r))) {
        struct buf srv = {0};
        put_srv(&srv, r->priority, r->weight, r->port, r->target);
        dns_update_delete(u, p->service, DNS_SRV, srv.data, srv.len);
        buf_free(&srv);
    }
    dns_update_delete_name(u, p->instance);
    dns_update_delete_set(u, p->host, DNS_A);
    dns_update_delete_set(u, p->host, DNS_AAAA);
}

static void add_pointer(struct dns_update *u, const char *name, const char *to, uint32_t ttl_s)
{
    struct buf data = {0};
    put_name(&data, to);
    dns_update_add(u, name, DNS_PTR, ttl_s, data.data, data.len);
    buf_free(&data);
}

static void delete_pointer(struct dns_update *u, const char *name, const char *to)
{
    struct buf data = {0};
    put_name(&data, to);
    dns_update_delete(u, name, DNS_PTR, data.data, data.len);
    buf_free(&data);
}

void dns_change_register(struct dns_update *u, const struct dns_places *p,
                         const struct dns_backend *b, const struct dns_current *c,
                         const struct dns_wanted *w, const char *service)
{
    require_current(u, p, c);
    delete_current(u, p, c);
    dns_update_add(u, p->instance, DNS_SRV, w->ttl_s, w->srv.data, w->srv.len);
    dns_update_add(u, p->instance, DNS_TXT, w->ttl_s, w->text.data, w->text.len);
    if (w->address_len)
        dns_update_add(u, p->host, w->address_len == 4 ? DNS_A : DNS_AAAA, w->ttl_s, w->address,
                       w->address_len);
    dns_update_add(u, p->service, DNS_SRV, b->ttl_s, w->srv.data, w->srv.len);
    add_pointer(u, p->service, p->instance, b->ttl_s);
    add_pointer(u, p->services, p->service, b->ttl_s);
    if (!dns_names_service(service)) {
        struct buf text = {0};
        dns_text_write_one("service", service, &text);
        dns_update_add(u, p->service, DNS_TXT, b->ttl_s, text.data, text.len);
        buf_free(&text);
    }
}

/* The strings as they are, but the one that says when it expires. */
static void renew_text(const struct dns_record *r, int64_t expires, struct buf *ret_text)
{
    for (size_t at = 0; at < r->data_len; at += r->data[at] + 1u) {
        size_t size = r->data[at];
        if (size < 4 || memcmp(r->data + at + 1, "exp=", 4) != 0)
            buf_append(ret_text, r->data + at, size + 1);
    }
    char *text = xasprintf("%lld", (long long)expires);
    dns_text_write_one("exp", text, ret_text);
    free(text);
}

/* What leads to the instance is added again: it may have been lost with another's. */
void dns_change_renew(struct dns_update *u, const struct dns_places *p, const struct dns_backend *b,
                      const struct dns_current *c, int64_t expires, uint64_t ttl_s,
                      struct buf *ret_text)
{
    const struct dns_record *s = NULL;
    require_current(u, p, c);
    renew_text(dns_question_next(c->text, NULL), expires, ret_text);
    dns_update_delete_set(u, p->instance, DNS_TXT);
    dns_update_add(u, p->instance, DNS_TXT, ttl_of(b, ttl_s), ret_text->data, ret_text->len);
    add_pointer(u, p->service, p->instance, b->ttl_s);
    add_pointer(u, p->services, p->service, b->ttl_s);
    while ((s = dns_question_next(c->srv, s))) {
        struct buf srv = {0};
        put_srv(&srv, s->priority, s->weight, s->port, s->target);
        dns_update_add(u, p->service, DNS_SRV, b->ttl_s, srv.data, srv.len);
        buf_free(&srv);
    }
}

void dns_change_deregister(struct dns_update *u, const struct dns_places *p,
                           const struct dns_current *c)
{
    require_current(u, p, c);
    delete_current(u, p, c);
    delete_pointer(u, p->service, p->instance);
}

void dns_change_drop_service(struct dns_update *u, const struct dns_places *p)
{
    dns_update_require_none(u, p->service, DNS_PTR);
    dns_update_delete_set(u, p->service, DNS_TXT);
    delete_pointer(u, p->services, p->service);
}
