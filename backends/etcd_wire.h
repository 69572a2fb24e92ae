/* etcd_wire.h -- the JSON of etcd's v3 gateway: what we ask and how its answers are read.
 *
 * Pure: text in, values out. The gateway writes 64-bit numbers as strings and leaves out what is
 * zero, false or empty; keys and values are base64. Whatever comes from it is checked. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

/* ---- what we ask: the caller frees the texts ---- */

#define WIRE_KEYS_ONLY 1u
#define WIRE_STALE 2u /* also from a server that has no leader */

/* The end of the range of all keys that begin with `prefix`. */
char *wire_prefix_end(const char *prefix);

char *wire_range(const char *key, const char *end, unsigned flags); /* end NULL: one key */
char *wire_put(const char *key, const char *value, size_t len, int64_t lease);
char *wire_delete(const char *key);

/* A key that exists keeps the lease it has. */
char *wire_put_kept(const char *key, const char *value, size_t len);

/* Only while the key's last change is of `revision` (0: while it does not exist); else the answer
 * tells the key. It keeps the lease it has. */
char *wire_put_if(const char *key, int64_t revision, const char *value, size_t len);
char *wire_put_new(const char *key, const char *value, size_t len, int64_t lease); /* revision 0 */
char *wire_delete_if(const char *key, int64_t revision);

char *wire_grant(int64_t lease, uint64_t ttl_s);
char *wire_lease(int64_t lease); /* keepalive, revoke */
char *wire_watch(const char *key, const char *end, int64_t start);
char *wire_authenticate(const char *user, const char *password);

/* ---- what it answers ---- */

/* One key and what it holds. A key with a NUL in it is left out of every answer: none of ours. */
struct wire_kv {
    char *key;   /* owned */
    char *value; /* owned; ends in a NUL that does not count; "" with WIRE_KEYS_ONLY */
    size_t value_len;
    int64_t create, mod, lease; /* revisions, and the lease it hangs on (0: none) */
};

struct wire_answer {
    struct wire_kv *kvs; /* owned; in the order of their keys */
    size_t count;
    int64_t revision; /* of the store when it answered */
    bool succeeded;   /* of a transaction: the comparison held */
    int64_t deleted;
};

/* Reads the answer to a range, put, delete or transaction. -1 with "the answer ..." in `err`. */
int wire_read_answer(const json_t *json, struct wire_answer *ret, struct err *err);
void wire_answer_free(struct wire_answer *answer);

/* What is left of a lease after a keepalive; 0: there is no such lease. */
int wire_read_keepalive(const json_t *json, int64_t *ret_ttl_s, struct err *err);

/* A failure of either version, of a call or of a stream. */
struct wire_failure {
    int code;            /* gRPC's */
    const char *message; /* borrowed from the JSON */
};

bool wire_read_failure(const json_t *json, struct wire_failure *ret);

/* A message of etcd's as an error may show it: one short line, without the token (may be NULL). The
 * caller frees it. */
char *wire_line(const char *message, const char *token);

/* One key that changed. */
struct wire_change {
    char *key; /* owned */
    int64_t mod;
};

/* One line of a watch. */
struct wire_event {
    bool created, canceled;
    int64_t compacted;         /* it was cancelled because what it asks for is gone up to here */
    const char *cancel_reason; /* borrowed from the JSON; NULL: none */
    struct wire_change *changes;
    size_t count;
};

int wire_read_event(const json_t *json, struct wire_event *ret, struct err *err);
void wire_event_free(struct wire_event *event);
