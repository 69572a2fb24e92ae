/* check.c -- orrery.check: health checks. Documented in lua/meta/check.lua. */
#include "io/check.h"

#include <lauxlib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "bind/bind.h"
#include "bind/libs.h"
#include "bind/task.h"
#include "bind/wait.h"
#include "bind/walk.h"
#include "core/err.h"
#include "core/mem.h"
#include "engine.h"
#include "io/check_recent.h"
#include "io/io.h"

#define WATCH "orrery.check"
#define HEALTH "orrery.health"
#define MAX_DEPTH 8
#define MAX_PENDING 64 /* transitions that nobody has asked for; then the oldest is dropped */

/* ---- options: a Lua table as JSON ---- */

static json_t *to_json(lua_State *L, int index, int depth, struct err *err);

static json_t *list_to_json(lua_State *L, int index, int depth, struct err *err)
{
    json_t *list = json_array();
    lua_Integer count = (lua_Integer)lua_rawlen(L, index);
    for (lua_Integer i = 1; list && i <= count; i++) {
        lua_rawgeti(L, index, i);
        json_t *item = to_json(L, lua_gettop(L), depth + 1, err);
        lua_pop(L, 1);
        if (item) {
            json_array_append_new(list, item);
        } else {
            json_decref(list);
            list = NULL;
        }
    }
    return list;
}

static json_t *map_to_json(lua_State *L, int index, int depth, struct err *err)
{
    json_t *map = json_object();
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        json_t *item = NULL;
        if (lua_type(L, -2) != LUA_TSTRING)
            err_set(err, "invalid", "keys must be strings, not a %s", luaL_typename(L, -2));
        else
            item = to_json(L, lua_gettop(L), depth + 1, err);
        if (!item) {
            lua_pop(L, 2);
            json_decref(map);
            return NULL;
        }
        json_object_set_new_nocheck(map, lua_tostring(L, -2), item);
    }
    return map;
}

/* Raises nothing, as it owns what it has made. NULL with `err` set. */
static json_t *to_json(lua_State *L, int index, int depth, struct err *err)
{
    size_t len;
    const char *text;
    if (depth > MAX_DEPTH || !lua_checkstack(L, 8)) {
        err_set(err, "invalid", "nested more than %d deep", MAX_DEPTH);
        return NULL;
    }
    switch (lua_type(L, index)) {
    case LUA_TBOOLEAN:
        return json_boolean(lua_toboolean(L, index));
    case LUA_TNUMBER:
        if (lua_isinteger(L, index))
            return json_integer(lua_tointeger(L, index));
        if (isfinite(lua_tonumber(L, index)))
            return json_real(lua_tonumber(L, index));
        err_set(err, "invalid", "numbers must be finite");
        return NULL;
    case LUA_TSTRING:
        text = lua_tolstring(L, index, &len);
        return json_stringn_nocheck(text, len);
    case LUA_TTABLE:
        if (lua_rawlen(L, index) > 0 || walk_is_list(L, index))
            return list_to_json(L, index, depth, err);
        return map_to_json(L, index, depth, err);
    case LUA_TLIGHTUSERDATA: /* json.null */
        return json_null();
    default:
        err_set(err, "invalid", "cannot hold a %s", luaL_typename(L, index));
        return NULL;
    }
}

static struct check_spec *make_spec(const json_t *options, struct err *err)
{
    struct check_spec *spec = check_spec_new(options, err);
    if (spec)
        check_spec_share(spec, options);
    return spec;
}

/* Raises if the table at argument 1 is no good spec. The caller owns the result. */
static struct check_spec *read_spec(lua_State *L, bool once)
{
    struct err err = {0};
    struct check_spec *spec = NULL;
    struct io *io = bind_engine(L)->io;
    json_t *options = to_json(L, 1, 0, &err);
    if (options && once)
        spec = check_recent_spec(io, options, (uintptr_t)lua_topointer(L, 1), &err);
    else if (options)
        spec = make_spec(options, &err);
    json_decref(options);
    if (!spec) {
        lua_pushstring(L, err.message);
        err_clear(&err);
        luaL_error(L, "bad check: %s", lua_tostring(L, -1));
    }
    return spec;
}

/* ---- one verdict: check.run ---- */

struct run {
    struct check *check;
    struct task *task; /* borrowed */
};

