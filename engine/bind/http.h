/* http.h -- what the two halves of orrery.http share: requests (http.c) and serving (serve.c). */
#pragma once
#include <lua.h>

int http_serve(lua_State *L); /* orrery.http.serve */
