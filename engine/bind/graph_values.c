#include "bind/graph_values.h"

#include <lauxlib.h>
#include <string.h>

#include "bind/bind.h"
#include "core/graph_read.h"

#define WORK "orrery.graph"

const char *const graph_type_names[] = {"required", "optional", "soft", "circular", NULL};

static int l_work_gc(lua_State *L)
{
    struct graph_work *w = lua_touserdata(L, 1);
    graph_plan_close(&w->plan);
    graph_free(w->graph);
    err_clear(&w->err);
    *w = (struct graph_work){0};
    return 0;
}

static const luaL_Reg work_methods[] = {{"__gc", l_work_gc}, {NULL, NULL}};

struct graph_work *graph_new_work(lua_State *L)
{
    struct graph_work *w = lua_newuserdatauv(L, sizeof *w, 0);
    *w = (struct graph_work){0};
    bind_set_class(L, WORK, work_methods);
    return w;
}

/* ---- reading {nodes, edges} ---- */

const char *graph_check_name(lua_State *L, const char *what, lua_Integer i, size_t *ret_len)
{
    if (lua_type(L, -1) != LUA_TSTRING)
        luaL_error(L, "%s[%I]: expected a name, got a %s", what, (LUAI_UACINT)i,
                   luaL_typename(L, -1));
    const char *name = lua_tolstring(L, -1, ret_len);
    if (*ret_len == 0 || *ret_len > GRAPH_MAX_NAME || memchr(name, '\0', *ret_len))
        luaL_error(L, "%s[%I]: a name has 1 to %d bytes and no NUL", what, (LUAI_UACINT)i,
                   GRAPH_MAX_NAME);
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
        const char *name = graph_check_name(L, "nodes", i, &len);
        if (graph_add(g, name, len) == GRAPH_NONE)
            luaL_error(L, "field 'nodes': more names than a graph can hold");
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

int graph_find_type(const char *name)
{
    int type = 0;
    while (graph_type_names[type] && strcmp(graph_type_names[type], name) != 0)
        type++;
    return graph_type_names[type] ? type : -1;
}

static enum graph_type check_type(lua_State *L, lua_Integer i)
{
    if (lua_getfield(L, -1, "type") == LUA_TNIL) {
        lua_pop(L, 1);
        return GRAPH_REQUIRED;
    }
    int type = graph_find_type(lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "");
    if (type < 0)
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
    const char *name = graph_check_name(L, "edges", i, &len);
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
    if (!graph_link(g, from, to, type))
        luaL_error(L, "field 'edges': more edges than a graph can hold");
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

int graph_read_spec(lua_State *L, int spec, struct graph_work *w)
{
    read_nodes(L, spec, w->graph);
    return read_edges(L, spec, w->graph, &w->err);
}

/* ---- writing results ---- */

void graph_push_names(lua_State *L, const struct graph *g, const uint32_t *nodes, uint32_t count)
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
    lua_pushstring(L, graph_type_names[type]);
    lua_setfield(L, -2, "type");
}

void graph_push_edges(lua_State *L, const struct graph *g, const uint32_t *edges, uint32_t count)
{
    lua_createtable(L, (int)count, 0);
    for (uint32_t i = 0; i < count; i++) {
        enum graph_type type;
        struct graph_edge edge = graph_edge_at(g, edges[i], &type);
        push_edge(L, g, edge, type);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

static void push_waves(lua_State *L, const struct graph *g, const struct graph_plan *plan)
{
    lua_createtable(L, (int)plan->wave_count, 0);
    for (uint32_t i = 0; i < plan->wave_count; i++) {
        graph_push_names(L, g, plan->order + plan->waves[i], plan->waves[i + 1] - plan->waves[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

static void push_stop(lua_State *L, const struct graph *g, const struct graph_plan *plan)
{
    uint32_t count = graph_plan_size(plan);
    lua_createtable(L, (int)count, 0);
    for (uint32_t i = 0; i < count; i++) {
        lua_pushstring(L, graph_name(g, plan->order[count - 1 - i]));
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
}

int graph_push_plan(lua_State *L, const struct graph_work *w)
{
    lua_createtable(L, 0, 4);
    graph_push_names(L, w->graph, w->plan.order, graph_plan_size(&w->plan));
    lua_setfield(L, -2, "order");
    push_waves(L, w->graph, &w->plan);
    lua_setfield(L, -2, "waves");
    push_stop(L, w->graph, &w->plan);
    lua_setfield(L, -2, "stop");
    graph_push_edges(L, w->graph, w->plan.dropped, w->plan.dropped_count);
    lua_setfield(L, -2, "dropped");
    return 1;
}

static void push_knot(lua_State *L, const struct graph *g, const struct graph_knot *knot)
{
    lua_createtable(L, 0, 5);
    graph_push_names(L, g, knot->members, knot->member_count);
    lua_setfield(L, -2, "members");
    graph_push_names(L, g, knot->cycle, knot->cycle_count);
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

int graph_push_cycles(lua_State *L, struct graph_work *w)
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
