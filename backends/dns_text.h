/* dns_text.h -- an instance's record as the strings of a TXT record, and back.
 *
 * Each is "key=value" (RFC 6763, 6): orrery=1 (we wrote it), id, node, address, scheme, did,
 * status, tag (once for each), meta.KEY, rev (its revision), ttl and exp (seconds; the Unix time
 * when it expires). What is over 255 bytes goes on in strings that begin with "=", which other
 * readers ignore; "=" and "%" in a key are "%3D" and "%25". Others' keys are read as meta. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct buf;
struct dns_message;
struct err;
struct instance;

#define DNS_MAX_TEXT 16384 /* bytes of a record that we write */

struct dns_lease {
    int64_t revision;
    uint64_t ttl_s;  /* 0: it stays */
    int64_t expires; /* Unix time; 0: never */
};

/* Appends the bytes of the TXT record. -1 if they are too many. */
int dns_text_write(const struct instance *record, const struct dns_lease *lease, struct buf *out,
                   struct err *err);

struct dns_text {
    json_t *record; /* owned: what instance_parse() reads, as far as the text tells it */
    struct dns_lease lease;
    bool found; /* there is a TXT record */
    bool ours;
    char *service; /* owned: the key of that name, for a service whose label is a hash */
};

/* Reads the TXT records of an answer. What is malformed in them is left out. */
void dns_text_read(const struct dns_message *answer, struct dns_text *ret_text);
void dns_text_clear(struct dns_text *text);

/* One string such as "service=Name", as a TXT record. */
void dns_text_write_one(const char *key, const char *value, struct buf *out);
