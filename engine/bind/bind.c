#include "bind/bind.h"

#include <math.h>
#include <string.h>

#include "core/err.h"

static const char engine_key;

struct engine *bind_engine(lua_State *L) { return lua_touserdata(L, lua_upvalueindex(1)); }

struct engine *bind_engine_of(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &engine_key);
    struct engine *e = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return e;
}

void bind_set_engine(lua_State *L, struct engine *e)
{
    lua_pushlightuserdata(L, e);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &engine_key);
}

int bind_push_err(lua_State *L, const struct err *err)
{
    const char *code = err->code; /* a finalizer may end what the error belongs to */
    lua_pushnil(L);
    lua_pushstring(L, err->message);
    lua_pushstring(L, code);
    return 3;
}

int bind_fail(lua_State *L, struct err *err)
{
    bind_push_err(L, err);
    err_clear(err);
    return 3;
}

uint64_t bind_ms(lua_Number seconds) { return (uint64_t)ceil(seconds * 1000); }

void bind_opt_table(lua_State *L, int arg)
{
    if (lua_isnoneornil(L, arg)) {
        lua_settop(L, arg - 1);
        lua_newtable(L);
    }
    luaL_checktype(L, arg, LUA_TTABLE);
}

/* Raises "field 'key': expected a <type>, got <type>" unless the value on top is of that type. */
static void want(lua_State *L, const char *key, int type)
{
    if (lua_type(L, -1) != type)
        luaL_error(L, "field '%s': expected a %s, got a %s", key, lua_typename(L, type),
                   luaL_typename(L, -1));
}

static bool field(lua_State *L, int table, const char *key, int type)
{
    if (lua_getfield(L, table, key) == LUA_TNIL)
        return false;
    want(L, key, type);
    return true;
}

const char *bind_opt_string(lua_State *L, int table, const char *key, const char *otherwise)
{
    const char *text = otherwise;
    if (field(L, table, key, LUA_TSTRING)) {
        size_t len;
        text = lua_tolstring(L, -1, &len);
        if (strlen(text) != len)
            luaL_error(L, "field '%s': has a NUL byte", key);
    }
    lua_pop(L, 1);
    return text;
}

const char *bind_need_string(lua_State *L, int table, const char *key)
{
    const char *text = bind_opt_string(L, table, key, NULL);
    if (!text)
        luaL_error(L, "field '%s' is missing", key);
    return text;
}

const char *bind_opt_bytes(lua_State *L, int table, const char *key, size_t *ret_len)
{
    const char *bytes = NULL;
    *ret_len = 0;
    if (field(L, table, key, LUA_TSTRING))
        bytes = lua_tolstring(L, -1, ret_len);
    lua_pop(L, 1);
    return bytes;
}

lua_Number bind_opt_number(lua_State *L, int table, const char *key, lua_Number otherwise)
{
    lua_Number number = otherwise;
    if (field(L, table, key, LUA_TNUMBER))
        number = lua_tonumber(L, -1);
    lua_pop(L, 1);
    return number;
}

lua_Integer bind_opt_integer(lua_State *L, int table, const char *key, lua_Integer min,
                             lua_Integer max, lua_Integer otherwise)
{
    lua_Integer number = otherwise;
    if (field(L, table, key, LUA_TNUMBER)) {
        int exact;
        number = lua_tointegerx(L, -1, &exact);
        if (!exact || number < min || number > max)
            luaL_error(L, "field '%s': must be a whole number from %I to %I", key, (LUAI_UACINT)min,
                       (LUAI_UACINT)max);
    }
    lua_pop(L, 1);
    return number;
}

bool bind_opt_boolean(lua_State *L, int table, const char *key, bool otherwise)
{
    bool value = otherwise;
    if (field(L, table, key, LUA_TBOOLEAN))
        value = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return value;
}

uint64_t bind_opt_seconds(lua_State *L, int table, const char *key, lua_Number otherwise)
{
    lua_Number seconds = bind_opt_number(L, table, key, otherwise);
    if (!(seconds >= 0 && seconds < 1e9))
        luaL_error(L, "field '%s': must be from 0 to 1e9 seconds", key);
    return bind_ms(seconds);
}

