/* dns_backend.h -- an open dns backend, as its parts share it. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "dns_key.h"

struct dns_client;
struct io;

#define DNS_DEADLINE_MS 15000 /* of one look, or one change */

struct dns_backend {
    struct io *io; /* borrowed */
    char *domain;  /* owned; lower case, without a last dot */
    uint32_t ttl_s;
    struct dns_client *reader; /* owned: asks dnsResolver */
    struct dns_client *writer; /* owned: asks dnsServer; NULL: there is none */
    bool may_update;
    bool has_key;
    struct dns_key key;
    char *key_file;          /* owned; NULL: no key */
    char *zone;              /* owned; NULL: not known yet */
    struct dns_sweep *sweep; /* owned; NULL: none is under way */
    uint64_t swept_ms;       /* when the last began; 0: never */
};

/* Up to a tenth of `ms` more, so that those who wait do not ask in step. */
uint64_t dns_jitter(uint64_t ms);
