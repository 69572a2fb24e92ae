/* file_owner.h -- the process that renews a record of the file backend, and whether it still lives.
 *
 * In a file it is {node, bootId, pid, startTime}; a pid alone may have gone to another process. */
#pragma once
#include <jansson.h>
#include <stdbool.h>

struct owner {
    char *node, *boot_id; /* owned */
    int pid;
    long long start_time; /* clock ticks after boot */
};

/* This process. */
void owner_init(struct owner *o);
void owner_close(struct owner *o);

json_t *owner_dump(const struct owner *o);

/* The owner in a record as far as we can judge it. Those of other nodes cannot be judged: for them
 * only the expiry counts. */
struct owner_ref {
    int pid; /* 0: none, or not of our node; -1: certainly dead */
    long long start_time;
};

/* `owner` may be NULL. */
struct owner_ref owner_read(const struct owner *self, const json_t *owner);

#define OWNER_MEMO_SIZE 64

/* What was found out about processes in one round: thousands of records have few owners. */
struct owner_memo {
    unsigned long round; /* counted up to forget */
    struct owner_verdict {
        struct owner_ref owner;
        unsigned long round;
        bool dead;
    } slots[OWNER_MEMO_SIZE];
};

/* Whether it has ended. `memo` may be NULL. */
bool owner_ref_is_dead(const struct owner_ref *owner, struct owner_memo *memo);
