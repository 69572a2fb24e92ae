/* dns_message.h -- reads the answer section of a DNS message: records and their lifetimes.
 *
 * By hand, because c-ares gives no lifetime for SRV. The bytes come from the network: every read is
 * bounded by the message. */
#pragma once
#include <stddef.h>

#include "io/dns.h"

#define DNS_MAX_RECORDS 1024

/* Collects the records of `type` into *ret_records (owned by the caller, dns_records_free()). An
 * answer without any is not an error here. */
int dns_message_read(const unsigned char *message, size_t len, enum dns_type type,
                     struct dns_records *ret_records, struct err *err);

void dns_records_free(struct dns_records *records);
