/* graph.c -- orrery.graph: start order and cycles. Documented in lua/meta/graph.lua. */
#include "core/graph.h"

#include <lauxlib.h>
#include <string.h>

#include "bind/bind.h"
#include "bind/libs.h"
#include "core/err.h"

#define WORK "orrery.graph"
#define MAX_NAME 4096

static const char *const type_names[] = {"required", "optional", "soft", "circular", NULL};

/* What one call owns. It lives in a userdata, so that an error raised midway frees it. */
struct work {
    struct graph *graph;
    struct graph_plan plan;
    struct err err;
};

static int l_work_gc(lua_State *L)
{
    struct work *w = lua_touserdata(L, 1);
    graph_plan_close(&w->plan);
    graph_free(w->graph);
    err_clear(&w->err);
    *w = (struct work){0};
    return 0;
}

static const luaL_Reg work_methods[] = {{"__gc", l_work_gc}, {NULL, NULL}};

static struct work *new_work(lua_State *L)
{
    struct work *w = lua_newuserdatauv(L, sizeof *w, 0);
    *w = (struct work){0};
    bind_set_class(L, WORK, work_methods);
    w->graph = graph_new();
    return w;
}

/* ---- reading {nodes, edges} ---- */

/* The string on top of the stack, which `what` and `i` name in errors. */
static const char *check_name(lua_State *L, const char *what, lua_Integer i, size_t *ret_len)
{
    if (lua_type(L, -1) != LUA_TSTRING)
        luaL_error(L, "%s[%I]: expected a name, got a %s", what, (LUAI_UACINT)i,
                   luaL_typename(L, -1));
    const char *name = lua_tolstring(L, -1, ret_len);
    if (*ret_len == 0 || *ret_len > MAX_NAME || memchr(name, '\0', *ret_len))
        luaL_error(L, "%s[%I]: a name has 1 to %d bytes and no NUL", what, (LUAI_UACINT)i,
                   MAX_NAME);
    return name;
}

static lua_Integer check_list(lua_State *L, int spec, const char *key)
{
    if (lua_getfield(L, spec, key) != LUA_TTABLE)
        luaL_error(L, "field '%s': expected a list, got a %s", key, luaL_typename(L, -1));
    lua_Integer count = luaL_len(L, -1);
    if (count > INT32_MAX)
        luaL_error(L, "field '%s': too long", key);
    return count;
}

