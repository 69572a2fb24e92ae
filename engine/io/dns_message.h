/* dns_message.h -- reads a DNS message: its records, with their lifetimes.
 *
 * By hand, because c-ares gives no lifetime for SRV and no bytes of TXT. The message comes from the
 * network: every read is bounded by it. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "io/dns.h"

enum dns_rcode {
    DNS_NOERROR = 0,
    DNS_FORMERR = 1,
    DNS_SERVFAIL = 2,
    DNS_NXDOMAIN = 3,
    DNS_NOTIMP = 4,
    DNS_REFUSED = 5,
    DNS_YXDOMAIN = 6,
    DNS_YXRRSET = 7,
    DNS_NXRRSET = 8,
    DNS_NOTAUTH = 9,
    DNS_NOTZONE = 10,
};

struct dns_message {
    enum dns_rcode rcode;
    bool authoritative;
    const unsigned char *bytes; /* borrowed: what it was read from */
    size_t len;
    struct dns_record *list; /* owned: of all sections, in their order */
    size_t count;
};

/* Release *ret_message with dns_message_free(), also after an error. */
int dns_message_parse(const unsigned char *message, size_t len, struct dns_message *ret_message,
                      struct err *err);
void dns_message_free(struct dns_message *message);

/* Moves the records out of *message; the bytes stay behind. */
struct dns_message dns_message_take(struct dns_message *message);

/* "NXDOMAIN"; a number has no name here if it is none of enum dns_rcode: then "an unknown code". */
const char *dns_rcode_name(enum dns_rcode rcode);

/* Moves the answers of `type` into *ret_records (owned by the caller, dns_records_free()). An
 * answer without any is not an error here. */
int dns_message_read(const unsigned char *message, size_t len, enum dns_type type,
                     struct dns_records *ret_records, struct err *err);

void dns_records_free(struct dns_records *records);
