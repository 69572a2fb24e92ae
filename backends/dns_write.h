/* dns_write.h -- one change of the zone: an instance registered, renewed or deregistered.
 *
 * Each looks first at what is there, changes it on the condition that it still is so, and looks
 * again whether it was changed: a server's NOERROR does not prove that. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "backend.h"

struct dns_backend;
struct dns_write;
struct err;

struct dns_write_request {
    enum backend_verb verb;
    const struct instance *record; /* register */
    uint64_t ttl_s;                /* register */
    const char *service, *id;
    bool only_expired; /* deregister: only if nobody has renewed it */
};

typedef void dns_written_fn(void *data, const struct err *err);

struct dns_write *dns_write_start(struct dns_backend *b, const struct dns_write_request *request,
                                  dns_written_fn *done, void *data);
void dns_write_cancel(struct dns_write *w);

/* Removes what nobody renews any more of a service that was just written to; rarely, and in the
 * background. Clients that know nothing of `exp` would find it for ever. */
void dns_sweep_start(struct dns_backend *b, const char *service);
void dns_sweep_stop(struct dns_backend *b);
