/* dns_change.h -- which records of the zone a change adds and takes away. No I/O. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "core/buf.h"

struct dns_backend;
struct dns_question;
struct dns_text;
struct dns_update;
struct dns_write_request;
struct err;
struct instance;

/* The names of an instance; all owned. */
struct dns_places {
    char *services, *service, *instance, *host;
};

void dns_places_init(struct dns_places *p, const char *domain, const char *service, const char *id);
void dns_places_clear(struct dns_places *p);

/* What an instance shall have. */
struct dns_wanted {
    char *target;         /* owned: the host of its SRV record */
    struct buf srv, text; /* their bytes */
    unsigned char address[16];
    size_t address_len; /* 4, 16, or 0: its address is no number */
    uint32_t ttl_s;
};

/* `old` tells the revision before. */
int dns_wanted_init(struct dns_wanted *w, const struct dns_places *p, const struct dns_backend *b,
                    const struct dns_write_request *request, const struct dns_question *old_text,
                    struct err *err);
void dns_wanted_clear(struct dns_wanted *w);

/* What is there: the answers for the instance's SRV and TXT records. */
struct dns_current {
    const struct dns_question *srv, *text;
};

bool dns_current_is_wanted(const struct dns_current *c, const struct dns_wanted *w);

void dns_change_register(struct dns_update *u, const struct dns_places *p,
                         const struct dns_backend *b, const struct dns_current *c,
                         const struct dns_wanted *w, const char *service);

/* When a lease that begins now is over: unix seconds. */
int64_t dns_expiry(uint64_t ttl_s);

/* *ret_text gets the new text. */
void dns_change_renew(struct dns_update *u, const struct dns_places *p, const struct dns_backend *b,
                      const struct dns_current *c, int64_t expires, uint64_t ttl_s,
                      struct buf *ret_text);

void dns_change_deregister(struct dns_update *u, const struct dns_places *p,
                           const struct dns_current *c);

/* If it was the last of its service. */
void dns_change_drop_service(struct dns_update *u, const struct dns_places *p);
