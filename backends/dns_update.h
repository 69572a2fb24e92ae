/* dns_update.h -- one update of a zone (RFC 2136), signed by a key (RFC 8945): its message, and
 * what the answer says. No I/O. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"
#include "io/dns.h"

struct dns_key;
struct dns_message;
struct err;
struct ldns_struct_pkt;

/* Embedded; a zeroed one is ready for dns_update_init(). */
struct dns_update {
    struct buf head, prerequisites, changes;
    uint16_t prerequisite_count, change_count;
    struct ldns_struct_pkt *pkt; /* owned: what was signed; NULL: it is not signed */
};

/* Names must be domain names: what is none makes an update that the server refuses. */
void dns_update_init(struct dns_update *u, const char *zone);
void dns_update_close(struct dns_update *u);

/* Prerequisites: the server does all changes or, if one of these does not hold, none. */
void dns_update_require_unused(struct dns_update *u, const char *name);
void dns_update_require_none(struct dns_update *u, const char *name, enum dns_type type);
void dns_update_require(struct dns_update *u, const char *name, enum dns_type type,
                        const void *data, size_t len); /* once for each record of the set */

void dns_update_delete_name(struct dns_update *u, const char *name);
void dns_update_delete_set(struct dns_update *u, const char *name, enum dns_type type);
void dns_update_delete(struct dns_update *u, const char *name, enum dns_type type, const void *data,
                       size_t len);
void dns_update_add(struct dns_update *u, const char *name, enum dns_type type, uint32_t ttl_s,
                    const void *data, size_t len);

/* Appends the message; `key` NULL: unsigned. */
int dns_update_finish(struct dns_update *u, const struct dns_key *key, struct buf *ret_message,
                      struct err *err);

enum dns_update_result {
    DNS_UPDATED,
    DNS_UNMET,  /* a prerequisite did not hold: look again */
    DNS_FAILED, /* `err` says why */
};

/* Who says what about which update: for messages. All borrowed. */
struct dns_update_context {
    const char *server, *zone, *key_file;
    const struct dns_key *key; /* NULL: none */
};

/* What the answer says, once its signature has proved that it is the server's. */
enum dns_update_result dns_update_judge(const struct dns_update *u,
                                        const struct dns_message *answer,
                                        const struct dns_update_context *context, struct err *err);
