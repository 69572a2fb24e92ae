/* text.c -- orrery.text: text made safe for the files it goes into. Documented in
 * lua/meta/text.lua. */
#include <lauxlib.h>
#include <string.h>

#include "bind/libs.h"
#include "core/base64.h"
#include "core/digest.h"
#include "core/quote.h"
#include "core/utf8.h"

#define MAX_TEXT ((size_t)16 * 1024 * 1024)

static const char *check_text(lua_State *L, size_t *ret_len)
{
    const char *text = luaL_checklstring(L, 1, ret_len);
    luaL_argcheck(L, *ret_len <= MAX_TEXT, 1, "longer than 16 MiB");
    return text;
}

static int refuse(lua_State *L, const char *why)
{
    lua_pushnil(L);
    lua_pushstring(L, why);
    lua_pushliteral(L, "invalid");
    return 3;
}

/* Most values need no quotes: they are given back as they came. */
static int quoted(lua_State *L, const struct quote_kind *kind)
{
    size_t len;
    const char *text = check_text(L, &len), *why = NULL;
    size_t size = kind->measure(text, len, &why);
    if (why)
        return refuse(L, why);
    if (size == len) {
        lua_settop(L, 1);
        return 1;
    }
    luaL_Buffer b;
    kind->write(text, len, luaL_buffinitsize(L, &b, size));
    luaL_pushresultsize(&b, size);
    return 1;
}

static int l_quote(lua_State *L) { return quoted(L, &quote_json); }
static int l_env(lua_State *L) { return quoted(L, &quote_env); }
static int l_shell(lua_State *L) { return quoted(L, &quote_shell); }
static int l_ini(lua_State *L) { return quoted(L, &quote_ini); }
static int l_url_encode(lua_State *L) { return quoted(L, &quote_url); }

static int l_is_utf8(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    lua_pushboolean(L, utf8_prefix(text, len) == len);
    return 1;
}

static int l_sha256(lua_State *L)
{
    size_t len;
    const char *text = check_text(L, &len);
    char hex[65];
    digest_sha256(text, len, hex);
    lua_pushlstring(L, hex, 64);
    return 1;
}

static int l_base64(lua_State *L)
{
    size_t len;
    const char *text = check_text(L, &len);
    luaL_Buffer b;
    base64_write(text, len, luaL_buffinitsize(L, &b, base64_size(len)));
    luaL_pushresultsize(&b, base64_size(len));
    return 1;
}

static int l_base64_decode(lua_State *L)
{
    size_t len;
    const char *text = check_text(L, &len);
    luaL_Buffer b;
    long long size = base64_read(text, len, (unsigned char *)luaL_buffinitsize(L, &b, len + 1));
    if (size < 0)
        return refuse(L, "is not base64");
    luaL_pushresultsize(&b, (size_t)size);
    return 1;
}

const luaL_Reg bind_text[] = {{"quote", l_quote},
                              {"env", l_env},
                              {"shell", l_shell},
                              {"ini", l_ini},
                              {"url_encode", l_url_encode},
                              {"is_utf8", l_is_utf8},
                              {"sha256", l_sha256},
                              {"base64", l_base64},
                              {"base64_decode", l_base64_decode},
                              {NULL, NULL}};
