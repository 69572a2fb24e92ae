/* graph_values.h -- graphs and their plans as Lua values. Private to bind/graph*.c. */
#pragma once
#include <lua.h>
#include <stdbool.h>

#include "core/err.h"
#include "core/graph.h"

extern const char *const graph_type_names[]; /* by enum graph_type; ends in NULL */

/* What one call owns. It lives in a userdata, so that an error raised midway frees it. */
struct graph_work {
    struct graph *graph; /* owned; NULL at first */
    struct graph_plan plan;
    struct err err;
};

/* Pushes it. Its graph is shared with a handle, so that a finalizer may close that meanwhile. */
struct graph_work *graph_new_work(lua_State *L);

/* Reads {nodes, edges} at `spec`. A malformed table raises; -1: an edge to what is not there. */
int graph_read_spec(lua_State *L, int spec, struct graph_work *w);

/* The string on top of the stack, which `what` and `i` name in errors. */
const char *graph_check_name(lua_State *L, const char *what, lua_Integer i, size_t *ret_len);

int graph_find_type(const char *name); /* -1: there is none */

void graph_push_names(lua_State *L, const struct graph *g, const uint32_t *nodes, uint32_t count);
void graph_push_edges(lua_State *L, const struct graph *g, const uint32_t *edges, uint32_t count);

/* The results of a call, after graph_solve(): the plan, or nil, message, code, {cycles}. */
int graph_push_plan(lua_State *L, const struct graph_work *w);
int graph_push_cycles(lua_State *L, struct graph_work *w);

/* The answers that orrery.graph and a handle share, about the graph of `w`. */
int graph_answer_plan(lua_State *L, struct graph_work *w);

/* Names at `arg`, a list of types at arg + 1 or nothing: all that is reached from them. */
int graph_answer_reached(lua_State *L, struct graph_work *w, int arg, bool backwards);

/* A table name = seconds at `arg`, or nothing. */
int graph_answer_critical(lua_State *L, struct graph_work *w, int arg);
