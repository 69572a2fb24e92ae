/* dns_sketch.h -- what registering would write into an empty zone, as JSON. */
#pragma once
#include <jansson.h>
#include <stdint.h>

struct err;
struct instance;

json_t *dns_sketch(void *self, const struct instance *record, uint64_t ttl_s, struct err *err);
