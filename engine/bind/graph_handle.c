#include "bind/graph_handle.h"

#include <lauxlib.h>
#include <string.h>

#include "bind/bind.h"
#include "bind/graph_values.h"
#include "core/graph.h"
#include "core/names.h"

#define HANDLE "orrery.graph.handle"
#define AT_ONCE 256 /* names that are looked up together; even */

static struct graph *check_graph(lua_State *L)
{
    struct graph *g = bind_handle(L, 1, HANDLE);
    if (!g)
        luaL_error(L, "the graph is closed");
    return g;
}

static struct graph_work *work_of(lua_State *L)
{
    check_graph(L);
    struct graph_work *w = graph_new_work(L);
    w->graph = graph_share(check_graph(L)); /* asked for again: Lua has allocated */
    return w;
}

/* The node at `arg`: its name, or the number that add_node gave. GRAPH_NONE: it is not there. */
static uint32_t check_node(lua_State *L, const struct graph *g, int arg)
{
    if (lua_type(L, arg) == LUA_TNUMBER) {
        lua_Integer number = luaL_checkinteger(L, arg);
        bool known = number >= 1 && number <= graph_size(g) && graph_has(g, (uint32_t)number - 1);
        return known ? (uint32_t)number - 1 : GRAPH_NONE;
    }
    size_t len;
    const char *name = luaL_checklstring(L, arg, &len);
    return graph_find(g, name, len);
}

static int fail_missing(lua_State *L, int arg)
{
    lua_pushnil(L);
    lua_pushfstring(L, "'%s' is not in the graph", lua_tostring(L, arg));
    lua_pushliteral(L, "not_found");
    return 3;
}

/* A type at `arg`, or -1 if there is none. */
static int opt_type(lua_State *L, int arg)
{
    if (lua_isnoneornil(L, arg))
        return -1;
    int type = graph_find_type(luaL_checkstring(L, arg));
    luaL_argcheck(L, type >= 0, arg, "must be one of required, optional, soft, circular");
    return type;
}

/* ---- building ---- */

static int l_add_node(lua_State *L)
{
    struct graph *g = check_graph(L);
    size_t len;
    luaL_checktype(L, 2, LUA_TSTRING);
    lua_settop(L, 2);
    const char *name = graph_check_name(L, "name", 1, &len);
    uint32_t node = graph_add(g, name, len);
    if (node == GRAPH_NONE)
        return luaL_error(L, "more names than a graph can hold");
    lua_pushinteger(L, (lua_Integer)node + 1);
    return 1;
}

static int l_add_edge(lua_State *L)
{
    struct graph *g = check_graph(L);
    uint32_t from = check_node(L, g, 2), to = check_node(L, g, 3);
    int type = opt_type(L, 4);
    if (from == GRAPH_NONE || to == GRAPH_NONE)
        return fail_missing(L, from == GRAPH_NONE ? 2 : 3);
    if (!graph_link(g, from, to, type < 0 ? GRAPH_REQUIRED : (enum graph_type)type))
        return luaL_error(L, "more edges than a graph can hold");
    lua_pushboolean(L, 1);
    return 1;
}

/* The names list[first..first + count) as tokens. Nothing here allocates, so none is collected. */
static void read_names(lua_State *L, int list, lua_Integer first, struct names_token *tokens,
                       uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        size_t len;
        lua_rawgeti(L, list, first + i);
        const char *name = graph_check_name(L, "names", first + i, &len);
        tokens[i] = (struct names_token){.text = name, .len = (uint32_t)len};
        lua_pop(L, 1);
    }
}

static void link_pairs(lua_State *L, struct graph *g, lua_Integer first, uint32_t count,
                       enum graph_type type)
{
    struct names_token tokens[AT_ONCE];
    read_names(L, 2, first, tokens, count);
    if (!graph_add_all(g, tokens, count))
        luaL_error(L, "more names than a graph can hold");
    for (uint32_t i = 0; i < count; i += 2)
        if (!graph_link(g, tokens[i].number, tokens[i + 1].number, type))
            luaL_error(L, "more edges than a graph can hold");
}

static int l_add_edges(lua_State *L)
{
    luaL_checktype(L, 2, LUA_TTABLE);
    int type = opt_type(L, 3);
    lua_Integer count = (lua_Integer)lua_rawlen(L, 2);
    luaL_argcheck(L, count % 2 == 0, 2, "needs an even number of names: dependent, dependency ...");
    struct graph *g = check_graph(L);
    for (lua_Integer first = 1; first <= count; first += AT_ONCE) {
        lua_Integer left = count + 1 - first;
        link_pairs(L, g, first, (uint32_t)(left < AT_ONCE ? left : AT_ONCE),
                   type < 0 ? GRAPH_REQUIRED : (enum graph_type)type);
    }
    lua_pushboolean(L, 1);
    return 1;
}

