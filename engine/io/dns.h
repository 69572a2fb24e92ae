/* dns.h -- names to addresses, and questions to a name server, without ever blocking the loop.
 *
 * Every operation calls its `done` exactly once, always later and from the loop, unless it is
 * cancelled first. What `done` is given is valid only during the call. The resolver is made for the
 * operation and ends with it, so that a changed /etc/resolv.conf counts at once and nothing
 * lingers. */
#pragma once
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct err;
struct io;
struct dns_op;

#define DNS_MAX_ADDRESSES 16
#define DNS_TEXT_SIZE 64 /* room for any address as text */

union dns_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

struct dns_addresses {
    size_t count; /* at least 1 */
    union dns_address list[DNS_MAX_ADDRESSES];
};

/* `addresses` is NULL exactly when `err` is set. */
typedef void dns_resolved_fn(void *data, const struct dns_addresses *addresses,
                             const struct err *err);

/* Resolves a numeric address, localhost and *.localhost (always loopback), a name of the hosts
 * file, or a name of the system's name servers. Ports in the result are 0. */
struct dns_op *dns_resolve(struct io *io, const char *name, uint64_t timeout_ms,
                           dns_resolved_fn *done, void *data);

enum dns_type {
    DNS_A = 1,
    DNS_NS = 2,
    DNS_CNAME = 5,
    DNS_SOA = 6,
    DNS_PTR = 12,
    DNS_TXT = 16,
    DNS_AAAA = 28,
    DNS_SRV = 33,
};

enum dns_section { DNS_ANSWER, DNS_AUTHORITY, DNS_ADDITIONAL };

struct dns_record {
    enum dns_section section;
    enum dns_type type; /* one of the above */
    uint32_t ttl_s;
    char *owner;                     /* its name; names are written as io/dns_name.h says */
    uint16_t priority, weight, port; /* SRV */
    char *target;                    /* SRV: the host; PTR, CNAME, NS: the name */
    char **strings;                  /* TXT: NULL-terminated; a NUL byte in one ends it */
    unsigned char *data;             /* TXT: the bytes of the record */
    uint16_t data_len;
    uint32_t minimum_s;          /* SOA: how long an answer that says no is kept */
    char address[DNS_TEXT_SIZE]; /* A, AAAA */
};

struct dns_records {
    struct dns_record *list;
    size_t count;   /* at least 1 */
    uint32_t ttl_s; /* the least of the answer, aliases included */
};

typedef void dns_answered_fn(void *data, const struct dns_records *records, const struct err *err);

struct dns_query {
    const char *name;
    enum dns_type type; /* A, AAAA, SRV or TXT */
    const char *server; /* "192.0.2.1:5353", "[::1]:5353", a bare address; NULL: the system's */
    uint64_t timeout_ms;
    bool tcp;
};

struct dns_op *dns_query(struct io *io, const struct dns_query *query, dns_answered_fn *done,
                         void *data);

void dns_cancel(struct dns_op *op);

/* True if `text` is an IPv4 or IPv6 address, which is then in *ret_address. */
bool dns_numeric(const char *text, union dns_address *ret_address);
void dns_format(const union dns_address *address, char text[DNS_TEXT_SIZE]);
socklen_t dns_length(const union dns_address *address);

const char *dns_type_name(enum dns_type type);

/* "SRV" to DNS_SRV; 0 if it is no type that dns_query() takes. */
enum dns_type dns_type_of(const char *name);
