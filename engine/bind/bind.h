/* bind.h -- what every Lua namespace needs: the engine, errors, option tables, handles. */
#pragma once
#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

struct engine;
struct err;

/* The engine of a bound function (its upvalue 1). */
struct engine *bind_engine(lua_State *L);

/* The engine of any thread of a state, for hooks; NULL if the state has none. */
struct engine *bind_engine_of(lua_State *L);
void bind_set_engine(lua_State *L, struct engine *e);

/* Pushes nil, message, code and clears `err`. Returns 3: `return bind_fail(L, &err);`. */
int bind_fail(lua_State *L, struct err *err);

/* The same for an error of somebody else's. */
int bind_push_err(lua_State *L, const struct err *err);

/* Seconds (as Lua gives them) to milliseconds (as the loop wants them), rounded up. */
uint64_t bind_ms(lua_Number seconds);

/* Makes sure of a table at `arg`, the last argument: an absent one becomes an empty one. */
void bind_opt_table(lua_State *L, int arg);

/* Fields of the option table at `table` (absolute index). Each raises an error that names the key
 * if the value has the wrong type. Strings stay valid while the table holds them; no value is left
 * on the stack. */
const char *bind_opt_string(lua_State *L, int table, const char *key, const char *otherwise);
const char *bind_need_string(lua_State *L, int table, const char *key);
const char *bind_opt_bytes(lua_State *L, int table, const char *key, size_t *ret_len);
lua_Number bind_opt_number(lua_State *L, int table, const char *key, lua_Number otherwise);
lua_Integer bind_opt_integer(lua_State *L, int table, const char *key, lua_Integer min,
                             lua_Integer max, lua_Integer otherwise);
bool bind_opt_boolean(lua_State *L, int table, const char *key, bool otherwise);
/* Seconds in the table, milliseconds returned; 0 to 1e9 s. */
uint64_t bind_opt_seconds(lua_State *L, int table, const char *key, lua_Number otherwise);

/* A list of strings as a NULL-terminated array; or a table {K = V} as "K=V" strings (sorted by
 * nothing). The array lives in a userdata that is left on the stack, so an error frees it. NULL
 * (and a nil left on the stack) if the field is absent. */
char **bind_opt_list(lua_State *L, int table, const char *key);
char **bind_opt_map(lua_State *L, int table, const char *key, const char *separator);

/* Gives the userdata on top of the stack the class `name`: a metatable with `methods` (made at
 * first use; __index is itself unless `methods` has one, every method has the engine as upvalue
 * 1). */
void bind_set_class(lua_State *L, const char *name, const luaL_Reg *methods);

/* An __index for `methods`: the methods, then the fields of the table in user value 1. */
int bind_index(lua_State *L);

/* A handle: a userdata that holds one pointer, NULL at first. Pushes it; acquire into *result
 * after. When the C side dies it writes NULL there. */
void **bind_new_handle(lua_State *L, const char *name, const luaL_Reg *methods);

/* The pointer in the handle at `arg`; raises if it is not of class `name`. NULL if it was closed:
 * `return bind_closed(L)` then gives nil, "closed", "closed". */
void *bind_handle(lua_State *L, int arg, const char *name);
int bind_closed(lua_State *L);
