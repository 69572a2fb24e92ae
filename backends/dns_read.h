/* dns_read.h -- one look at the instances of a service, and one at the services there are. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct dns_backend;
struct dns_client;
struct err;
struct instance;

struct dns_found {
    struct instance **instances; /* in the order of their ids */
    size_t count;
    char cursor[17];
    uint32_t ttl_s;      /* how long this answer counts */
    int64_t next_expiry; /* Unix time; 0: none will expire */
    char **expired;      /* NULL-terminated: ids that we wrote and nobody renews */
};

/* `found` is NULL exactly when `err` is set; both are valid during the call only. */
typedef void dns_found_fn(void *data, const struct dns_found *found, const struct err *err);

struct dns_read *dns_read_start(struct dns_backend *b, struct dns_client *client,
                                const char *service, dns_found_fn *done, void *data);
void dns_read_cancel(struct dns_read *r);

/* `names` is sorted; NULL exactly when `err` is set. */
typedef void dns_named_fn(void *data, char *const *names, size_t count, const struct err *err);

struct dns_services *dns_services_start(struct dns_backend *b, dns_named_fn *done, void *data);
void dns_services_cancel(struct dns_services *s);
