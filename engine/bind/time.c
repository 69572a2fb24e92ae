/* time.c -- orrery.time: clocks and waiting. Documented in lua/meta/time.lua. */
#include <lauxlib.h>
#include <stdlib.h>
#include <time.h>
#include <uv.h>

#include "bind/bind.h"
#include "bind/libs.h"
#include "bind/task.h"
#include "core/mem.h"
#include "core/stamp.h"
#include "engine.h"
#include "io/io.h"

/* One pending sleep. Owned by the loop: freed when its timer has closed. */
struct sleep_op {
    uv_timer_t timer;
    struct task *task; /* borrowed: a task outlives its own wait */
};

static void sleep_free(uv_handle_t *timer) { free(timer->data); }

/* The one way out, whether the sleep fired or was cancelled. */
static void sleep_stop(void *op)
{
    struct sleep_op *s = op;
    uv_close((uv_handle_t *)&s->timer, sleep_free);
}

static void sleep_fired(uv_timer_t *timer)
{
    struct sleep_op *s = timer->data;
    lua_pushboolean(task_stack(s->task), 1);
    task_wake(s->task, 1);
    sleep_stop(s);
}

static int l_sleep(lua_State *L)
{
    struct engine *e = bind_engine(L);
    lua_Number seconds = luaL_checknumber(L, 1);
    luaL_argcheck(L, seconds >= 0 && seconds < 1e9, 1, "must be from 0 to 1e9 seconds");
    struct task *task = task_self(e, L); /* the last call that can raise */

    struct sleep_op *s = xcalloc(1, sizeof *s);
    s->task = task;
    s->timer.data = s;
    uv_update_time(&e->io->loop);
    uv_timer_init(&e->io->loop, &s->timer);
    uint64_t ms = bind_ms(seconds);
    uv_timer_start(&s->timer, sleep_fired, ms ? ms + 1 : 0, 0); /* the loop's clock is cut to ms */
    return task_park(task, sleep_stop, s);
}

static int push_clock(lua_State *L, clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    lua_pushnumber(L, (lua_Number)t.tv_sec + (lua_Number)t.tv_nsec / 1e9);
    return 1;
}

static int l_now(lua_State *L) { return push_clock(L, CLOCK_REALTIME); }

static int l_monotonic(lua_State *L) { return push_clock(L, CLOCK_MONOTONIC); }

static int l_format(lua_State *L)
{
    lua_Number unix_s = luaL_checknumber(L, 1);
    luaL_argcheck(L, unix_s >= 0 && unix_s < 253402300800.0, 1,
                  "must be within the years 1970-9999");
    time_t whole = (time_t)unix_s;
    int ms = (int)((unix_s - (lua_Number)whole) * 1000 + 1e-3); /* 0.678 is stored as 0.67799... */
    char text[STAMP_SIZE];
    stamp_format(text, whole, ms);
    lua_pushstring(L, text);
    return 1;
}

const luaL_Reg bind_time[] = {{"sleep", l_sleep},
                              {"now", l_now},
                              {"monotonic", l_monotonic},
                              {"format", l_format},
                              {NULL, NULL}};
