/* file_watch.h -- orrery.file.watch, bound apart from the rest of orrery.file. */
#pragma once
#include <lua.h>

int file_l_watch(lua_State *L);

/* The path at `arg`; raises if it is empty, too long or has a NUL byte. */
const char *file_check_path(lua_State *L, int arg);
