/* task.h -- a Lua coroutine that can wait for the event loop.
 *
 * A task is running, ready (queued to run) or parked. A parked task waits for exactly one
 * operation, and that operation can be cancelled. Lua runs in one place only: tasks_run_ready(),
 * called between events. Waking a task therefore never runs Lua, and may be done from any
 * callback, or even before the primitive has returned.
 *
 * On the host's main thread there is no coroutine to suspend: there a wait drives the loop until it
 * is answered. In a coroutine that a script made itself a wait raises. */
#pragma once
#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

struct engine;

struct task {
    struct engine *engine; /* borrowed */
    lua_State *L;          /* the coroutine; kept alive by ref */
    int ref;
    struct task *next, **prev; /* tasks.all */
    struct task *ready_next;   /* tasks.ready */
    bool queued, cancelled;
    char *tripped; /* owned: where it ran too long; NULL unless it did since it was resumed */
    int nresults;
    void (*cancel)(void *op);   /* set only while parked */
    void *op;                   /* owned by the operation, not by the task */
    struct task_handle *handle; /* borrowed: the Lua handle, if it is still in use */
};

struct tasks {
    struct task *all;
    struct task *ready, **ready_tail; /* first in, first out */
    struct task *running;             /* the task that tasks_run_ready() resumed */
    struct task root;                 /* stands for the host's main thread */
    lua_State *scratch;               /* for our own use: the root's stack holds its results */
    int count;
    uint64_t
        resumed_cpu_ns; /* this thread's CPU time when `running` was first looked at; 0: not yet */
};

/* Called at most once, when the task is cancelled while parked. Must stop `op` so that it never
 * wakes the task. */
typedef void task_cancel_fn(void *op);

void tasks_init(struct engine *e);

/* Starts the function and its nargs arguments on top of L. Pops them. */
struct task *task_spawn(struct engine *e, lua_State *L, int nargs);

/* The task that runs L. Raises a Lua error if L cannot wait, or the task has been cancelled: call
 * it before acquiring anything. */
struct task *task_self(struct engine *e, lua_State *L);

/* Ends a primitive: `return task_park(t, cancel, op);`. */
int task_park(struct task *t, task_cancel_fn *cancel, void *op);

/* Where a completion pushes its results, just before task_wake(). */
lua_State *task_stack(struct task *t);

/* Queues a parked task; the top nresults values become the primitive's results. */
void task_wake(struct task *t, int nresults);

/* Makes the task's wait, and every later one, raise "cancelled". A second call does nothing. */
void task_cancel(struct task *t);

/* Between these no garbage is collected, and so no finalizer runs: the loop runs there, and what a
 * finalizer closes or cancels may be what a callback is at work on. False: nothing is to be
 * released, as the collector did not run anyway. */
bool tasks_hold_collector(struct engine *e);
void tasks_release_collector(struct engine *e);

/* Runs every task that was ready at the call. Returns true while any more are ready. */
bool tasks_run_ready(struct engine *e);

/* Cancels and frees all tasks; their to-be-closed variables are closed. */
void tasks_close(struct engine *e);
