/* graph_handle.h -- a graph in a script's hands, to build and to change call by call. */
#pragma once
#include <lua.h>

struct graph;

/* Pushes a handle that owns the graph. */
void graph_push_handle(lua_State *L, struct graph *graph);
