/* yaml.c -- orrery.yaml: YAML text and Lua values. Documented in lua/meta/yaml.lua.
 *
 * Lists and maps become tables as the events come; nothing is built between. */
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

#include "bind/bind.h"
#include "bind/libs.h"
#include "bind/walk.h"
#include "core/buf.h"
#include "core/err.h"
#include "core/yaml_scalar.h"

#define MAX_DEPTH 64
#define MAX_TEXT (16u << 20)
#define MAX_OUTPUT (64u << 20)
#define MAX_NODES 500000 /* aliases count with all that they stand for */

/* ---- reading ---- */

/* Anchors are two Lua tables by name: at `anchors` the values, at `sizes` their node counts. */
struct reader {
    lua_State *L;
    yaml_parser_t parser;
    yaml_event_t event; /* the current one */
    bool has_event;
    int anchors, sizes;
    int nodes;
    struct err *err;
};

static int read_node(struct reader *r, int depth);

static void reader_clear(void *self)
{
    struct reader *r = self;
    if (r->has_event)
        yaml_event_delete(&r->event);
    yaml_parser_delete(&r->parser);
}

static int fail_at(struct reader *r, yaml_mark_t mark, const char *reason)
{
    return err_set(r->err, "invalid", "%zu:%zu: %s", mark.line + 1, mark.column + 1, reason);
}

static int fail(struct reader *r, const char *reason)
{
    return fail_at(r, r->event.start_mark, reason);
}

static int next_event(struct reader *r)
{
    if (r->has_event)
        yaml_event_delete(&r->event);
    r->has_event = yaml_parser_parse(&r->parser, &r->event);
    if (r->has_event)
        return 0;
    const yaml_parser_t *p = &r->parser;
    const char *problem = p->problem ? p->problem : "cannot be read";
    if (p->error == YAML_READER_ERROR)
        return err_set(r->err, "invalid", "1:1: %s, at byte %zu", problem, p->problem_offset);
    return fail_at(r, p->problem_mark, problem);
}

static int count_nodes(struct reader *r, int more)
{
    if (more > MAX_NODES - r->nodes)
        return fail(r, "more than 500000 values, counting what aliases stand for");
    r->nodes += more;
    return 0;
}

static int push_resolved(struct reader *r, const struct yaml_scalar *scalar, const char *text,
                         size_t len)
{
    switch (scalar->kind) {
    case YAML_IS_TOO_BIG:
        return fail(r, "a whole number of more than 64 bits; quote it to keep it as a string");
    case YAML_IS_NULL:
        walk_push_null(r->L);
        return 0;
    case YAML_IS_INTEGER:
        lua_pushinteger(r->L, scalar->integer);
        return 0;
    case YAML_IS_FLOAT:
        lua_pushnumber(r->L, scalar->number);
        return 0;
    case YAML_IS_STRING:
        lua_pushlstring(r->L, text, len);
        return 0;
    default:
        lua_pushboolean(r->L, scalar->kind == YAML_IS_TRUE);
        return 0;
    }
}

/* Whether a value of this kind may bear this tag (of the core schema, without its prefix). */
static bool tag_fits(const char *tag, enum yaml_kind kind)
{
    return (!strcmp(tag, "int") && kind == YAML_IS_INTEGER) ||
           (!strcmp(tag, "float") && (kind == YAML_IS_FLOAT || kind == YAML_IS_INTEGER)) ||
           (!strcmp(tag, "null") && kind == YAML_IS_NULL) ||
           (!strcmp(tag, "bool") && (kind == YAML_IS_TRUE || kind == YAML_IS_FALSE));
}

static const char *core_tag(const char *tag)
{
    static const char prefix[] = "tag:yaml.org,2002:";
    return strncmp(tag, prefix, sizeof prefix - 1) == 0 ? tag + sizeof prefix - 1 : NULL;
}

