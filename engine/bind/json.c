/* json.c -- orrery.json: JSON text and Lua values. Documented in lua/meta/json.lua. */
#include "bind/json.h"

#include <lauxlib.h>
#include <string.h>

#include "bind/bind.h"
#include "bind/libs.h"
#include "bind/walk.h"
#include "core/buf.h"
#include "core/err.h"
#include "core/quote.h"
#include "core/utf8.h"

#define MAX_DEPTH 64
#define MAX_TEXT (16u << 20)
#define MAX_OUTPUT (64u << 20)

/* ---- reading ---- */

static int push_at(lua_State *L, const json_t *value, int depth, struct err *err);

static int push_list(lua_State *L, const json_t *list, int depth, struct err *err)
{
    size_t count = json_array_size(list);
    lua_createtable(L, (int)count, 0);
    walk_mark_list(L);
    for (size_t i = 0; i < count; i++) {
        if (push_at(L, json_array_get(list, i), depth - 1, err) < 0)
            return -1;
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 0;
}

static int push_map(lua_State *L, const json_t *map, int depth, struct err *err)
{
    const char *key;
    json_t *value;
    lua_createtable(L, 0, (int)json_object_size(map));
    json_object_foreach((json_t *)map, key, value)
    {
        lua_pushstring(L, key);
        if (push_at(L, value, depth - 1, err) < 0)
            return -1;
        lua_rawset(L, -3);
    }
    return 0;
}

static void push_scalar(lua_State *L, const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_STRING:
        lua_pushlstring(L, json_string_value(value), json_string_length(value));
        break;
    case JSON_INTEGER:
        lua_pushinteger(L, json_integer_value(value));
        break;
    case JSON_REAL:
        lua_pushnumber(L, json_real_value(value));
        break;
    case JSON_NULL:
        walk_push_null(L);
        break;
    default:
        lua_pushboolean(L, json_is_true(value));
    }
}

static int push_at(lua_State *L, const json_t *value, int depth, struct err *err)
{
    bool nested = json_is_array(value) || json_is_object(value);
    if (nested && depth == 0)
        return err_set(err, "invalid", "nested too deeply");
    luaL_checkstack(L, 6, "JSON nested too deeply");
    if (json_is_array(value))
        return push_list(L, value, depth, err);
    if (json_is_object(value))
        return push_map(L, value, depth, err);
    push_scalar(L, value);
    return 0;
}

int json_push(lua_State *L, const json_t *value, int max_depth, struct err *err)
{
    int before = lua_gettop(L);
    if (push_at(L, value, max_depth, err) == 0)
        return 0;
    lua_settop(L, before);
    return -1;
}

/* jansson quotes the text "near" the fault, which may be a secret: only a key is kept. */
static int parse_error(struct err *err, json_error_t *fault)
{
    char *near = strstr(fault->text, " near '");
    if (near && json_error_code(fault) != json_error_duplicate_key)
        *near = '\0';
    return err_set(err, "invalid", "%d:%d: %s", fault->line, fault->column, fault->text);
}

static void drop_json(void *self) { json_decref(*(json_t **)self); }

static int l_decode(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    int max_depth = MAX_DEPTH;
    if (!lua_isnoneornil(L, 2)) {
        luaL_checktype(L, 2, LUA_TTABLE);
        max_depth = (int)bind_opt_integer(L, 2, "max_depth", 1, 1000, MAX_DEPTH);
    }
    struct err err = {0};
    if (len > MAX_TEXT) {
        err_set(&err, "invalid", "longer than 16 MiB");
        return bind_fail(L, &err);
    }
    json_t **root = walk_push_scratch(L, sizeof *root, drop_json);
    json_error_t fault;
    *root =
        json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &fault);
    if (!*root)
        parse_error(&err, &fault);
    if (err.code || json_push(L, *root, max_depth, &err) < 0)
        return bind_fail(L, &err);
    json_decref(*root); /* not left to the collector, which cannot see its size */
    *root = NULL;
    return 1;
}

/* ---- writing ---- */

struct writer {
    struct buf out;
    int indent, depth;
    bool first, after_key;
    bool lossy; /* wrong bytes become U+FFFD */
};

static void writer_clear(void *self) { buf_free(&((struct writer *)self)->out); }

static void new_line(struct writer *w)
{
    if (!w->indent)
        return;
    buf_puts(&w->out, "\n");
    for (int i = 0; i < w->indent * w->depth; i++)
        buf_puts(&w->out, " ");
}

