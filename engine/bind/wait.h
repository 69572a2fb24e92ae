/* wait.h -- a task that waits in a list, with an optional deadline: what join, pop, next and wait
 * have in common. The owner of the list answers or refuses the waits in it. */
#pragma once
#include <lua.h>
#include <uv.h>

struct task;

/* One parked wait. Owned by the loop: freed when its timer has closed. */
struct waiter {
    struct waiter *next, **prev; /* the list it waits in */
    struct task *task;           /* borrowed */
    uv_timer_t timer;
};

/* Parks the task at the end of a list, so that the longest wait is answered first. At the deadline
 * it gets nil, "timed out", "timeout"; seconds < 0: none. `return waiter_park(...);` */
int waiter_park(struct task *task, struct waiter **list, lua_Number seconds);

/* Takes the first wait out of the list (that must not be empty) and returns its task, for the
 * caller to push results on and wake. */
struct task *waiter_pop(struct waiter **list);

/* Answers every wait in the list with nil, message, code. */
void waiters_refuse(struct waiter **list, const char *message, const char *code);

/* An optional timeout argument in seconds; -1 if absent. Raises if it is no sensible number. */
lua_Number waiter_opt_timeout(lua_State *L, int arg);
