/* env_names.h -- records as environment variables, ATPROTO_SERVICE_<NAME>_URL and its kind, and
 * back. Documented in README.md.
 *
 * Pure. Variables are a JSON object of strings, in the order in which they are written. */
#pragma once
#include <jansson.h>
#include <stdint.h>

struct err;
struct instance;

/* A record with its lease, as variables hold it. */
struct env_record {
    struct instance *instance; /* owned by whoever has the record */
    int64_t ttl, expires;      /* unix seconds; 0: none */
};

/* Adds the variables of the records, the instances of a service in the order in which they come. -1
 * if a value has a zero byte. */
int env_export(json_t *variables, const char *prefix, const struct env_record *records,
               size_t count, struct err *err);

/* Called with each record; it owns the instance then. `err` non-NULL: what stands there for
 * `service` is none, and why. */
typedef void env_import_fn(void *data, const char *service, const struct env_record *record,
                           const struct err *err);

/* Finds the records among the variables; others are left alone. */
void env_import(const json_t *variables, const char *prefix, env_import_fn *found, void *data);