/* What goes between the previous piece and the next one. */
static void separate(struct writer *w)
{
    if (!w->after_key && w->depth) {
        if (!w->first)
            buf_puts(&w->out, ",");
        new_line(w);
    }
    w->first = w->after_key = false;
}

static int bounded(const struct writer *w) { return w->out.len <= MAX_OUTPUT ? 0 : -1; }

/* The text with each byte that is not UTF-8 replaced. */
static void mend(struct buf *b, const char *text, size_t len)
{
    buf_append(b, "", 0);
    while (len) {
        size_t good = utf8_prefix(text, len);
        buf_append(b, text, good);
        if (good < len) {
            buf_puts(b, "\xef\xbf\xbd");
            good++;
        }
        text += good;
        len -= good;
    }
}

/* Appends the text in quotes; returns -1 if it is not UTF-8. */
static int append_quoted(struct buf *out, const char *text, size_t len)
{
    const char *why = NULL;
    size_t size = quote_json.measure(text, len, &why);
    if (why)
        return -1;
    quote_json.write(text, len, buf_reserve(out, size));
    return 0;
}

static int append_mended(struct buf *out, const char *text, size_t len)
{
    struct buf mended = {0};
    mend(&mended, text, len);
    int result = append_quoted(out, mended.data, mended.len);
    buf_free(&mended);
    return result;
}

static int write_text(void *self, const char *text, size_t len, bool is_key)
{
    struct writer *w = self;
    if (is_key && memchr(text, '\0', len))
        return -1;
    separate(w);
    if (append_quoted(&w->out, text, len) < 0 &&
        (!w->lossy || append_mended(&w->out, text, len) < 0))
        return -1;
    if (is_key)
        buf_puts(&w->out, w->indent ? ": " : ":");
    w->after_key = is_key;
    return 0;
}

static int write_plain(void *self, const char *text)
{
    struct writer *w = self;
    separate(w);
    buf_puts(&w->out, text);
    return bounded(w);
}

static int write_open(void *self, bool is_list, size_t count)
{
    struct writer *w = self;
    (void)count;
    separate(w);
    buf_puts(&w->out, is_list ? "[" : "{");
    w->depth++;
    w->first = true;
    return bounded(w);
}

static int write_close(void *self, bool is_list, size_t count)
{
    struct writer *w = self;
    w->depth--;
    if (count)
        new_line(w);
    buf_puts(&w->out, is_list ? "]" : "}");
    w->first = false;
    return bounded(w);
}

static const struct walk_sink sink = {
    .text = write_text, .plain = write_plain, .open = write_open, .close = write_close};

static const struct buf *write_value(lua_State *L, int index, int indent, bool lossy,
                                     struct err *err)
{
    index = lua_absindex(L, index);
    struct writer *w = walk_push_scratch(L, sizeof *w, writer_clear);
    w->indent = indent;
    w->lossy = lossy;
    if (walk_value(L, index, &sink, w, MAX_DEPTH, err) < 0) {
        lua_pop(L, 1);
        return NULL;
    }
    return &w->out;
}

const struct buf *json_write(lua_State *L, int index, int indent, struct err *err)
{
    return write_value(L, index, indent, false, err);
}

static int l_encode(lua_State *L)
{
    luaL_checkany(L, 1);
    bind_opt_table(L, 2);
    int indent = (int)bind_opt_integer(L, 2, "indent", 0, 8, 0);
    bool lossy = bind_opt_boolean(L, 2, "lossy", false);
    struct err err = {0};
    const struct buf *text = write_value(L, 1, indent, lossy, &err);
    if (!text)
        return bind_fail(L, &err);
    lua_pushlstring(L, text->data, text->len);
    buf_free((struct buf *)text);
    return 1;
}

static int l_array(lua_State *L)
{
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    luaL_argcheck(L, walk_is_list(L, 1) || !lua_getmetatable(L, 1), 1, "has a metatable already");
    walk_mark_list(L);
    return 1;
}

static int l_is_array(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_pushboolean(L, lua_istable(L, 1) && walk_is_list(L, 1));
    return 1;
}

const luaL_Reg bind_json[] = {{"decode", l_decode},
                              {"encode", l_encode},
                              {"array", l_array},
                              {"is_array", l_is_array},
                              {NULL, NULL}};
