/* discovery_env.c -- records as environment variables. Documented in lua/meta/discovery.lua. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "bind/bind.h"
#include "bind/discovery.h"
#include "bind/json.h"
#include "bind/walk.h"
#include "core/buf.h"
#include "core/err.h"
#include "core/instance.h"
#include "core/mem.h"
#include "env_names.h"

struct scratch {
    json_t *json, *variables;
    struct env_record *records;
    size_t count;
};

static void scratch_clear(void *self)
{
    struct scratch *s = self;
    for (size_t i = 0; i < s->count; i++)
        instance_free(s->records[i].instance);
    free(s->records);
    json_decref(s->json);
    json_decref(s->variables);
}

static int read_records(struct scratch *s, struct err *err)
{
    s->records = xcalloc(json_array_size(s->json) + 1, sizeof *s->records);
    size_t index;
    json_t *record;
    json_array_foreach(s->json, index, record)
    {
        struct instance *instance = instance_parse(record, NULL, err);
        if (!instance)
            return -1;
        s->records[s->count++].instance = instance;
    }
    return 0;
}

static void push_variables(lua_State *L, const json_t *variables)
{
    const char *name;
    json_t *value;
    lua_createtable(L, 0, (int)json_object_size(variables));
    json_object_foreach((json_t *)variables, name, value)
    {
        lua_pushlstring(L, json_string_value(value), json_string_length(value));
        lua_setfield(L, -2, name);
    }
}

int discovery_environment(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    const char *prefix = luaL_optstring(L, 2, "ATPROTO_SERVICE_");
    struct scratch *s = walk_push_scratch(L, sizeof *s, scratch_clear);
    struct err err = {0};
    const struct buf *text = json_write(L, 1, 0, &err);
    if (!text)
        return bind_fail(L, &err);
    s->json = json_loadb(text->data, text->len, JSON_ALLOW_NUL, NULL);
    s->variables = json_object();
    if (read_records(s, &err) < 0 ||
        env_export(s->variables, prefix, s->records, s->count, &err) < 0)
        return bind_fail(L, &err);
    push_variables(L, s->variables);
    return 1;
}
