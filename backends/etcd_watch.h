/* etcd_watch.h -- one stream of etcd's changes, shared by all who wait for some of them.
 *
 * It is opened by the first waiter and kept for a while after the last, so that who waits again
 * and again misses nothing and opens nothing. It knows every change since `floor`; a waiter that
 * asks for more is woken, to look for itself. It is never silently dead: a probe asks its server
 * now and then, and it is opened again, elsewhere if need be, from where it was. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct err;
struct etcd_call;
struct etcd_client;
struct etcd_wait;
struct etcd_watch;
struct http_op;

enum etcd_watch_state { WATCH_IDLE, WATCH_PROBING, WATCH_OPENING, WATCH_OPEN };

/* Called from the loop, once, when the awaited has changed (or nobody can tell) or, with `err`,
 * when watching has failed. The waiter is out of the watch by then. */
typedef void etcd_woken_fn(void *data, const struct err *err);

/* Embedded in what waits. */
struct etcd_wait {
    struct etcd_wait *next, **prev; /* prev is NULL while it is in no watch */
    struct etcd_watch *watch;       /* borrowed */
    const char *key;                /* borrowed: the first key of the prefix, or the key */
    int64_t since;                  /* wake for what changed after this revision */
    etcd_woken_fn *woken;
    void *data; /* borrowed */
};

struct etcd_watch *etcd_watch_new(struct etcd_client *client, const char *key, const char *end);
void etcd_watch_free(struct etcd_watch *watch); /* nobody waits by then */

/* The range that it watches: `end` is NULL for a single key. */
bool etcd_watch_is(const struct etcd_watch *watch, const char *key, const char *end);
bool etcd_watch_is_idle(const struct etcd_watch *watch);

/* Waits for a change of a key that begins with wait->key (or is it, where one key is watched). */
void etcd_watch_join(struct etcd_watch *watch, struct etcd_wait *wait);
void etcd_watch_leave(struct etcd_wait *wait); /* may be called twice */
