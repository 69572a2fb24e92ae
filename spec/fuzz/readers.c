/* readers.c -- libFuzzer's way into what reads text in C: orrery.json, orrery.yaml, orrery.text.
 *
 * One program for each (FUZZ_json, FUZZ_yaml, FUZZ_text). What was read and written once is read
 * and written the same again; what was quoted is read as it was. */
#include <lauxlib.h>
#include <lualib.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bind/libs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static lua_State *state(void)
{
    static lua_State *L;
    if (!L)
        L = luaL_newstate();
    lua_settop(L, 0);
    return L;
}

static lua_CFunction function(const luaL_Reg *functions, const char *name)
{
    for (; functions->name; functions++)
        if (strcmp(functions->name, name) == 0)
            return functions->func;
    abort();
}

/* Calls a function with the value on top of the stack: its first result takes that one's place. */
static void call(lua_State *L, const luaL_Reg *functions, const char *name)
{
    lua_pushcfunction(L, function(functions, name));
    lua_insert(L, -2);
    if (lua_pcall(L, 1, 1, 0) != LUA_OK)
        abort();
}

static void must(int condition)
{
    if (!condition)
        abort();
}

#ifdef FUZZ_text

static void check_quoted(lua_State *L, const char *quote, const luaL_Reg *reader)
{
    lua_pushvalue(L, 1);
    call(L, bind_text, quote);
    if (lua_isnil(L, -1))
        return;
    call(L, reader, "decode");
    must(lua_rawequal(L, 1, -1));
    lua_settop(L, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const others[] = {"env", "shell", "ini", "url_encode", "sha256",
                                         "base64_decode", NULL};
    lua_State *L = state();
    lua_pushlstring(L, (const char *)data, size);
    check_quoted(L, "quote", bind_json);
    lua_settop(L, 1);
    check_quoted(L, "quote", bind_yaml);
    for (const char *const *name = others; *name; name++) {
        lua_settop(L, 1);
        lua_pushvalue(L, 1);
        call(L, bind_text, *name);
    }
    lua_settop(L, 1);
    lua_pushvalue(L, 1);
    call(L, bind_text, "base64");
    call(L, bind_text, "base64_decode");
    must(lua_rawequal(L, 1, -1));
    return 0;
}

#else

#ifdef FUZZ_json
#define READER bind_json
#else
#define READER bind_yaml
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lua_State *L = state();
    lua_pushlstring(L, (const char *)data, size);
    call(L, READER, "decode");
    if (lua_isnil(L, -1))
        return 0;
    call(L, READER, "encode");
    if (lua_isnil(L, -1))
        return 0; /* infinities of YAML, keys with a NUL */
    lua_pushvalue(L, -1);
    call(L, READER, "decode");
    call(L, READER, "encode");
    must(lua_rawequal(L, -1, -2));
    return 0;
}

#endif
