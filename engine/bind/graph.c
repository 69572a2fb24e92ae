/* graph.c -- orrery.graph: start order and cycles. Documented in lua/meta/graph.lua. */
#include "core/graph.h"

#include <lauxlib.h>
#include <stdlib.h>

#include "bind/bind.h"
#include "bind/graph_handle.h"
#include "bind/graph_values.h"
#include "bind/libs.h"
#include "bind/task.h"
#include "core/mem.h"
#include "engine.h"
#include "io/graph_file.h"

#define MAX_BYTES ((lua_Integer)1 << 30)

/* ---- answers ---- */

int graph_answer_plan(lua_State *L, struct graph_work *w)
{
    if (graph_solve(w->graph, &w->plan, &w->err) < 0)
        return graph_push_cycles(L, w);
    return graph_push_plan(L, w);
}

/* The list of names at `arg` as a userdata full of nodes, left on the stack. */
static uint32_t *read_starts(lua_State *L, struct graph_work *w, int arg, uint32_t *ret_count)
{
    lua_Integer count = luaL_len(L, arg);
    luaL_argcheck(L, count <= INT32_MAX, arg, "too long");
    uint32_t *nodes = lua_newuserdatauv(L, ((size_t)count + 1) * sizeof *nodes, 0);
    *ret_count = (uint32_t)count;
    for (lua_Integer i = 1; i <= count; i++) {
        size_t len;
        lua_rawgeti(L, arg, i);
        const char *name = graph_check_name(L, "names", i, &len);
        nodes[i - 1] = graph_find(w->graph, name, len);
        if (nodes[i - 1] == GRAPH_NONE) {
            err_set(&w->err, "not_found", "'%s' is not in the graph", name);
            return NULL;
        }
        lua_pop(L, 1);
    }
    return nodes;
}

/* A list of types at `arg` as a set. Absent: those that must be up for a service to be healthy. */
static unsigned opt_types(lua_State *L, int arg)
{
    unsigned mask = 0;
    if (lua_isnoneornil(L, arg))
        return GRAPH_MASK(GRAPH_REQUIRED) | GRAPH_MASK(GRAPH_CIRCULAR);
    luaL_checktype(L, arg, LUA_TTABLE);
    lua_Integer count = luaL_len(L, arg);
    for (lua_Integer i = 1; i <= count; i++) {
        lua_rawgeti(L, arg, i);
        int type = graph_find_type(lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "");
        luaL_argcheck(L, type >= 0, arg, "each must be required, optional, soft or circular");
        mask |= GRAPH_MASK(type);
        lua_pop(L, 1);
    }
    return mask;
}

int graph_answer_reached(lua_State *L, struct graph_work *w, int arg, bool backwards)
{
    luaL_checktype(L, arg, LUA_TTABLE);
    unsigned mask = opt_types(L, arg + 1);
    uint32_t count;
    uint32_t *starts = read_starts(L, w, arg, &count);
    if (!starts)
        return bind_fail(L, &w->err);
    w->plan.order = graph_reach(w->graph, starts, count, mask, backwards, &count);
    graph_push_names(L, w->graph, w->plan.order, count);
    return 1;
}

/* The table {name = seconds} at `arg` by node number, in a userdata left on the stack. */
static double *read_seconds(lua_State *L, struct graph_work *w, int arg)
{
    size_t size = (size_t)graph_size(w->graph) + 1;
    double *seconds = lua_newuserdatauv(L, size * sizeof *seconds, 0);
    for (size_t i = 0; i < size; i++)
        seconds[i] = 0;
    for (lua_pushnil(L); lua_next(L, arg); lua_pop(L, 1)) {
        size_t len;
        lua_pushvalue(L, -2);
        const char *name = graph_check_name(L, "seconds", 0, &len);
        uint32_t node = graph_find(w->graph, name, len);
        lua_Number value = lua_type(L, -2) == LUA_TNUMBER ? lua_tonumber(L, -2) : -1;
        if (!(value >= 0 && value < 1e12))
            luaL_error(L, "seconds of '%s': must be a number from 0 to 1e12", name);
        lua_pop(L, 1);
        if (node != GRAPH_NONE)
            seconds[node] = value;
    }
    return seconds;
}

