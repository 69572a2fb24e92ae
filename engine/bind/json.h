/* json.h -- JSON values of jansson as Lua values. */
#pragma once
#include <jansson.h>
#include <lua.h>

struct buf;
struct err;

/* Pushes `value` (borrowed). Returns -1 with `err` set and nothing pushed if it is nested deeper
 * than `max_depth`. */
int json_push(lua_State *L, const json_t *value, int max_depth, struct err *err);

/* Writes the Lua value at `index` as JSON text. `indent` 0 writes one line. The buffer is scratch
 * that stays on top of the stack while the text is in use. NULL (nothing pushed) with `err` set. */
const struct buf *json_write(lua_State *L, int index, int indent, struct err *err);