static void push_verdict(lua_State *L, const struct check_verdict *v)
{
    lua_createtable(L, 0, 4);
    lua_pushboolean(L, v->ok);
    lua_setfield(L, -2, "ok");
    lua_pushstring(L, v->message);
    lua_setfield(L, -2, "message");
    lua_pushnumber(L, (lua_Number)v->latency_us / 1e6);
    lua_setfield(L, -2, "latency");
    lua_pushnumber(L, (lua_Number)v->at_ms / 1e3);
    lua_setfield(L, -2, "at");
}

static void run_stop(void *op)
{
    struct run *r = op;
    check_stop(r->check);
    free(r);
}

static void run_done(void *data, struct check *c)
{
    struct run *r = data;
    push_verdict(task_stack(r->task), check_last(c));
    task_wake(r->task, 1);
    run_stop(r);
}

static int l_run(lua_State *L)
{
    struct engine *e = bind_engine(L);
    luaL_checktype(L, 1, LUA_TTABLE);
    struct task *task = task_self(e, L);
    struct check_spec *spec = read_spec(L, true);
    struct run *r = xcalloc(1, sizeof *r);
    r->task = task;
    r->check = check_start(e->io, spec, run_done, r);
    check_ref(r->check, true);
    return task_park(task, run_stop, r);
}

/* ---- a check that goes on: check.start ---- */

struct transition {
    struct transition *next;
    enum health_state state;
    char *message; /* owned */
    uint64_t latency_us;
};

/* Owned by the loop: freed when its timer has closed. */
struct watch {
    struct check *check;
    struct transition *pending, **pending_tail;
    unsigned pending_count;
    struct task *task; /* borrowed: the task in next() */
    uv_timer_t timer;  /* of next() */
};

static void push_state(lua_State *L, enum health_state state, const char *message,
                       uint64_t latency_us)
{
    lua_createtable(L, 0, 3);
    lua_pushstring(L, health_name(state));
    lua_setfield(L, -2, "state");
    lua_pushstring(L, message);
    lua_setfield(L, -2, "message");
    lua_pushnumber(L, (lua_Number)latency_us / 1e6);
    lua_setfield(L, -2, "latency");
}

static void drop_pending(struct watch *w)
{
    struct transition *t = w->pending;
    w->pending = t->next;
    if (!w->pending)
        w->pending_tail = &w->pending;
    w->pending_count--;
    free(t->message);
    free(t);
}

static void add_pending(struct watch *w, const struct check *c)
{
    struct transition *t = xcalloc(1, sizeof *t);
    t->state = check_state(c);
    t->message = xstrdup(check_last(c)->message);
    t->latency_us = check_last(c)->latency_us;
    *w->pending_tail = t;
    w->pending_tail = &t->next;
    if (++w->pending_count > MAX_PENDING)
        drop_pending(w);
}

/* Nobody is in next() any more. */
static void next_stop(void *op)
{
    struct watch *w = op;
    w->task = NULL;
    uv_timer_stop(&w->timer);
    check_ref(w->check, false);
}

static void wake_next(struct watch *w, int nresults)
{
    task_wake(w->task, nresults);
    next_stop(w);
}

static void push_pending(lua_State *L, struct watch *w)
{
    push_state(L, w->pending->state, w->pending->message, w->pending->latency_us);
    drop_pending(w);
}

static void watch_changed(void *data, struct check *c)
{
    struct watch *w = data;
    add_pending(w, c);
    if (!w->task)
        return;
    push_pending(task_stack(w->task), w);
    wake_next(w, 1);
}

static void next_expired(uv_timer_t *timer)
{
    struct watch *w = timer->data;
    lua_State *L = task_stack(w->task);
    lua_pushnil(L);
    lua_pushliteral(L, "timed out");
    lua_pushliteral(L, "timeout");
    wake_next(w, 3);
}

static void watch_free(uv_handle_t *timer)
{
    struct watch *w = timer->data;
    while (w->pending)
        drop_pending(w);
    free(w);
}

static int l_close(lua_State *L)
{
    void **handle = luaL_checkudata(L, 1, WATCH);
    struct watch *w = *handle;
    if (!w)
        return 0;
    *handle = NULL;
    if (w->task) {
        bind_closed(task_stack(w->task));
        wake_next(w, 3);
    }
    check_stop(w->check);
    uv_close((uv_handle_t *)&w->timer, watch_free);
    return 0;
}