/* The strings of the list at `from` as an array, in place of that list. */
static char **strings_of(lua_State *L, int from, const char *key)
{
    size_t count = lua_rawlen(L, from);
    char **list = lua_newuserdatauv(L, (count + 1) * sizeof *list, 1);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, from, (lua_Integer)i + 1);
        list[i] = (char *)lua_tostring(L, -1);
        if (strlen(list[i]) != lua_rawlen(L, -1))
            luaL_error(L, "field '%s': an item has a NUL byte", key);
        lua_pop(L, 1); /* the list still holds it */
    }
    list[count] = NULL;
    lua_insert(L, from);
    lua_setiuservalue(L, from, 1); /* the list keeps the strings, the userdata the list */
    return list;
}

char **bind_opt_list(lua_State *L, int table, const char *key)
{
    if (!field(L, table, key, LUA_TTABLE))
        return NULL;
    int from = lua_gettop(L);
    size_t count = lua_rawlen(L, from);
    lua_newtable(L); /* holds numbers as the strings they become */
    for (size_t i = 1; i <= count; i++) {
        lua_rawgeti(L, from, (lua_Integer)i);
        if (lua_type(L, -1) == LUA_TNUMBER)
            lua_tostring(L, -1);
        want(L, key, LUA_TSTRING);
        lua_rawseti(L, from + 1, (lua_Integer)i);
    }
    lua_replace(L, from);
    return strings_of(L, from, key);
}

char **bind_opt_map(lua_State *L, int table, const char *key, const char *separator)
{
    if (!field(L, table, key, LUA_TTABLE))
        return NULL;
    int from = lua_gettop(L);
    lua_newtable(L); /* holds the joined strings */
    lua_Integer count = 0;
    for (lua_pushnil(L); lua_next(L, from); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING || !lua_isstring(L, -1))
            luaL_error(L, "field '%s': keys and values must be strings", key);
        lua_pushvalue(L, -2);
        lua_pushstring(L, separator);
        lua_pushvalue(L, -3);
        lua_concat(L, 3);
        lua_rawseti(L, from + 1, ++count);
    }
    lua_replace(L, from);
    return strings_of(L, from, key);
}

int bind_index(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TUSERDATA);
    lua_getmetatable(L, 1);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, -2) != LUA_TNIL || lua_getiuservalue(L, 1, 1) != LUA_TTABLE)
        return 1;
    lua_pushvalue(L, 2);
    lua_rawget(L, -2);
    return 1;
}

void bind_set_class(lua_State *L, const char *name, const luaL_Reg *methods)
{
    if (luaL_newmetatable(L, name)) {
        lua_pushvalue(L, -1);
        lua_setfield(L, -2, "__index");
        lua_pushlightuserdata(L, bind_engine_of(L));
        lua_pushvalue(L, -2);
        luaL_setfuncs(L, methods, 2);
        lua_pushliteral(L, "locked");
        lua_setfield(L, -2, "__metatable");
    }
    lua_setmetatable(L, -2);
}

void **bind_new_handle(lua_State *L, const char *name, const luaL_Reg *methods)
{
    void **handle = lua_newuserdatauv(L, sizeof *handle, 1);
    *handle = NULL;
    bind_set_class(L, name, methods);
    return handle;
}

/* Whether the first argument is of the class whose method is called: its second upvalue. Else, as
 * in a function that is no method, the class is to be looked up by its name. */
static bool is_own(lua_State *L, int arg)
{
    if (arg != 1 || !lua_getmetatable(L, 1))
        return false;
    bool own = lua_rawequal(L, -1, lua_upvalueindex(2));
    lua_pop(L, 1);
    return own;
}

void *bind_handle(lua_State *L, int arg, const char *name)
{
    if (is_own(L, arg))
        return *(void **)lua_touserdata(L, 1);
    void **handle = luaL_checkudata(L, arg, name);
    return *handle;
}

int bind_closed(lua_State *L)
{
    lua_pushnil(L);
    lua_pushliteral(L, "closed");
    lua_pushliteral(L, "closed");
    return 3;
}