static int push_scalar(struct reader *r)
{
    const char *tag = (const char *)r->event.data.scalar.tag;
    const char *text = (const char *)r->event.data.scalar.value;
    size_t len = r->event.data.scalar.length;
    bool plain = r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    struct yaml_scalar scalar = {.kind = YAML_IS_STRING};
    const char *core = tag ? core_tag(tag) : NULL;
    bool string = tag && (!strcmp(tag, "!") || (core && !strcmp(core, "str")));
    if (tag && !string && !core)
        return fail(
            r, "a tag that is not supported (only !!str !!int !!float !!bool !!null !!map !!seq)");
    if (tag ? !string : plain)
        scalar = yaml_resolve(text);
    if (core && !string && !tag_fits(core, scalar.kind))
        return fail(r, "the value does not fit its tag, or the tag is not supported");
    if (core && !strcmp(core, "float") && scalar.kind == YAML_IS_INTEGER)
        scalar = (struct yaml_scalar){.kind = YAML_IS_FLOAT, .number = (lua_Number)scalar.integer};
    return push_resolved(r, &scalar, text, len);
}

/* A collection's tag says nothing that its syntax does not. */
static int check_tag(struct reader *r, const yaml_char_t *tag, const char *expected)
{
    const char *core = tag ? core_tag((const char *)tag) : expected;
    if (core && strcmp(core, expected) == 0)
        return 0;
    return fail(r, "a tag that is not supported here");
}

static int read_list(struct reader *r, int depth)
{
    lua_newtable(r->L);
    walk_mark_list(r->L);
    for (lua_Integer i = 1;; i++) {
        if (next_event(r) < 0)
            return -1;
        if (r->event.type == YAML_SEQUENCE_END_EVENT)
            return 0;
        if (read_node(r, depth + 1) < 0)
            return -1;
        lua_rawseti(r->L, -2, i);
    }
}

/* Pushes the key that the current event is: always the text of a scalar. */
static int read_key(struct reader *r)
{
    if (r->event.type != YAML_SCALAR_EVENT)
        return fail(r, "a key must be a plain word or a string");
    const char *text = (const char *)r->event.data.scalar.value;
    size_t len = r->event.data.scalar.length;
    bool plain = r->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (r->event.data.scalar.anchor || r->event.data.scalar.tag)
        return fail(r, "a key may have no anchor and no tag");
    if (plain && strcmp(text, "<<") == 0)
        return fail(r, "merge keys (<<) are not part of YAML 1.2: write the keys out");
    if (plain && len == 0)
        return fail(r, "an empty key");
    if (memchr(text, '\0', len))
        return fail(r, "a key has a NUL byte");
    lua_pushlstring(r->L, text, len);
    lua_pushvalue(r->L, -1);
    if (lua_rawget(r->L, -3) != LUA_TNIL) {
        lua_pushfstring(r->L, "the key \"%s\" is there twice", lua_tostring(r->L, -2));
        return fail(r, lua_tostring(r->L, -1));
    }
    lua_pop(r->L, 1);
    return 0;
}

static int read_map(struct reader *r, int depth)
{
    lua_newtable(r->L);
    for (;;) {
        if (next_event(r) < 0)
            return -1;
        if (r->event.type == YAML_MAPPING_END_EVENT)
            return 0;
        if (read_key(r) < 0 || next_event(r) < 0 || read_node(r, depth + 1) < 0)
            return -1;
        lua_rawset(r->L, -3);
    }
}

/* Pushes a copy, so that a script that changes one use of an anchor changes no other. */
static void push_copy(lua_State *L, int from)
{
    luaL_checkstack(L, 6, "YAML nested too deeply");
    if (!lua_istable(L, from)) {
        lua_pushvalue(L, from);
        return;
    }
    lua_newtable(L);
    if (walk_is_list(L, from))
        walk_mark_list(L);
    int copy = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, from);) {
        lua_pushvalue(L, -2);
        push_copy(L, copy + 2);
        lua_rawset(L, copy);
        lua_pop(L, 1);
    }
}

/* How deep the value at `index` goes; ends by the depth bound that it was read with. */
static int height(lua_State *L, int index)
{
    int highest = 0;
    luaL_checkstack(L, 4, "YAML nested too deeply");
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        int below = lua_istable(L, -1) ? height(L, lua_gettop(L)) : 0;
        if (below > highest)
            highest = below;
    }
    return highest + 1;
}

