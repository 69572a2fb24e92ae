/* instance.h -- one record of discovery: where an instance of a service can be reached.
 *
 * The same record in every backend, and in Lua. It carries no secrets. Whatever is read from
 * outside goes through instance_parse(), which bounds and checks every field. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct err;

struct instance {
    char *service, *id;        /* owned; never NULL */
    char *node, *scheme, *did; /* owned; NULL: not known */
    char *address;             /* owned; never NULL */
    char *status;              /* owned; "passing" unless told */
    char *source;              /* owned; the backend it came from, or NULL */
    int port;                  /* 0: it listens on none */
    json_t *tags, *meta;       /* owned; a list of strings, a map of strings */
    json_int_t revision;       /* grows when the record changes; a renewal is no change */
};

/* What may be a service's name, and an instance's id: also safe as a file name and in a URL path.
 */
bool instance_is_name(const char *text);
bool instance_is_id(const char *text);

/* Reads a record. `service` (may be NULL) stands in for a missing field of that name, and a missing
 * id is made from service and node, else address and port. Unknown fields are ignored. The caller
 * frees it; NULL with "port: must be ..." in `err`. */
struct instance *instance_parse(const json_t *json, const char *service, struct err *err);

/* The record as a JSON object, in a fixed order; absent fields are left out. The caller drops it.
 */
json_t *instance_dump(const struct instance *i);

/* NULL gives NULL. */
struct instance *instance_copy(const struct instance *i);
void instance_free(struct instance *i);

/* Frees all but the first of those with the same id, in a list in the order of ids. Returns how
 * many are left. */
size_t instances_drop_doubles(struct instance **list, size_t count);

/* Each of them, then the list. */
void instances_free(struct instance **list, size_t count);
