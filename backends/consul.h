/* consul.h -- what the parts of the consul backend share: its settings, asking, operations.
 *
 *   consul.c          the interface: registering, listing services
 *   consul_lookup.c   looking up and watching
 *   consul_lock.c     locks: a session each
 *   consul_keys.c     keys and values
 *   consul_watch.c    where a blocking query stands
 *   consul_turns.c    who may make one
 *   consul_call.c     one question, asked at one address after the other
 *   consul_options.c  what open() is given
 *   consul_answer.c, consul_record.c   pure: what is received and sent */
#pragma once
#include <uv.h>

#include "backend.h"
#include "consul_answer.h"

struct consul_call;
struct consul_op;
struct io;

struct consul_address {
    char *url;          /* owned: "http://127.0.0.1:8500", without a slash at its end */
    char *shown;        /* owned: "127.0.0.1:8500" */
    bool registered;    /* a record was registered with this agent */
    bool in_datacenter; /* its agent has told that it is of consulDatacenter, or may not tell */
};

/* An operation's place among those that let Consul wait. Embedded in it. */
struct consul_turn {
    struct consul_turn_list *list; /* borrowed: the one it is in, or NULL */
    struct consul_turn *next, *prev;
    struct consul_op *op;
    uv_timer_cb resume;
    bool brief; /* others want to wait too */
};

struct consul_turn_list {
    struct consul_turn *first, *last;
    size_t count;
};

/* An open backend. */
struct consul {
    struct io *io; /* borrowed */
    struct consul_address *addresses;
    size_t address_count, current; /* where the last answer came from; written by consul_call.c */
    uint32_t epoch; /* other than what an earlier epoch's cursors count: a call has failed since */
    uint64_t
        open_access_until_ms; /* till then we need not ask whether Consul has ACLs: it had none */
    struct consul_turn_list waiting, queue;             /* written by consul_turns.c */
    struct consul_call *calls;                          /* all that are under way */
    char *datacenter, *token, *token_file;              /* owned; may be NULL */
    char *ca_file, *cert_file, *key_file, *server_name; /* owned; may be NULL */
    bool stale;                                         /* reads: of any server */
    bool consistent; /* reads: of a leader that has made sure that it still is */
};

/* ---- options ---- */

extern const char *const consul_options[]; /* NULL-terminated */
int consul_read_options(struct consul *c, const json_t *options, struct err *err);
void consul_free_options(struct consul *c);

/* The token to send now, for free(), NULL if there is none. A file is read each time, so that a
 * token can be replaced while we run. */
int consul_read_token(const struct consul *c, char **ret_token, struct err *err);

/* ---- asking ---- */

enum consul_body { CONSUL_ANY, CONSUL_NOTHING, CONSUL_OBJECT, CONSUL_ARRAY };

/* Copied. */
struct consul_question {
    const char *method; /* NULL: GET */
    const char *path;   /* escaped */
    const char *query;  /* NULL: none; escaped, without "?" */
    const char *body;   /* NULL: none */
    uint64_t wait_ms;   /* how long Consul may let it wait; it is then asked of one address only */
    uint64_t known_index;     /* an answer with this index need not be read; 0: read it */
    enum consul_body expects; /* of a success */
    bool local;               /* it concerns the agent, so no datacenter is named */
    bool read;                /* may be asked of one server, where stale reads are wanted */
    bool last_known;          /* where the cluster has no leader, what one server knows will do */
    bool once;                /* asking twice is not the same as once */
    size_t address;           /* its number + 1: is asked of this one only */
    size_t max_bytes;         /* 0: 1 MiB */
};

/* `reply` is NULL exactly when `err` is set. Any status comes as a reply, unless it means that
 * another address should be asked, and none answered better. */
typedef void consul_answered_fn(void *data, const struct consul_reply *reply,
                                const struct err *err);

struct consul_call *consul_ask(struct consul *c, const struct consul_question *question,
                               consul_answered_fn *answered, void *data);
void consul_call_cancel(struct consul_call *call);