static int l_next(lua_State *L)
{
    struct engine *e = bind_engine(L);
    struct watch *w = bind_handle(L, 1, WATCH);
    lua_Number seconds = waiter_opt_timeout(L, 2);
    struct task *task = task_self(e, L);
    if (!w)
        return bind_closed(L);
    if (w->task)
        return luaL_error(L, "another task waits for this check already");
    if (w->pending) {
        push_pending(L, w);
        return 1;
    }
    w->task = task;
    check_ref(w->check, true);
    uv_update_time(&e->io->loop);
    if (seconds >= 0)
        uv_timer_start(&w->timer, next_expired, bind_ms(seconds), 0);
    return task_park(task, next_stop, w);
}

static int l_state(lua_State *L)
{
    struct watch *w = bind_handle(L, 1, WATCH);
    if (!w)
        return bind_closed(L);
    const struct check_verdict *last = check_last(w->check);
    push_state(L, check_state(w->check), last->message, last->latency_us);
    return 1;
}

static int l_last(lua_State *L)
{
    struct watch *w = bind_handle(L, 1, WATCH);
    if (!w)
        return bind_closed(L);
    if (check_last(w->check)->message)
        push_verdict(L, check_last(w->check));
    else
        lua_pushnil(L);
    return 1;
}

static const luaL_Reg watch_methods[] = {
    {"next", l_next},     {"state", l_state}, {"last", l_last}, {"close", l_close},
    {"__close", l_close}, {"__gc", l_close},  {NULL, NULL}};

static int l_start(lua_State *L)
{
    struct engine *e = bind_engine(L);
    luaL_checktype(L, 1, LUA_TTABLE);
    void **handle = bind_new_handle(L, WATCH, watch_methods);
    struct check_spec *spec = read_spec(L, false);
    struct watch *w = xcalloc(1, sizeof *w);
    w->pending_tail = &w->pending;
    uv_timer_init(&e->io->loop, &w->timer);
    w->timer.data = w;
    w->check = check_start(e->io, spec, watch_changed, w);
    *handle = w;
    return 1;
}

/* ---- the rules by themselves, for checks and restarts written in Lua ---- */

static int l_health_feed(lua_State *L)
{
    struct health *h = luaL_checkudata(L, 1, HEALTH);
    luaL_checktype(L, 2, LUA_TBOOLEAN);
    bool changed = health_feed(h, lua_toboolean(L, 2), lua_toboolean(L, 3));
    lua_pushstring(L, health_name(h->state));
    lua_pushboolean(L, changed);
    return 2;
}

static const luaL_Reg health_methods[] = {{"feed", l_health_feed}, {NULL, NULL}};

static int l_health(lua_State *L)
{
    lua_Integer rise = 1, fall = 3;
    if (!lua_isnoneornil(L, 1)) {
        luaL_checktype(L, 1, LUA_TTABLE);
        rise = bind_opt_integer(L, 1, "rise", 1, 1000, rise);
        fall = bind_opt_integer(L, 1, "fall", 1, 1000, fall);
    }
    struct health *h = lua_newuserdatauv(L, sizeof *h, 0);
    health_init(h, (int)rise, (int)fall);
    bind_set_class(L, HEALTH, health_methods);
    return 1;
}

static int l_backoff(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_Integer attempt = luaL_checkinteger(L, 2);
    lua_Number chance = luaL_optnumber(L, 3, 0);
    luaL_argcheck(L, attempt >= 0 && attempt <= INT32_MAX, 2, "must be from 0 on");
    luaL_argcheck(L, chance >= 0 && chance < 1, 3, "must be from 0 to below 1");
    struct backoff b = {.kind = backoff_kind_of(bind_opt_string(L, 1, "kind", "exponential")),
                        .first_ms = bind_opt_seconds(L, 1, "first", 0.5),
                        .max_ms = bind_opt_seconds(L, 1, "max", 60),
                        .jitter = bind_opt_number(L, 1, "jitter", 0.1)};
    if (b.kind == BACKOFF_KINDS)
        return luaL_error(L, "field 'kind': must be one of exponential, linear, constant");
    if (!(b.jitter >= 0 && b.jitter <= 1))
        return luaL_error(L, "field 'jitter': must be from 0 to 1");
    lua_pushnumber(L, (lua_Number)backoff_ms(&b, (unsigned)attempt, chance) / 1000);
    return 1;
}

const luaL_Reg bind_check[] = {
    {"run", l_run}, {"start", l_start}, {"health", l_health}, {"backoff", l_backoff}, {NULL, NULL}};
