/* etcd.h -- what the parts of the etcd backend share: the backend, and one request under way.
 *
 *   etcd.c          how a request runs, waits and ends
 *   etcd_record.c   registering; etcd_lookup.c looking up; etcd_lock.c locks and keys
 *   etcd_watch.c    one stream of changes, shared by all who wait
 *   etcd_client.c   calls that survive the loss of a server, a leader or a login; etcd_options.c
 *   etcd_wire.c     the gateway's JSON: pure */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "backend.h"
#include "core/err.h"
#include "etcd_client.h"
#include "etcd_watch.h"
#include "etcd_wire.h"

/* A record that this process registered, and its lease. */
struct etcd_record {
    struct etcd_record *next;
    char *key, *value; /* owned */
    int64_t lease;     /* 0: it stays until it is deregistered */
    uint64_t ttl_s;
};

struct etcd_watches {
    struct etcd_watch *watch; /* owned */
    struct etcd_watches *next;
};

struct etcd {
    struct etcd_client client;
    char *prefix; /* owned: "/atproto/services/" */
    struct etcd_record *records;
    struct etcd_watches *watches;
    bool narrow;    /* our user may not watch the whole prefix, but a service of it */
    json_t *warned; /* owned: the malformed records that were reported -> their revisions */
};

struct etcd_op;

/* A step of a request: what to do with the answer to its call. */
typedef void etcd_step_fn(struct etcd_op *op, const struct etcd_reply *reply);

/* One request. Owned by the loop: freed when its timer has closed. */
struct etcd_op {
    struct etcd *etcd; /* borrowed */
    enum backend_verb verb;
    struct etcd_call *call; /* what it waits for: an answer */
    etcd_step_fn *step;     /* and who takes it */
    struct etcd_wait wait;  /* or a change */
    void (*again)(struct etcd_op *op);
    uv_timer_t timer; /* its begin, then its deadline */
    uint64_t timeout_ms, deadline_ms;
    char *key;             /* owned: the key, or the prefix of the service */
    char *end;             /* owned: of the prefix; NULL: a single key */
    char *service, *value; /* owned */
    size_t value_len;
    int64_t revision, lease, old_lease;
    uint64_t ttl_s, token;
    bool has_cursor, conditional, retried, stale;
    backend_done_fn *done;
    void *data; /* borrowed */
};

/* ---- running: etcd.c ---- */

/* Asks, and goes on with `step`. Takes over the body. */
void etcd_op_ask(struct etcd_op *op, const char *path, char *body, etcd_step_fn *step);
void etcd_op_ask_with(struct etcd_op *op, const struct etcd_request *request, etcd_step_fn *step);

void etcd_op_answer(struct etcd_op *op, const struct backend_answer *answer);
void etcd_op_fail(struct etcd_op *op, const struct err *err);
void etcd_op_fail_with(struct etcd_op *op, struct err *err); /* and clears it */

/* Waits for a change after `since`, or the deadline: then `again`. */
void etcd_op_wait(struct etcd_op *op, int64_t since, void (*again)(struct etcd_op *op));

/* False after an error, and an answer that cannot be read: the request has failed then. */
bool etcd_op_read(struct etcd_op *op, const struct etcd_reply *reply, struct wire_answer *ret);

int64_t etcd_new_lease(void);

/* ---- the verbs ---- */
void etcd_register(struct etcd_op *op);
void etcd_renew(struct etcd_op *op);
void etcd_deregister(struct etcd_op *op);
void etcd_lookup(struct etcd_op *op);
void etcd_services(struct etcd_op *op);
void etcd_lock(struct etcd_op *op);
void etcd_renew_lock(struct etcd_op *op);
void etcd_unlock(struct etcd_op *op);
void etcd_kv_get(struct etcd_op *op);
void etcd_kv_put(struct etcd_op *op);
void etcd_kv_delete(struct etcd_op *op);

void etcd_forget_records(struct etcd *etcd);
void etcd_drop_lease(struct etcd_op *op); /* revokes op->lease; nobody waits for that */
