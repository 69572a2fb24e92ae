/* dns_sketch.c -- the records that registering an instance in an empty zone would make. */
#include "dns_sketch.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "backend.h"
#include "core/instance.h"
#include "core/mem.h"
#include "dns_backend.h"
#include "dns_batch.h"
#include "dns_change.h"
#include "dns_write.h"

static void add(json_t *list, const char *name, const char *type, uint32_t ttl_s, json_t *value)
{
    json_array_append_new(list, json_pack("{s:s, s:s, s:I, s:o}", "name", name, "type", type, "ttl",
                                          (json_int_t)ttl_s, "value", value));
}

/* The strings of a TXT record: each has its length before it. */
static json_t *strings_of(const struct buf *text)
{
    json_t *list = json_array();
    for (size_t at = 0; at < text->len;) {
        size_t len = (unsigned char)text->data[at];
        json_array_append_new(list, json_stringn(text->data + at + 1, len));
        at += len + 1;
    }
    return list;
}

static void add_address(json_t *list, const struct dns_places *p, const struct dns_wanted *w)
{
    char text[INET6_ADDRSTRLEN];
    bool v4 = w->address_len == 4;
    if (w->address_len && inet_ntop(v4 ? AF_INET : AF_INET6, w->address, text, sizeof text))
        add(list, p->host, v4 ? "A" : "AAAA", w->ttl_s, json_string(text));
}

static json_t *records_of(const struct dns_backend *b, const struct dns_places *p,
                          const struct dns_wanted *w, int port)
{
    json_t *list = json_array();
    char *srv = xasprintf("0 0 %d %s", port, w->target);
    add(list, p->services, "PTR", b->ttl_s, json_string(p->service));
    add(list, p->service, "PTR", b->ttl_s, json_string(p->instance));
    add(list, p->service, "SRV", b->ttl_s, json_string(srv));
    add(list, p->instance, "SRV", w->ttl_s, json_string(srv));
    add(list, p->instance, "TXT", w->ttl_s, strings_of(&w->text));
    add_address(list, p, w);
    free(srv);
    return list;
}

json_t *dns_sketch(void *self, const struct instance *record, uint64_t ttl_s, struct err *err)
{
    const struct dns_backend *b = self;
    const struct dns_write_request request = {.verb = BACKEND_REGISTER,
                                              .record = record,
                                              .ttl_s = ttl_s,
                                              .service = record->service,
                                              .id = record->id};
    const struct dns_question nothing = {0};
    struct dns_places places;
    struct dns_wanted wanted;
    json_t *list = NULL;
    dns_places_init(&places, b->domain, record->service, record->id);
    if (dns_wanted_init(&wanted, &places, b, &request, &nothing, err) == 0)
        list = records_of(b, &places, &wanted, (int)record->port);
    dns_wanted_clear(&wanted);
    dns_places_clear(&places);
    return list;
}