static void read_nodes(lua_State *L, int spec, struct graph *g)
{
    lua_Integer count = check_list(L, spec, "nodes");
    for (lua_Integer i = 1; i <= count; i++) {
        size_t len;
        lua_rawgeti(L, -1, i);
        const char *name = check_name(L, "nodes", i, &len);
        graph_add(g, name, len);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static enum graph_type check_type(lua_State *L, lua_Integer i)
{
    if (lua_getfield(L, -1, "type") == LUA_TNIL) {
        lua_pop(L, 1);
        return GRAPH_REQUIRED;
    }
    const char *name = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
    int type = 0;
    while (type_names[type] && strcmp(type_names[type], name) != 0)
        type++;
    if (!type_names[type])
        luaL_error(L, "edges[%I].type: must be one of required, optional, soft, circular",
                   (LUAI_UACINT)i);
    lua_pop(L, 1);
    return (enum graph_type)type;
}

/* The end of the edge on top of the stack; its name stays on the stack. */
static uint32_t check_end(lua_State *L, const struct graph *g, const char *key, lua_Integer i)
{
    size_t len;
    lua_getfield(L, -1, key);
    const char *name = check_name(L, "edges", i, &len);
    return graph_find(g, name, len);
}

/* Reads the edge on top of the stack. An end that is no node is the caller's mistake in data, so it
 * is told, not raised. */
static int read_edge(lua_State *L, struct graph *g, lua_Integer i, struct err *err)
{
    if (lua_type(L, -1) != LUA_TTABLE)
        luaL_error(L, "edges[%I]: expected a table, got a %s", (LUAI_UACINT)i,
                   luaL_typename(L, -1));
    int edge = lua_gettop(L);
    enum graph_type type = check_type(L, i);
    uint32_t from = check_end(L, g, "from", i);
    lua_pushvalue(L, edge);
    uint32_t to = check_end(L, g, "to", i);
    const char *from_name = lua_tostring(L, edge + 1), *to_name = lua_tostring(L, -1);
    lua_settop(L, edge);
    if (from == GRAPH_NONE)
        return err_set(err, "not_found", "'%s' depends on '%s', but there is no '%s' in the graph",
                       from_name, to_name, from_name);
    if (to == GRAPH_NONE)
        return err_set(err, "not_found", "'%s' depends on '%s', which is not in the graph",
                       from_name, to_name);
    graph_link(g, from, to, type);
    return 0;
}

static int read_edges(lua_State *L, int spec, struct graph *g, struct err *err)
{
    int result = 0;
    if (lua_getfield(L, spec, "edges") == LUA_TNIL) {
        lua_pop(L, 1);
        return 0;
    }
    lua_pop(L, 1);
    lua_Integer count = check_list(L, spec, "edges");
    for (lua_Integer i = 1; i <= count && result == 0; i++) {
        lua_rawgeti(L, -1, i);
        result = read_edge(L, g, i, err);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return result;
}

static int read_graph(lua_State *L, int spec, struct work *w)
{
    read_nodes(L, spec, w->graph);
    return read_edges(L, spec, w->graph, &w->err);
}

/* ---- writing results ---- */

static void push_names(lua_State *L, const struct graph *g, const uint32_t *nodes, uint32_t count)
{
    lua_createtable(L, (int)count, 0);
    for (uint32_t i = 0; i < count; i++) {
        lua_pushstring(L, graph_name(g, nodes[i]));
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

static void push_edge(lua_State *L, const struct graph *g, struct graph_edge edge,
                      enum graph_type type)
{
    lua_createtable(L, 0, 3);
    lua_pushstring(L, graph_name(g, edge.from));
    lua_setfield(L, -2, "from");
    lua_pushstring(L, graph_name(g, edge.to));
    lua_setfield(L, -2, "to");
    lua_pushstring(L, type_names[type]);
    lua_setfield(L, -2, "type");
}

static void push_dropped(lua_State *L, const struct work *w)
{
    lua_createtable(L, (int)w->plan.dropped_count, 0);
    for (uint32_t i = 0; i < w->plan.dropped_count; i++) {
        enum graph_type type;
        struct graph_edge edge = graph_edge_at(w->graph, w->plan.dropped[i], &type);
        push_edge(L, w->graph, edge, type);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

static void push_waves(lua_State *L, const struct graph *g, const struct graph_plan *plan)
{
    lua_createtable(L, (int)plan->wave_count, 0);
    for (uint32_t i = 0; i < plan->wave_count; i++) {
        push_names(L, g, plan->order + plan->waves[i], plan->waves[i + 1] - plan->waves[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

static void push_stop(lua_State *L, const struct graph *g, const struct graph_plan *plan)
{
    uint32_t count = graph_count(g);
    lua_createtable(L, (int)count, 0);
    for (uint32_t i = 0; i < count; i++) {
        lua_pushstring(L, graph_name(g, plan->order[count - 1 - i]));
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

static int push_plan(lua_State *L, const struct work *w)
{
    lua_createtable(L, 0, 4);
    push_names(L, w->graph, w->plan.order, graph_count(w->graph));
    lua_setfield(L, -2, "order");
    push_waves(L, w->graph, &w->plan);
    lua_setfield(L, -2, "waves");
    push_stop(L, w->graph, &w->plan);
    lua_setfield(L, -2, "stop");
    push_dropped(L, w);
    lua_setfield(L, -2, "dropped");
    return 1;
}

static void push_knot(lua_State *L, const struct graph *g, const struct graph_knot *knot)
{
    lua_createtable(L, 0, 5);
    push_names(L, g, knot->members, knot->member_count);
    lua_setfield(L, -2, "members");
    push_names(L, g, knot->cycle, knot->cycle_count);
    lua_setfield(L, -2, "cycle");
    lua_pushboolean(L, knot->shortest);
    lua_setfield(L, -2, "shortest");
    lua_createtable(L, (int)knot->cut_count, 0);
    for (uint32_t i = 0; i < knot->cut_count; i++) {
        push_edge(L, g, knot->cut[i], GRAPH_REQUIRED);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, "cut");
    lua_pushboolean(L, knot->exact);
    lua_setfield(L, -2, "exact");
}

static int push_cycles(lua_State *L, struct work *w)
{
    int pushed = bind_fail(L, &w->err);
    lua_createtable(L, 0, 1);
    lua_createtable(L, (int)w->plan.knot_count, 0);
    for (uint32_t i = 0; i < w->plan.knot_count; i++) {
        push_knot(L, w->graph, &w->plan.knots[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_setfield(L, -2, "cycles");
    return pushed + 1;
}

/* ---- orrery.graph ---- */

static int l_solve(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    struct work *w = new_work(L);
    if (read_graph(L, 1, w) < 0)
        return bind_fail(L, &w->err);
    if (graph_solve(w->graph, &w->plan, &w->err) < 0)
        return push_cycles(L, w);
    return push_plan(L, w);
}

/* Argument 2 as a userdata full of nodes, left on the stack. */
static uint32_t *read_starts(lua_State *L, struct work *w, uint32_t *ret_count)
{
    lua_Integer count = luaL_len(L, 2);
    luaL_argcheck(L, count <= INT32_MAX, 2, "too long");
    uint32_t *nodes = lua_newuserdatauv(L, ((size_t)count + 1) * sizeof *nodes, 0);
    *ret_count = (uint32_t)count;
    for (lua_Integer i = 1; i <= count; i++) {
        size_t len;
        lua_rawgeti(L, 2, i);
        const char *name = check_name(L, "names", i, &len);
        nodes[i - 1] = graph_find(w->graph, name, len);
        if (nodes[i - 1] == GRAPH_NONE) {
            err_set(&w->err, "not_found", "'%s' is not in the graph", name);
            return NULL;
        }
        lua_pop(L, 1);
    }
    return nodes;
}

static int push_reached(lua_State *L, bool backwards)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    struct work *w = new_work(L);
    if (read_graph(L, 1, w) < 0)
        return bind_fail(L, &w->err);
    uint32_t count;
    uint32_t *starts = read_starts(L, w, &count);
    if (!starts)
        return bind_fail(L, &w->err);
    unsigned mask = GRAPH_MASK(GRAPH_REQUIRED) | GRAPH_MASK(GRAPH_CIRCULAR);
    w->plan.order = graph_reach(w->graph, starts, count, mask, backwards, &count);
    push_names(L, w->graph, w->plan.order, count);
    return 1;
}

static int l_needs(lua_State *L) { return push_reached(L, false); }

static int l_dependents(lua_State *L) { return push_reached(L, true); }

const luaL_Reg bind_graph[] = {
    {"solve", l_solve}, {"needs", l_needs}, {"dependents", l_dependents}, {NULL, NULL}};
