/* log.c -- orrery.log: the program's own log. Documented in lua/meta/log.lua. */
#include <lauxlib.h>
#include <string.h>

#include "bind/bind.h"
#include "bind/file_watch.h"
#include "bind/libs.h"
#include "core/err.h"
#include "engine.h"
#include "io/io.h"

#define MAX_FIELDS 32

static bool is_bare(const char *text) { return *text && text[strcspn(text, " \t\r\n\"=")] == '\0'; }

/* Appends " key=value" for the pair on top of the stack to the text at `text`, and pops the value.
 */
static void add_field(lua_State *L, int text)
{
    const char *value = luaL_tolstring(L, -1, NULL);
    bool bare = is_bare(value);
    if (!bare)
        value = luaL_gsub(L, value, "\"", "\\\"");
    lua_pushvalue(L, text);
    luaL_tolstring(L, bare ? -4 : -5, NULL);
    lua_pushfstring(L, bare ? "%s %s=%s" : "%s %s=\"%s\"", lua_tostring(L, -2), lua_tostring(L, -1),
                    value);
    lua_replace(L, text);
    lua_settop(L, text + 3);
}

static void sort_keys(lua_State *L)
{
    lua_getglobal(L, "table");
    lua_getfield(L, -1, "sort");
    lua_remove(L, -2);
    lua_pushvalue(L, -2);
    lua_call(L, 1, 0);
}

/* (fields): a sorted list of those keys that are strings. */
static void push_keys(lua_State *L, int fields)
{
    lua_Integer count = 0;
    lua_newtable(L);
    int keys = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, fields); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING || count == MAX_FIELDS)
            continue;
        lua_pushvalue(L, -2);
        lua_rawseti(L, keys, ++count);
    }
    sort_keys(L);
}

/* (message, fields) -> one line of text. May raise: a __tostring is called. */
static int l_compose(lua_State *L)
{
    lua_settop(L, 2);
    luaL_tolstring(L, 1, NULL); /* at 3 */
    if (!lua_istable(L, 2))
        return 1;
    push_keys(L, 2);
    lua_insert(L, 3); /* keys at 3, text at 4 */
    lua_Integer count = luaL_len(L, 3);
    for (lua_Integer i = 1; i <= count; i++) {
        lua_settop(L, 4);
        lua_rawgeti(L, 3, i);
        lua_pushvalue(L, 5);
        lua_gettable(L, 2);
        add_field(L, 4);
    }
    lua_pushvalue(L, 4);
    return 1;
}

static int log_at(lua_State *L, enum io_log_level level)
{
    struct io *io = bind_engine(L)->io;
    if (level < io->log_level)
        return 0;
    lua_settop(L, 2);
    lua_pushcfunction(L, l_compose);
    lua_insert(L, 1);
    bool composed = lua_pcall(L, 2, 1, 0) == LUA_OK;
    const char *text = lua_tostring(L, -1);
    io_log(io, level, composed ? "%s" : "a message that cannot be written: %s", text ? text : "?");
    return 0;
}

static int l_debug(lua_State *L) { return log_at(L, IO_LOG_DEBUG); }

static int l_info(lua_State *L) { return log_at(L, IO_LOG_INFO); }

static int l_warn(lua_State *L) { return log_at(L, IO_LOG_WARNING); }

static int l_error(lua_State *L) { return log_at(L, IO_LOG_ERROR); }

static int l_set_level(lua_State *L)
{
    static const char *const names[] = {"debug", "info", "warn", "error", NULL};
    bind_engine(L)->io->log_level = (enum io_log_level)luaL_checkoption(L, 1, NULL, names);
    return 0;
}

static int l_set_file(lua_State *L)
{
    const char *path = lua_isnoneornil(L, 1) ? NULL : file_check_path(L, 1);
    struct err err = {0};
    if (io_log_to(bind_engine(L)->io, path, &err) < 0)
        return bind_fail(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

const luaL_Reg bind_log[] = {
    {"debug", l_debug},         {"info", l_info},         {"warn", l_warn}, {"error", l_error},
    {"set_level", l_set_level}, {"set_file", l_set_file}, {NULL, NULL}};