static int read_alias(struct reader *r, int depth)
{
    const char *name = (const char *)r->event.data.alias.anchor;
    lua_getfield(r->L, r->sizes, name);
    int size = (int)lua_tointeger(r->L, -1);
    lua_pop(r->L, 1);
    if (!size)
        return fail(r, "an alias to an anchor that is not defined before it (or that contains it)");
    if (count_nodes(r, size) < 0)
        return -1;
    lua_getfield(r->L, r->anchors, name);
    int value = lua_gettop(r->L);
    if (lua_istable(r->L, value) && depth + height(r->L, value) > MAX_DEPTH)
        return fail(r, "nested more than 64 deep");
    push_copy(r->L, value);
    lua_remove(r->L, value);
    return 0;
}

static int remember(struct reader *r, const char *anchor, int size)
{
    lua_pushvalue(r->L, -1);
    lua_setfield(r->L, r->anchors, anchor);
    lua_pushinteger(r->L, size);
    lua_setfield(r->L, r->sizes, anchor);
    return 0;
}

static int read_value(struct reader *r, int depth)
{
    switch (r->event.type) {
    case YAML_SCALAR_EVENT:
        return push_scalar(r);
    case YAML_SEQUENCE_START_EVENT:
        if (check_tag(r, r->event.data.sequence_start.tag, "seq") < 0)
            return -1;
        return read_list(r, depth);
    case YAML_MAPPING_START_EVENT:
        if (check_tag(r, r->event.data.mapping_start.tag, "map") < 0)
            return -1;
        return read_map(r, depth);
    default:
        return fail(r, "a value is missing");
    }
}

static const yaml_char_t *anchor_of(const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        return event->data.scalar.anchor;
    case YAML_SEQUENCE_START_EVENT:
        return event->data.sequence_start.anchor;
    case YAML_MAPPING_START_EVENT:
        return event->data.mapping_start.anchor;
    default:
        return NULL;
    }
}

/* Pushes the node that starts with the current event. */
static int read_node(struct reader *r, int depth)
{
    bool nested =
        r->event.type == YAML_SEQUENCE_START_EVENT || r->event.type == YAML_MAPPING_START_EVENT;
    luaL_checkstack(r->L, 10, "YAML nested too deeply");
    if (nested && depth >= MAX_DEPTH)
        return fail(r, "nested more than 64 deep");
    if (r->event.type == YAML_ALIAS_EVENT)
        return read_alias(r, depth);
    const yaml_char_t *anchor = anchor_of(&r->event);
    if (!anchor)
        return count_nodes(r, 1) < 0 ? -1 : read_value(r, depth);
    lua_pushstring(r->L, (const char *)anchor); /* the event is gone when the value is complete */
    int name = lua_gettop(r->L), before = r->nodes;
    if (count_nodes(r, 1) < 0 || read_value(r, depth) < 0)
        return -1;
    remember(r, lua_tostring(r->L, name), r->nodes - before);
    lua_remove(r->L, name);
    return 0;
}

static int read_document(struct reader *r)
{
    if (next_event(r) < 0 || next_event(r) < 0) /* the stream's start, the document's */
        return -1;
    if (r->event.type == YAML_STREAM_END_EVENT) {
        walk_push_null(r->L);
        return 0;
    }
    if (next_event(r) < 0 || read_node(r, 0) < 0)
        return -1;
    if (next_event(r) < 0 || next_event(r) < 0) /* the document's end, the stream's */
        return -1;
    if (r->event.type != YAML_STREAM_END_EVENT)
        return fail(r, "a second document; only one is read");
    return 0;
}

static int l_decode(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    struct err err = {0};
    if (len > MAX_TEXT) {
        err_set(&err, "invalid", "longer than 16 MiB");
        return bind_fail(L, &err);
    }
    struct reader *r = walk_push_scratch(L, sizeof *r, reader_clear);
    *r = (struct reader){.L = L, .err = &err};
    lua_newtable(L);
    r->anchors = lua_gettop(L);
    lua_newtable(L);
    r->sizes = lua_gettop(L);
    yaml_parser_initialize(&r->parser);
    yaml_parser_set_encoding(&r->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&r->parser, (const yaml_char_t *)text, len);
    if (read_document(r) < 0)
        return bind_fail(L, &err);
    return 1;
}

/* ---- writing ---- */

