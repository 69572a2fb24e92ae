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
};

/* Borrowed, all of it: a backend copies what it keeps. */
struct backend_request {
    enum backend_verb verb;
    const struct instance *record; /* register */
    uint64_t ttl_s;                /* register; 0: it stays until it is deregistered */
    bool owned;                    /* register: the record dies with this process */
    const char *service;           /* all but services */
    const char *id;                /* renew, deregister */
    const char *cursor;  /* lookup: wait while the answer has this cursor; NULL: do not wait */
    uint64_t timeout_ms; /* lookup: then the same answer is given again */
};

/* Borrowed, all of it: valid during the call only. */
struct backend_answer {
    const struct err *err;             /* non-NULL: it failed, and nothing else is set */
    struct instance *const *instances; /* lookup: in the order of their ids */
    size_t instance_count;
    const char *cursor; /* lookup: names this answer */
    char *const *names; /* services: sorted */
    size_t name_count;
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
};

/* NULL if there is no backend of this name. */
const struct backend *backend_find(const char *name);

/* The backends, in the order of list.h, then NULL. */
const struct backend *backend_at(size_t index);

#define BACKEND(name) extern const struct backend backend_##name;
#include "list.h"
#undef BACKEND