static int l_remove_node(lua_State *L)
{
    struct graph *g = check_graph(L);
    uint32_t node = check_node(L, g, 2);
    if (node == GRAPH_NONE)
        return fail_missing(L, 2);
    graph_remove(g, node);
    lua_pushboolean(L, 1);
    return 1;
}

static int l_remove_edge(lua_State *L)
{
    struct graph *g = check_graph(L);
    uint32_t from = check_node(L, g, 2), to = check_node(L, g, 3);
    int type = opt_type(L, 4);
    if (from == GRAPH_NONE || to == GRAPH_NONE)
        return fail_missing(L, from == GRAPH_NONE ? 2 : 3);
    if (graph_unlink(g, from, to, type < 0 ? GRAPH_ALL : GRAPH_MASK(type)) == 0) {
        lua_pushnil(L);
        lua_pushfstring(L, "'%s' has no %s%sedge to '%s'", graph_name(g, from),
                        type < 0 ? "" : graph_type_names[type], type < 0 ? "" : " ",
                        graph_name(g, to));
        lua_pushliteral(L, "not_found");
        return 3;
    }
    lua_pushboolean(L, 1);
    return 1;
}

/* ---- looking ---- */

static int l_solve(lua_State *L) { return graph_answer_plan(L, work_of(L)); }

static int answer_reached(lua_State *L, bool backwards)
{
    check_graph(L);
    lua_settop(L, 3);
    return graph_answer_reached(L, work_of(L), 2, backwards);
}

static int l_needs(lua_State *L) { return answer_reached(L, false); }

static int l_dependents(lua_State *L) { return answer_reached(L, true); }

static int l_critical(lua_State *L)
{
    check_graph(L);
    lua_settop(L, 2);
    return graph_answer_critical(L, work_of(L), 2);
}

static int l_nodes(lua_State *L)
{
    struct graph_work *w = work_of(L);
    w->plan.order = graph_nodes(w->graph);
    graph_push_names(L, w->graph, w->plan.order, graph_count(w->graph));
    return 1;
}

static int l_edges(lua_State *L)
{
    struct graph *g = check_graph(L);
    uint32_t touching = lua_isnoneornil(L, 2) ? GRAPH_NONE : check_node(L, g, 2);
    if (!lua_isnoneornil(L, 2) && touching == GRAPH_NONE)
        return fail_missing(L, 2);
    struct graph_work *w = work_of(L);
    uint32_t count;
    w->plan.dropped = graph_edges(w->graph, touching, &count);
    graph_push_edges(L, w->graph, w->plan.dropped, count);
    return 1;
}

static int l_len(lua_State *L)
{
    lua_pushinteger(L, graph_count(check_graph(L)));
    return 1;
}

static int l_lines(lua_State *L)
{
    struct graph_work *w = work_of(L);
    if (graph_solve(w->graph, &w->plan, &w->err) < 0)
        return graph_push_cycles(L, w);
    luaL_Buffer text;
    size_t length = graph_lines_size(w->graph);
    graph_lines(w->graph, &w->plan, luaL_buffinitsize(L, &text, length));
    luaL_pushresultsize(&text, length);
    return 1;
}

static int l_close(lua_State *L)
{
    struct graph **handle = luaL_checkudata(L, 1, HANDLE);
    graph_free(*handle);
    *handle = NULL;
    return 0;
}

static const luaL_Reg graph_methods[] = {{"add_node", l_add_node},
                                         {"add_edge", l_add_edge},
                                         {"add_edges", l_add_edges},
                                         {"remove_node", l_remove_node},
                                         {"remove_edge", l_remove_edge},
                                         {"solve", l_solve},
                                         {"needs", l_needs},
                                         {"dependents", l_dependents},
                                         {"critical", l_critical},
                                         {"nodes", l_nodes},
                                         {"edges", l_edges},
                                         {"lines", l_lines},
                                         {"close", l_close},
                                         {"__len", l_len},
                                         {"__close", l_close},
                                         {"__gc", l_close},
                                         {NULL, NULL}};

void graph_push_handle(lua_State *L, struct graph *graph)
{
    *bind_new_handle(L, HANDLE, graph_methods) = graph;
}
