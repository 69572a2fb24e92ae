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

/* Whether the owner in a record (may be NULL) is a process of our node that has ended. Those of
 * other nodes cannot be judged: for them only the expiry counts. */
bool owner_is_dead(const struct owner *self, const json_t *owner);
