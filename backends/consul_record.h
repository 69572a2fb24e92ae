/* consul_record.h -- a record as a Consul service, and back.
 *
 * Pure: no I/O. What Consul can show plainly (did, scheme, node and short meta) is plain in the
 * service's meta, where other programs read it; what its limits do not allow is packed into the
 * entries orrery-0, orrery-1 ... A service that somebody registered by hand is read too. */
#pragma once
#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct instance;

/* The body that registers a record, for free(). With a ttl it gets a check that is born passing.
 * NULL with `err` set where Consul's limits cannot hold it. */
char *consul_record_body(const struct instance *record, uint64_t ttl_s, struct err *err);

/* The id that Consul knows a record by, for free(): an agent has one service of an id, whatever
 * its name, so an id that does not begin with the service's name gets it in front. */
char *consul_record_id(const char *service, const char *id);

/* What a lookup found. All owned. */
struct consul_found {
    struct instance **instances; /* in the order of their ids */
    size_t count;
    uint64_t hash; /* of all that a reader sees but the revisions */
};

/* Reads /v1/health/service/<service>. What cannot be a record is left out. */
void consul_read_instances(const json_t *list, const char *service, struct consul_found *ret_found);
void consul_found_free(struct consul_found *found);
