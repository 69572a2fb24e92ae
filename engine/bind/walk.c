#include "bind/walk.h"

#include <lauxlib.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/err.h"

static const char list_key; /* registry: the metatable of marked lists */
static const char null_key; /* its address is json.null */

/* Where the walk is, for messages. Lives on the C stack. */
struct place {
    const struct place *outer;
    const char *key; /* NULL: in a list, at `index` */
    lua_Integer index;
    int depth;
};

struct walk {
    lua_State *L;
    const struct walk_sink *sink;
    void *self;
    int max_depth;
    struct err *err;
};

#define FEW_KEYS 32 /* sorted on the stack */

struct map_key {
    const char *text; /* borrowed from the table */
    size_t len;
};

static int walk_at(struct walk *w, int index, const struct place *place);

/* ---- marks ---- */

void walk_push_null(lua_State *L) { lua_pushlightuserdata(L, (void *)&null_key); }

static void push_list_class(lua_State *L)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &list_key) != LUA_TNIL)
        return;
    lua_pop(L, 1);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "json.array");
    lua_setfield(L, -2, "__name");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &list_key);
}

void walk_mark_list(lua_State *L)
{
    push_list_class(L);
    lua_setmetatable(L, -2);
}

bool walk_is_list(lua_State *L, int index)
{
    if (!lua_getmetatable(L, index))
        return false;
    push_list_class(L);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

struct scratch {
    void (*clear)(void *self);
    max_align_t bytes[];
};

static int l_scratch_gc(lua_State *L)
{
    struct scratch *s = lua_touserdata(L, 1);
    if (s->clear)
        s->clear(s->bytes);
    s->clear = NULL;
    return 0;
}

void *walk_push_scratch(lua_State *L, size_t size, void (*clear)(void *self))
{
    struct scratch *s = lua_newuserdatauv(L, sizeof *s + size, 0);
    memset(s, 0, sizeof *s + size);
    if (luaL_newmetatable(L, "orrery.scratch")) {
        lua_pushcfunction(L, l_scratch_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    s->clear = clear;
    return s->bytes;
}

/* ---- messages ---- */

static void put_place(struct buf *b, const struct place *place)
{
    if (!place->outer)
        return;
    put_place(b, place->outer);
    if (!place->key)
        buf_printf(b, "[%lld]", (long long)place->index);
    else
        buf_printf(b, b->len ? ".%.60s" : "%.60s", place->key);
}

static int refuse(struct walk *w, const struct place *place, const char *reason)
{
    struct buf b = {0};
    put_place(&b, place);
    err_set(w->err, "invalid", "%s%s%s", b.len ? b.data : "", b.len ? ": " : "", reason);
    buf_free(&b);
    return -1;
}

static int refuse_type(struct walk *w, int index, const struct place *place)
{
    char reason[80];
    snprintf(reason, sizeof reason, "a %s is not data", luaL_typename(w->L, index));
    return refuse(w, place, reason);
}

/* ---- scalars ---- */

/* The shortest text that reads back as the same number, always with a mark of being a float. */
static void format_float(char *out, size_t size, lua_Number number)
{
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(out, size, "%.*g", digits, number);
        if (strtod(out, NULL) == number)
            break;
    }
    if (!strpbrk(out, ".eEn"))
        strncat(out, ".0", size - strlen(out) - 1);
}

static int walk_number(struct walk *w, int index, const struct place *place)
{
    char text[64];
    if (lua_isinteger(w->L, index)) {
        snprintf(text, sizeof text, "%lld", (long long)lua_tointeger(w->L, index));
        return w->sink->plain(w->self, text);
    }
    lua_Number number = lua_tonumber(w->L, index);
    if (isfinite(number)) {
        format_float(text, sizeof text, number);
        return w->sink->plain(w->self, text);
    }
    if (!w->sink->allows_infinity)
        return refuse(w, place, "a number that is not finite");
    return w->sink->plain(w->self, isnan(number) ? ".nan" : number > 0 ? ".inf" : "-.inf");
}

static int walk_string(struct walk *w, int index, bool is_key, const struct place *place)
{
    size_t len;
    const char *text = lua_tolstring(w->L, index, &len);
    if (w->sink->text(w->self, text, len, is_key) < 0)
        return refuse(w, place,
                      is_key ? "a key that is not valid UTF-8, or has a NUL byte"
                             : "a string that is not valid UTF-8");
    return 0;
}

/* ---- tables ---- */

static int compare_keys(const void *left, const void *right)
{
    const struct map_key *a = left, *b = right;
    int order = memcmp(a->text, b->text, a->len < b->len ? a->len : b->len);
    return order ? order : (a->len > b->len) - (a->len < b->len);
}

static int walk_list(struct walk *w, int index, size_t count, const struct place *place)
{
    if (w->sink->open(w->self, true, count) < 0)
        return -1;
    for (size_t i = 1; i <= count; i++) {
        struct place item = {place, NULL, (lua_Integer)i, place->depth + 1};
        lua_rawgeti(w->L, index, (lua_Integer)i);
        if (walk_at(w, lua_gettop(w->L), &item) < 0)
            return -1;
        lua_pop(w->L, 1);
    }
    return w->sink->close(w->self, true, count);
}

static int walk_entry(struct walk *w, int index, const struct map_key *key,
                      const struct place *place)
{
    struct place item = {place, key->text, 0, place->depth + 1};
    lua_pushlstring(w->L, key->text, key->len);
    if (walk_string(w, -1, true, place) < 0)
        return -1;
    lua_rawget(w->L, index);
    if (walk_at(w, lua_gettop(w->L), &item) < 0)
        return -1;
    lua_pop(w->L, 1);
    return 0;
}

static int walk_map(struct walk *w, int index, size_t count, const struct place *place)
{
    struct map_key few[FEW_KEYS], *keys = few;
    int before = lua_gettop(w->L);
    size_t i = 0;
    if (count > FEW_KEYS)
        keys = lua_newuserdatauv(w->L, count * sizeof *keys, 0);
    for (lua_pushnil(w->L); lua_next(w->L, index); lua_pop(w->L, 1)) {
        keys[i].text = lua_tolstring(w->L, -2, &keys[i].len);
        i++;
    }
    qsort(keys, count, sizeof *keys, compare_keys);
    if (w->sink->open(w->self, false, count) < 0)
        return -1;
    for (i = 0; i < count; i++)
        if (walk_entry(w, index, &keys[i], place) < 0)
            return -1;
    lua_settop(w->L, before);
    return w->sink->close(w->self, false, count);
}

/* What the keys of a table are: enough to tell a list from a map from neither. */
struct keys {
    size_t texts, indexes;
    lua_Integer highest;
    bool other;
};

static struct keys count_keys(lua_State *L, int index)
{
    struct keys k = {0};
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        if (lua_type(L, -2) == LUA_TSTRING) {
            k.texts++;
        } else if (lua_isinteger(L, -2) && lua_tointeger(L, -2) > 0) {
            k.indexes++;
            if (lua_tointeger(L, -2) > k.highest)
                k.highest = lua_tointeger(L, -2);
        } else {
            k.other = true;
        }
    }
    return k;
}

static bool is_object(lua_State *L, int index)
{
    if (luaL_getmetafield(L, index, "__tostring") == LUA_TNIL)
        return false;
    lua_pop(L, 1);
    return true;
}

static int walk_table(struct walk *w, int index, const struct place *place)
{
    if (place->depth >= w->max_depth)
        return refuse(w, place, "nested too deeply (or it contains itself)");
    if (is_object(w->L, index))
        return refuse(w, place, "an object (such as a secret) is not data");
    luaL_checkstack(w->L, 8, "data nested too deeply");
    struct keys k = count_keys(w->L, index);
    bool marked = walk_is_list(w->L, index);
    if (k.other)
        return refuse(w, place, "its keys are neither strings nor 1, 2, 3 ...");
    if (k.texts && (k.indexes || marked))
        return refuse(w, place, "both a list and a map");
    if (k.indexes != (size_t)k.highest)
        return refuse(w, place, "a list with holes");
    if (k.indexes || marked)
        return walk_list(w, index, k.indexes, place);
    return walk_map(w, index, k.texts, place);
}

static bool is_null(lua_State *L, int index)
{
    return lua_type(L, index) == LUA_TLIGHTUSERDATA && lua_touserdata(L, index) == &null_key;
}

static int walk_at(struct walk *w, int index, const struct place *place)
{
    switch (lua_type(w->L, index)) {
    case LUA_TSTRING:
        return walk_string(w, index, false, place);
    case LUA_TNUMBER:
        return walk_number(w, index, place);
    case LUA_TBOOLEAN:
        return w->sink->plain(w->self, lua_toboolean(w->L, index) ? "true" : "false");
    case LUA_TTABLE:
        return walk_table(w, index, place);
    default:
        if (is_null(w->L, index))
            return w->sink->plain(w->self, "null");
        return refuse_type(w, index, place);
    }
}

int walk_value(lua_State *L, int index, const struct walk_sink *sink, void *self, int max_depth,
               struct err *err)
{
    struct walk w = {L, sink, self, max_depth, err};
    struct place top = {0};
    int before = lua_gettop(L);
    int result = walk_at(&w, lua_absindex(L, index), &top);
    lua_settop(L, before);
    if (result < 0 && err && !err->code)
        err_set(err, "invalid", "the text would be longer than 64 MiB");
    return result;
}
