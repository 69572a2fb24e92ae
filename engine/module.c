/* module.c -- the Lua C module `orrery.core`: the same engine inside a host's Lua state. */
#include <lauxlib.h>
#include <signal.h>

#include "bind/bind.h"
#include "core/err.h"
#include "engine.h"

int luaopen_orrery_core(lua_State *L);

/* The engine ends with the state that loaded it. */
static int l_close(lua_State *L)
{
    struct engine **owner = lua_touserdata(L, 1);
    if (*owner)
        engine_close(*owner);
    *owner = NULL;
    return 0;
}

/* Whoever closes a pipe or a socket on us must not end the host. A handler of its own stays. */
static void ignore_broken_pipes(void)
{
    void (*before)(int) = signal(SIGPIPE, SIG_IGN);
    if (before != SIG_DFL)
        signal(SIGPIPE, before);
}

int luaopen_orrery_core(lua_State *L)
{
    ignore_broken_pipes();
    struct engine **owner = lua_newuserdatauv(L, sizeof *owner, 0);
    *owner = NULL;
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, l_close);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    struct err err = {0};
    *owner = engine_open(L, NULL, &err);
    if (!*owner) {
        lua_pushstring(L, err.message);
        err_clear(&err);
        return lua_error(L);
    }
    lua_pushvalue(L, -2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, owner); /* alive as long as the state */
    return 1;
}
