/* orphans.h -- when the guard has died: what it kept comes to this process, which stops and reaps
 * it.
 *
 * The children got their stop signal from the kernel when the guard died; the rest is sent SIGTERM,
 * and whatever is left after GUARD_GRACE_MS, or appears later, SIGKILL. */
#pragma once
#include <stdbool.h>
#include <sys/types.h>
#include <uv.h>

#include "core/proc.h"

struct guard;

struct orphans {
    uv_timer_t timer;    /* embedded; its data is ours */
    struct guard *guard; /* borrowed */
    /* Borrowed from the owner: the stop signal of a child that it knows, 0 if it does not; and what
     * became of one. */
    int (*known)(void *data, pid_t pid);
    void (*reaped)(void *data, pid_t pid, int status);
    void *data;
    pid_t session;     /* the guard's, which its children share unless they leave it */
    struct pids asked; /* owned: who was sent a stop signal */
    uint64_t began_ms;
    bool active;
};

/* Begins; goes on from the loop (which is alive meanwhile) until nothing is left. */
void orphans_start(struct orphans *o, uv_loop_t *loop);

/* Goes on at once, blocking, until nothing is left. The timer is still open. */
void orphans_finish(struct orphans *o);
