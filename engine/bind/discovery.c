/* discovery.c -- orrery.discovery: the backends' verbs. Documented in lua/meta/discovery.lua. */
#include <jansson.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"
#include "bind/bind.h"
#include "bind/discovery.h"
#include "bind/json.h"
#include "bind/libs.h"
#include "bind/task.h"
#include "bind/walk.h"
#include "core/buf.h"
#include "core/err.h"
#include "core/instance.h"
#include "core/mem.h"
#include "engine.h"
#include "io/io.h"

#define SKETCH_DEPTH 16

/* One request that a task waits for. Freed when it ends, in whichever of the three ways. */
struct call {
    struct call *next, **prev; /* discovery.calls */
    struct discovery *discovery;
    struct task *task; /* borrowed */
    void *op;          /* borrowed from the backend */
    enum backend_verb verb;
};

static void call_free(struct call *c)
{
    *c->prev = c->next;
    if (c->next)
        c->next->prev = c->prev;
    free(c);
}

static void call_cancel(void *data)
{
    struct call *c = data;
    c->discovery->kind->cancel(c->discovery->self, c->op);
    call_free(c);
}

/* ---- answers ---- */

static void push_instance(lua_State *L, const struct instance *instance)
{
    json_t *json = instance_dump(instance);
    json_push(L, json, 8, NULL);
    json_decref(json);
}