int graph_answer_critical(lua_State *L, struct graph_work *w, int arg)
{
    double *seconds = NULL;
    if (!lua_isnoneornil(L, arg)) {
        luaL_checktype(L, arg, LUA_TTABLE);
        seconds = read_seconds(L, w, arg);
    }
    if (graph_solve(w->graph, &w->plan, &w->err) < 0)
        return graph_push_cycles(L, w);
    struct graph_chain chain;
    graph_critical(w->graph, &w->plan, seconds, &chain);
    free(w->plan.order); /* the plan owns the chain instead, should Lua raise */
    w->plan.order = chain.nodes;
    lua_createtable(L, 0, 3);
    graph_push_names(L, w->graph, chain.nodes, chain.count);
    lua_setfield(L, -2, "path");
    lua_pushinteger(L, chain.count);
    lua_setfield(L, -2, "count");
    if (seconds)
        lua_pushnumber(L, chain.length);
    else
        lua_pushnil(L);
    lua_setfield(L, -2, "seconds");
    return 1;
}

/* ---- orrery.graph ---- */

/* The graph of the spec at 1. NULL after pushing why not. */
static struct graph_work *check_spec(lua_State *L, int args, int *ret_pushed)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, args);
    struct graph_work *w = graph_new_work(L);
    w->graph = graph_new();
    if (graph_read_spec(L, 1, w) == 0)
        return w;
    *ret_pushed = bind_fail(L, &w->err);
    return NULL;
}

static int l_solve(lua_State *L)
{
    int pushed;
    struct graph_work *w = check_spec(L, 1, &pushed);
    return w ? graph_answer_plan(L, w) : pushed;
}

static int l_needs(lua_State *L)
{
    int pushed;
    struct graph_work *w = check_spec(L, 3, &pushed);
    return w ? graph_answer_reached(L, w, 2, false) : pushed;
}

static int l_dependents(lua_State *L)
{
    int pushed;
    struct graph_work *w = check_spec(L, 3, &pushed);
    return w ? graph_answer_reached(L, w, 2, true) : pushed;
}

static int l_critical(lua_State *L)
{
    int pushed;
    struct graph_work *w = check_spec(L, 2, &pushed);
    return w ? graph_answer_critical(L, w, 2) : pushed;
}

static int l_new(lua_State *L)
{
    if (lua_isnoneornil(L, 1)) {
        graph_push_handle(L, graph_new());
        return 1;
    }
    int pushed;
    struct graph_work *w = check_spec(L, 1, &pushed);
    if (!w)
        return pushed;
    graph_push_handle(L, w->graph);
    graph_share(w->graph);
    return 1;
}

/* ---- reading a file ---- */

struct read_op {
    struct task *task;       /* borrowed */
    struct graph_file *file; /* borrowed */
};

static void read_done(void *data, struct graph *graph, const struct err *err)
{
    struct read_op *op = data;
    struct task *task = op->task;
    free(op);
    if (!graph) {
        task_wake(task, bind_push_err(task_stack(task), err));
        return;
    }
    graph_push_handle(task_stack(task), graph);
    task_wake(task, 1);
}

static void read_cancel(void *data)
{
    struct read_op *op = data;
    graph_file_cancel(op->file);
    free(op);
}

static int l_read(lua_State *L)
{
    struct engine *e = bind_engine(L);
    const char *path = luaL_checkstring(L, 1);
    bind_opt_table(L, 2);
    lua_Integer max = bind_opt_integer(L, 2, "max", 0, MAX_BYTES * 4 - 1, MAX_BYTES);
    struct task *task = task_self(e, L);

    struct read_op *op = xcalloc(1, sizeof *op);
    op->task = task;
    op->file = graph_file_read(e->io, path, (uint64_t)max, read_done, op);
    return task_park(task, read_cancel, op);
}

const luaL_Reg bind_graph[] = {{"solve", l_solve},
                               {"needs", l_needs},
                               {"dependents", l_dependents},
                               {"critical", l_critical},
                               {"new", l_new},
                               {"read", l_read},
                               {NULL, NULL}};
