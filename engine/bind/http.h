/* http.h -- what the two halves of orrery.http share: requests (http.c) and serving (serve.c). */
#pragma once
#include <lua.h>
#include <stddef.h>

/* Pushes a table {[lower-case name] = value} of raw header lines; equal names are joined by ", ".
 */
void http_push_headers(lua_State *L, const char *lines);

int http_serve(lua_State *L); /* orrery.http.serve */