struct writer {
    yaml_emitter_t emitter;
    struct buf out;
};

static void writer_clear(void *self)
{
    struct writer *w = self;
    yaml_emitter_delete(&w->emitter);
    buf_free(&w->out);
}

static int append(void *out, unsigned char *bytes, size_t len)
{
    struct buf *b = out;
    buf_append(b, bytes, len);
    return b->len <= MAX_OUTPUT;
}

static int emit(struct writer *w, yaml_event_t *event)
{
    return yaml_emitter_emit(&w->emitter, event) ? 0 : -1;
}

/* Words and numbers of YAML 1.1, which other readers would not take as strings. */
static bool misread_elsewhere(const char *text)
{
    static const char *const words[] = {"y",    "n",    "yes",   "no", "on", "off",
                                        "null", "true", "false", "<<", "=",  NULL};
    for (const char *const *word = words; *word; word++)
        if (strcasecmp(text, *word) == 0)
            return true;
    return *text && strchr("0123456789+-.", *text);
}

static int write_scalar(struct writer *w, const char *text, size_t len, bool is_string)
{
    yaml_event_t event;
    bool ambiguous =
        is_string && (yaml_resolve(text).kind != YAML_IS_STRING || misread_elsewhere(text));
    yaml_scalar_style_t style = is_string && (ambiguous || text[strcspn(text, "\n\r\t")])
                                    ? YAML_DOUBLE_QUOTED_SCALAR_STYLE
                                    : YAML_ANY_SCALAR_STYLE;
    if (!yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)text, (int)len,
                                      !ambiguous, is_string, style))
        return -1;
    return emit(w, &event);
}

static int write_text(void *self, const char *text, size_t len, bool is_key)
{
    if (len > MAX_TEXT || (is_key && memchr(text, '\0', len)))
        return -1;
    return write_scalar(self, text, len, true);
}

static int write_plain(void *self, const char *text)
{
    return write_scalar(self, text, strlen(text), false);
}

static int write_open(void *self, bool is_list, size_t count)
{
    yaml_event_t event;
    if (is_list)
        yaml_sequence_start_event_initialize(
            &event, NULL, NULL, 1, count ? YAML_BLOCK_SEQUENCE_STYLE : YAML_FLOW_SEQUENCE_STYLE);
    else
        yaml_mapping_start_event_initialize(
            &event, NULL, NULL, 1, count ? YAML_BLOCK_MAPPING_STYLE : YAML_FLOW_MAPPING_STYLE);
    return emit(self, &event);
}

static int write_close(void *self, bool is_list, size_t count)
{
    yaml_event_t event;
    (void)count;
    if (is_list)
        yaml_sequence_end_event_initialize(&event);
    else
        yaml_mapping_end_event_initialize(&event);
    return emit(self, &event);
}

static const struct walk_sink sink = {.text = write_text,
                                      .plain = write_plain,
                                      .open = write_open,
                                      .close = write_close,
                                      .allows_infinity = true};

static void writer_open(struct writer *w)
{
    yaml_event_t event;
    yaml_emitter_initialize(&w->emitter);
    yaml_emitter_set_output(&w->emitter, append, &w->out);
    yaml_emitter_set_unicode(&w->emitter, 1);
    yaml_emitter_set_width(&w->emitter, -1);
    yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING);
    emit(w, &event);
    yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1);
    emit(w, &event);
}

static void writer_finish(struct writer *w)
{
    yaml_event_t event;
    yaml_document_end_event_initialize(&event, 1);
    emit(w, &event);
    yaml_stream_end_event_initialize(&event);
    emit(w, &event);
}

static int l_encode(lua_State *L)
{
    luaL_checkany(L, 1);
    struct err err = {0};
    struct writer *w = walk_push_scratch(L, sizeof *w, writer_clear);
    writer_open(w);
    if (walk_value(L, 1, &sink, w, MAX_DEPTH, &err) < 0)
        return bind_fail(L, &err);
    writer_finish(w);
    lua_pushlstring(L, w->out.data, w->out.len);
    return 1;
}

const luaL_Reg bind_yaml[] = {{"decode", l_decode}, {"encode", l_encode}, {NULL, NULL}};
