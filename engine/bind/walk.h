/* walk.h -- walks a Lua value as plain data, in a fixed order: what the JSON and the YAML writer
 * share.
 *
 * Data is nil-free trees of strings, numbers, booleans, json.null, lists and maps with string keys.
 * Anything else (functions, cycles, holes, objects) is refused with the path of the culprit. */
#pragma once
#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

struct err;

/* What a writer does with each piece. All return 0, or -1 to stop (the writer then knows why). */
struct walk_sink {
    int (*text)(void *self, const char *text, size_t len, bool is_key);
    int (*plain)(void *self, const char *text); /* null, true, false, a number */
    int (*open)(void *self, bool is_list, size_t count);
    int (*close)(void *self, bool is_list, size_t count);
    bool allows_infinity;
};

/* Walks the value at `index`, maps sorted by key. Returns -1 with "path: reason" in `err`. */
int walk_value(lua_State *L, int index, const struct walk_sink *sink, void *self, int max_depth,
               struct err *err);

/* json.null: stands for null where Lua's nil would drop the key. */
void walk_push_null(lua_State *L);

/* Marks the table on top of the stack as a list, so that an empty one is written as []. */
void walk_mark_list(lua_State *L);
bool walk_is_list(lua_State *L, int index);

/* A userdata on top of the stack that holds `size` zeroed bytes and calls `clear` on them when it
 * is collected: where a parser or writer lives while Lua may raise. */
void *walk_push_scratch(lua_State *L, size_t size, void (*clear)(void *self));
