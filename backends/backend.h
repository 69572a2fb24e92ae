/* backend.h -- where instances are registered and looked up.
 *
 * A kind of backend is one file with one const, backend_<name>, and a line in list.h. Its verbs are
 * one shot each; the loops that renew and watch are Lua and the same for all. A backend sees
 * `struct io`, never Lua. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct instance;
struct io;

enum backend_verb {
    BACKEND_REGISTER,
    BACKEND_RENEW,
    BACKEND_DEREGISTER,
    BACKEND_LOOKUP,
    BACKEND_SERVICES,
    BACKEND_LOCK,
    BACKEND_RENEW_LOCK,
    BACKEND_UNLOCK,
    BACKEND_KV_GET,
    BACKEND_KV_PUT,
    BACKEND_KV_DELETE,
};

/* Borrowed, all of it: a backend copies what it keeps. */
struct backend_request {
    enum backend_verb verb;
    const struct instance *record; /* register */
    uint64_t ttl_s; /* register; 0: it stays until it is deregistered. lock: lost if not renewed */
    bool owned;     /* register: the record dies with this process */
    const char *service; /* register to lookup */
    const char *id;      /* renew, deregister */
    const char *cursor;  /* lookup, kv get: wait while the answer has it; NULL: do not wait */
    uint64_t timeout_ms; /* lookup, kv get: then the same answer again. lock: then "exists" */

    const char *key;   /* lock, unlock, kv: a path such as "/atproto/leader" */
    const char *value; /* lock: what readers of the key see while it is held; kv put */
    size_t value_len;  /* kv put */
    const char *lock;  /* renew_lock, unlock: the answer's lock */
    uint64_t revision; /* kv put, delete: only while the key has it; NO_REVISION: always */
};

#define NO_REVISION UINT64_MAX /* revision 0 is a key that does not exist */

/* Borrowed, all of it: valid during the call only. */
struct backend_answer {
    const struct err *err;             /* non-NULL: it failed, and nothing else is set */
    struct instance *const *instances; /* lookup: in the order of their ids */
    size_t instance_count;
    const char *cursor; /* lookup, kv get: names this answer */
    char *const *names; /* services: sorted */
    size_t name_count;

    const char *lock;  /* lock: names this holding, for renew_lock and unlock */
    uint64_t token;    /* lock: the fencing token; each holder of a key gets a higher one */
    const char *value; /* kv get: NULL if the key does not exist */
    size_t value_len;
    uint64_t revision; /* kv get, put: the key's; it changes at every write */
};

typedef void backend_done_fn(void *data, const struct backend_answer *answer);

struct backend {
    const char *name;
    bool can_watch, can_lock, can_kv;
    const char *const *options; /* the keys it reads, NULL-terminated; open() gets no others */

    /* `options` is a JSON object (borrowed). Returns what the other functions get as `self`. */
    void *(*open)(struct io *io, const json_t *options, struct err *err);

    /* Starts one request. `done` is called exactly once: later, from the loop, unless cancelled.
     * The result is for cancel(), and valid until then. */
    void *(*start)(void *self, const struct backend_request *request, backend_done_fn *done,
                   void *data);
    void (*cancel)(void *self, void *op);

    void (*close)(void *self); /* nothing is pending by then */

    /* What registering would send to an empty server, as JSON: for people to look at. Asks nobody.
     * NULL with `err` set if the record does not fit. May be missing: then it is the record. */
    json_t *(*sketch)(void *self, const struct instance *record, uint64_t ttl_s, struct err *err);
};

/* NULL if there is no backend of this name. */
const struct backend *backend_find(const char *name);

/* The backends, in the order of list.h, then NULL. */
const struct backend *backend_at(size_t index);

#define BACKEND(name) extern const struct backend backend_##name;
#include "list.h"
#undef BACKEND