static int push_instances(lua_State *L, const struct backend_answer *answer)
{
    lua_createtable(L, (int)answer->instance_count, 0);
    walk_mark_list(L);
    for (size_t i = 0; i < answer->instance_count; i++) {
        push_instance(L, answer->instances[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_pushstring(L, answer->cursor);
    return 2;
}

static int push_names(lua_State *L, const struct backend_answer *answer)
{
    lua_createtable(L, (int)answer->name_count, 0);
    walk_mark_list(L);
    for (size_t i = 0; i < answer->name_count; i++) {
        lua_pushstring(L, answer->names[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static int push_lock(lua_State *L, const struct backend_answer *answer)
{
    lua_createtable(L, 0, 2);
    lua_pushstring(L, answer->lock);
    lua_setfield(L, -2, "lock");
    lua_pushinteger(L, (lua_Integer)answer->token);
    lua_setfield(L, -2, "token");
    return 1;
}

static int push_value(lua_State *L, const struct backend_answer *answer)
{
    lua_createtable(L, 0, 2);
    if (answer->value) {
        lua_pushlstring(L, answer->value, answer->value_len);
        lua_setfield(L, -2, "value");
    }
    lua_pushinteger(L, (lua_Integer)answer->revision);
    lua_setfield(L, -2, "revision");
    lua_pushstring(L, answer->cursor);
    return 2;
}

static int push_revision(lua_State *L, const struct backend_answer *answer)
{
    lua_pushinteger(L, (lua_Integer)answer->revision);
    return 1;
}

static int push_answer(lua_State *L, enum backend_verb verb, const struct backend_answer *answer)
{
    if (answer->err)
        return bind_push_err(L, answer->err);
    switch (verb) {
    case BACKEND_LOOKUP:
        return push_instances(L, answer);
    case BACKEND_SERVICES:
        return push_names(L, answer);
    case BACKEND_LOCK:
        return push_lock(L, answer);
    case BACKEND_KV_GET:
        return push_value(L, answer);
    case BACKEND_KV_PUT:
        return push_revision(L, answer);
    default:
        lua_pushboolean(L, 1);
        return 1;
    }
}

static void call_done(void *data, const struct backend_answer *answer)
{
    struct call *c = data;
    task_wake(c->task, push_answer(task_stack(c->task), c->verb, answer));
    call_free(c);
}

struct discovery *discovery_of(lua_State *L) { return bind_handle(L, 1, BACKEND_CLASS); }

int discovery_park(lua_State *L, struct task *task, const struct backend_request *request)
{
    struct discovery *d = discovery_of(L);
    if (!d)
        return bind_closed(L);
    struct call *c = xcalloc(1, sizeof *c);
    c->discovery = d;
    c->task = task;
    c->verb = request->verb;
    c->prev = &d->calls;
    c->next = d->calls;
    if (c->next)
        c->next->prev = &c->next;
    d->calls = c;
    c->op = d->kind->start(d->self, request, call_done, c);
    return task_park(task, call_cancel, c);
}

/* ---- the verbs ---- */

static const char *check_name(lua_State *L, int arg)
{
    const char *name = luaL_checkstring(L, arg);
    luaL_argcheck(L, instance_is_name(name), arg,
                  "a service's name is up to 63 letters, digits and . _ - (not first)");
    return name;
}

static const char *check_id(lua_State *L, int arg)
{
    const char *id = luaL_checkstring(L, arg);
    luaL_argcheck(L, instance_is_id(id), arg,
                  "an id is up to 128 letters, digits and . _ - @ : % (not first)");
    return id;
}

lua_Number discovery_opt_seconds(lua_State *L, int arg, lua_Number otherwise, lua_Number max)
{
    lua_Number seconds = luaL_optnumber(L, arg, otherwise);
    luaL_argcheck(L, seconds >= 0 && seconds <= max, arg, "must be a number of seconds");
    return seconds;
}

struct record_scratch {
    json_t *json;
    struct instance *record;
};

static void record_clear(void *self)
{
    struct record_scratch *s = self;
    json_decref(s->json);
    instance_free(s->record);
}

/* Leaves a scratch on the stack that holds the record; NULL with `err` set. */
static const struct instance *read_record(lua_State *L, int arg, struct err *err)
{
    struct record_scratch *s = walk_push_scratch(L, sizeof *s, record_clear);
    const struct buf *text = json_write(L, arg, 0, err);
    if (!text)
        return NULL;
    s->json = json_loadb(text->data, text->len, JSON_ALLOW_NUL, NULL);
    s->record = instance_parse(s->json, NULL, err);
    return s->record;
}

static int l_register(lua_State *L)
{
    struct engine *e = bind_engine(L);
    luaL_checkudata(L, 1, BACKEND_CLASS);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_Number ttl = discovery_opt_seconds(L, 3, 0, MAX_TTL_S);
    bool owned = true;
    if (!lua_isnoneornil(L, 4)) {
        luaL_checktype(L, 4, LUA_TTABLE);
        owned = bind_opt_boolean(L, 4, "owner", true);
    }
    struct task *task = task_self(e, L);
    struct err err = {0};
    if (!discovery_of(L))
        return bind_closed(L);
    const struct instance *record = read_record(L, 2, &err);
    if (!record) {
        err_set(&err, "invalid", "cannot register: %s", err.message);
        return bind_fail(L, &err);
    }
    return discovery_park(L, task,
                          &(struct backend_request){.verb = BACKEND_REGISTER,
                                                    .record = record,
                                                    .service = record->service,
                                                    .id = record->id,
                                                    .ttl_s = (uint64_t)(bind_ms(ttl) + 999) / 1000,
                                                    .owned = owned});
}

/* What register would send; where a backend does not say, it is the record. */
static json_t *sketch_of(const struct discovery *d, const struct instance *record, uint64_t ttl_s,
                         struct err *err)
{
    if (d->kind->sketch)
        return d->kind->sketch(d->self, record, ttl_s, err);
    json_t *json = instance_dump(record);
    json_object_del(json, "source");
    json_object_del(json, "revision");
    return json;
}

struct sketch_scratch {
    json_t *json;
};

static void sketch_clear(void *self) { json_decref(((struct sketch_scratch *)self)->json); }

static int l_sketch(lua_State *L)
{
    luaL_checkudata(L, 1, BACKEND_CLASS);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_Number ttl = discovery_opt_seconds(L, 3, 0, MAX_TTL_S);
    struct err err = {0};
    if (!discovery_of(L))
        return bind_closed(L);
    const struct instance *record = read_record(L, 2, &err);
    if (!record)
        return bind_fail(L, &err);
    struct sketch_scratch *s = walk_push_scratch(L, sizeof *s, sketch_clear);
    struct discovery *d = discovery_of(L);
    if (!d)
        return bind_closed(L);
    s->json = sketch_of(d, record, (uint64_t)(bind_ms(ttl) + 999) / 1000, &err);
    if (!s->json || json_push(L, s->json, SKETCH_DEPTH, &err) < 0)
        return bind_fail(L, &err);
    return 1;
}

static int with_id(lua_State *L, enum backend_verb verb)
{
    struct engine *e = bind_engine(L);
    luaL_checkudata(L, 1, BACKEND_CLASS);
    const char *service = check_name(L, 2);
    const char *id = check_id(L, 3);
    struct task *task = task_self(e, L);
    return discovery_park(L, task,
                          &(struct backend_request){.verb = verb, .service = service, .id = id});
}

static int l_renew(lua_State *L) { return with_id(L, BACKEND_RENEW); }

static int l_deregister(lua_State *L) { return with_id(L, BACKEND_DEREGISTER); }

static int l_lookup(lua_State *L)
{
    struct engine *e = bind_engine(L);
    luaL_checkudata(L, 1, BACKEND_CLASS);
    const char *service = check_name(L, 2);
    const char *cursor = luaL_optstring(L, 3, NULL);
    lua_Number wait = discovery_opt_seconds(L, 4, DEFAULT_WAIT_S, 1e9);
    struct task *task = task_self(e, L);
    return discovery_park(L, task,
                          &(struct backend_request){.verb = BACKEND_LOOKUP,
                                                    .service = service,
                                                    .cursor = cursor,
                                                    .timeout_ms = bind_ms(wait)});
}

static int l_services(lua_State *L)
{
    struct engine *e = bind_engine(L);
    luaL_checkudata(L, 1, BACKEND_CLASS);
    struct task *task = task_self(e, L);
    return discovery_park(L, task, &(struct backend_request){.verb = BACKEND_SERVICES});
}

static int l_close(lua_State *L)
{
    void **handle = luaL_checkudata(L, 1, BACKEND_CLASS);
    struct discovery *d = *handle;
    if (!d)
        return 0;
    *handle = NULL;
    while (d->calls) {
        struct task *task = d->calls->task;
        call_cancel(d->calls);
        task_wake(task, bind_closed(task_stack(task)));
    }
    d->kind->close(d->self);
    free(d);
    return 0;
}

/* ---- opening ---- */

static const luaL_Reg methods[] = {{"register", l_register},
                                   {"renew", l_renew},
                                   {"deregister", l_deregister},
                                   {"lookup", l_lookup},
                                   {"services", l_services},
                                   {"sketch", l_sketch},
                                   {"lock", discovery_lock},
                                   {"renew_lock", discovery_renew_lock},
                                   {"unlock", discovery_unlock},
                                   {"kv_get", discovery_kv_get},
                                   {"kv_put", discovery_kv_put},
                                   {"kv_delete", discovery_kv_delete},
                                   {"close", l_close},
                                   {"__gc", l_close},
                                   {"__close", l_close},
                                   {"__index", bind_index},
                                   {NULL, NULL}};

static void set_flag(lua_State *L, const char *key, bool value)
{
    lua_pushboolean(L, value);
    lua_setfield(L, -2, key);
}

/* Gives the handle on top of the stack its fields `kind` and `capabilities`. */
static void describe(lua_State *L, const struct backend *kind)
{
    lua_createtable(L, 0, 2);
    lua_pushstring(L, kind->name);
    lua_setfield(L, -2, "kind");
    lua_createtable(L, 0, 3);
    set_flag(L, "watch", kind->can_watch);
    set_flag(L, "lock", kind->can_lock);
    set_flag(L, "kv", kind->can_kv);
    lua_setfield(L, -2, "capabilities");
    lua_setiuservalue(L, -2, 1);
}

static int unknown_kind(lua_State *L, const char *name)
{
    struct buf known = {0};
    struct err err = {0};
    const struct backend *b;
    for (size_t i = 0; (b = backend_at(i)); i++)
        buf_printf(&known, i ? ", %s" : "%s", b->name);
    err_set(&err, "not_found", "there is no discovery backend \"%.60s\"; there are: %s", name,
            known.data);
    buf_free(&known);
    return bind_fail(L, &err);
}

static bool reads(const struct backend *kind, const char *name)
{
    for (const char *const *key = kind->options; *key; key++)
        if (strcmp(*key, name) == 0)
            return true;
    return false;
}

static int unknown_option(const struct backend *kind, const char *name, struct err *err)
{
    struct buf known = {0};
    for (const char *const *key = kind->options; *key; key++)
        buf_printf(&known, key == kind->options ? "%s" : ", %s", *key);
    err_set(err, "invalid", "the discovery backend %s does not read \"%.60s\"; it reads: %s",
            kind->name, name, known.data ? known.data : "nothing");
    buf_free(&known);
    return -1;
}

/* Refuses an option that this kind of backend does not read. */
static int check_options(lua_State *L, int table, const struct backend *kind, struct err *err)
{
    lua_pushnil(L);
    while (lua_next(L, table)) {
        lua_pop(L, 1);
        const char *name = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "a list";
        if (!reads(kind, name))
            return unknown_option(kind, name, err);
    }
    return 0;
}

static void drop_json(void *self) { json_decref(*(json_t **)self); }

static int l_open(lua_State *L)
{
    struct engine *e = bind_engine(L);
    const char *name = luaL_checkstring(L, 1);
    luaL_checktype(L, 2, LUA_TTABLE);
    const struct backend *kind = backend_find(name);
    if (!kind)
        return unknown_kind(L, name);
    json_t **options = walk_push_scratch(L, sizeof *options, drop_json);
    struct err err = {0};
    const struct buf *text = check_options(L, 2, kind, &err) < 0 ? NULL : json_write(L, 2, 0, &err);
    if (!text)
        return bind_fail(L, &err);
    /* an empty table is written as a list */
    *options = text->data[0] == '[' ? json_object() : json_loadb(text->data, text->len, 0, NULL);
    void **handle = bind_new_handle(L, BACKEND_CLASS, methods);
    describe(L, kind);
    void *self = kind->open(e->io, *options, &err);
    if (!self)
        return bind_fail(L, &err);
    struct discovery *d = xcalloc(1, sizeof *d);
    d->kind = kind;
    d->self = self;
    *handle = d;
    return 1;
}

static int l_kinds(lua_State *L)
{
    const struct backend *b;
    lua_newtable(L);
    for (size_t i = 0; (b = backend_at(i)); i++) {
        lua_pushstring(L, b->name);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

/* Gives the keys that a kind of backend reads. */
static int l_options(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    const struct backend *kind = backend_find(name);
    if (!kind)
        return unknown_kind(L, name);
    lua_newtable(L);
    for (size_t i = 0; kind->options[i]; i++) {
        lua_pushstring(L, kind->options[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

/* A record as the backends would read it: for those whose records come from Lua or from a file. */
static int l_record(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    struct err err = {0};
    const struct instance *record = read_record(L, 1, &err);
    if (!record)
        return bind_fail(L, &err);
    push_instance(L, record);
    return 1;
}

const luaL_Reg bind_discovery[] = {{"open", l_open},
                                   {"kinds", l_kinds},
                                   {"options", l_options},
                                   {"record", l_record},
                                   {"environment", discovery_environment},
                                   {NULL, NULL}};