/* Asks, and drops the answer. */
void consul_tell(struct consul *c, const struct consul_question *question);

/* ---- operations ---- */

/* One request of the backend's user. Owned by the loop: freed when its timer has closed. */
struct consul_op {
    uv_timer_t timer;
    struct consul *consul;          /* borrowed */
    struct backend_request request; /* its strings are owned; it has no record */
    struct consul_turn turn;
    struct consul_call *call; /* owned: what it waits for, if it is that */
    uint64_t deadline_ms;
    backend_done_fn *done;
    void *data; /* borrowed */
    void *more; /* owned: what its verb needs */
    void (*free_more)(void *more);
    void (*cancelled)(struct consul_op *op); /* before it is stopped; may be NULL */
};

void consul_op_answer(struct consul_op *op, const struct backend_answer *answer);
void consul_op_fail(struct consul_op *op, struct err *err); /* clears err */
uint64_t consul_op_left_ms(const struct consul_op *op);

/* For an answered function: forgets the call that has ended. True if the operation has failed by
 * it: by `err`, or because the status is no success. */
bool consul_op_failed(struct consul_op *op, const struct consul_reply *reply,
                      const struct err *err);

/* Before a question: true if it may be asked now, as may any that does not wait; else `resume` is
 * called when it may, or when the operation's time is up. */
bool consul_turn_take(struct consul_op *op, bool waits, uv_timer_cb resume);
void consul_turn_end(struct consul_op *op); /* it waits no more; may be called twice */

/* The verbs of the other files. They start an operation. */
void consul_start_lookup(struct consul_op *op);
void consul_start_services(struct consul_op *op);
void consul_start_lock(struct consul_op *op);
void consul_start_renew_lock(struct consul_op *op);
void consul_start_unlock(struct consul_op *op);
void consul_start_kv_get(struct consul_op *op);
void consul_start_kv_put(struct consul_op *op);
void consul_start_kv_delete(struct consul_op *op);

/* "key" as Consul knows it: without slashes at its start. NULL with `err` set where it cannot be
 * asked for. */
const char *consul_key_name(const char *key, struct err *err);

/* ---- watching: shared by lookups and keys ---- */

#define CONSUL_BRIEF_MS 2000 /* while others want to */
#define CONSUL_WAIT_MS 20000 /* at most at a time: so long may a frozen server go unnoticed */

/* Where a watch stands. */
struct consul_watch {
    const char *cursor;   /* borrowed; NULL: it does not wait */
    uint64_t index, hash; /* of the cursor, then of the last answer */
    uint64_t asked;       /* the index of the question under way; 0: it does not wait */
    uint64_t asked_at_ms;
    unsigned quick; /* answers in a row that came at once and were the same */
};

void consul_watch_init(struct consul_watch *watch, const struct consul_op *op);

/* Whether the next question lets Consul wait. */
bool consul_watch_waits(const struct consul_watch *watch, const struct consul_op *op);

/* The query for the next question, for free(); sets *ret_wait_ms. */
char *consul_watch_query(struct consul_watch *watch, const struct consul_op *op,
                         uint64_t *ret_wait_ms);

/* Takes an answer into account: true if it is news, or the time is up, or nothing was waited for.
 */
bool consul_watch_is_over(struct consul_watch *watch, const struct consul_op *op, uint64_t index,
                          uint64_t hash);

/* Takes an answer into account that was not read. */
void consul_watch_is_same(struct consul_watch *watch, const struct consul_op *op);

/* After a waiting question failed (`err`, or by its status): true if it should be asked again
 * without waiting. */
bool consul_watch_restart(struct consul_watch *watch, const struct consul_op *op,
                          const struct err *err);

/* How long to rest before the next question, so that a server that never lets us wait is not asked
 * all the time. */
uint64_t consul_watch_pause_ms(const struct consul_watch *watch);

/* The cursor of the answer, for free(): the caller's own while the answer is the same. */
char *consul_watch_cursor(const struct consul_watch *watch, const struct consul *c);
