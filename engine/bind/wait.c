#include "bind/wait.h"

#include <lauxlib.h>
#include <stdlib.h>

#include "bind/bind.h"
#include "bind/task.h"
#include "core/mem.h"
#include "engine.h"
#include "io/io.h"

static void waiter_free(uv_handle_t *timer) { free(timer->data); }

static void waiter_stop(void *op)
{
    struct waiter *w = op;
    *w->prev = w->next;
    if (w->next)
        w->next->prev = w->prev;
    uv_close((uv_handle_t *)&w->timer, waiter_free);
}

static void refuse(struct task *task, const char *message, const char *code)
{
    lua_State *L = task_stack(task);
    lua_pushnil(L);
    lua_pushstring(L, message);
    lua_pushstring(L, code);
    task_wake(task, 3);
}

static void waiter_expired(uv_timer_t *timer)
{
    struct waiter *w = timer->data;
    refuse(w->task, "timed out", "timeout");
    waiter_stop(w);
}

int waiter_park(struct task *task, struct waiter **list, lua_Number seconds)
{
    while (*list)
        list = &(*list)->next;
    struct waiter *w = xcalloc(1, sizeof *w);
    w->task = task;
    w->prev = list;
    *list = w;
    w->timer.data = w;
    uv_update_time(&task->engine->io->loop);
    uv_timer_init(&task->engine->io->loop, &w->timer);
    if (seconds >= 0)
        uv_timer_start(&w->timer, waiter_expired, bind_ms(seconds), 0);
    return task_park(task, waiter_stop, w);
}

struct task *waiter_pop(struct waiter **list)
{
    struct waiter *w = *list;
    struct task *task = w->task;
    waiter_stop(w);
    return task;
}

void waiters_refuse(struct waiter **list, const char *message, const char *code)
{
    while (*list)
        refuse(waiter_pop(list), message, code);
}

lua_Number waiter_opt_timeout(lua_State *L, int arg)
{
    lua_Number seconds = luaL_optnumber(L, arg, -1);
    luaL_argcheck(L, lua_isnoneornil(L, arg) || (seconds >= 0 && seconds < 1e9), arg,
                  "must be from 0 to 1e9 seconds");
    return seconds;
}
