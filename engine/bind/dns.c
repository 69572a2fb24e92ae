/* dns.c -- orrery.dns: names and questions to name servers. Documented in lua/meta/dns.lua. */
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "bind/bind.h"
#include "bind/libs.h"
#include "bind/task.h"
#include "core/err.h"
#include "core/mem.h"
#include "engine.h"
#include "io/dns.h"

#define TIMEOUT_S 5

/* One pending question. Freed when it is answered or cancelled. */
struct question {
    struct dns_op *dns; /* owned */
    struct task *task;  /* borrowed */
    enum dns_type type;
};

static void question_cancel(void *data)
{
    struct question *q = data;
    dns_cancel(q->dns);
    free(q);
}

static void resolved(void *data, const struct dns_addresses *addresses, const struct err *err)
{
    struct question *q = data;
    lua_State *L = task_stack(q->task);
    int count = err ? bind_push_err(L, err) : 1;
    if (addresses) {
        lua_createtable(L, (int)addresses->count, 0);
        for (size_t i = 0; i < addresses->count; i++) {
            char text[DNS_TEXT_SIZE];
            dns_format(&addresses->list[i], text);
            lua_pushstring(L, text);
            lua_rawseti(L, -2, (lua_Integer)i + 1);
        }
    }
    task_wake(q->task, count);
    free(q);
}

static struct question *question_new(struct task *task, enum dns_type type)
{
    struct question *q = xcalloc(1, sizeof *q);
    *q = (struct question){.task = task, .type = type};
    return q;
}

static int l_resolve(lua_State *L)
{
    struct engine *e = bind_engine(L);
    const char *name = luaL_checkstring(L, 1);
    bind_opt_table(L, 2);
    uint64_t timeout_ms = bind_opt_seconds(L, 2, "timeout", TIMEOUT_S);
    struct task *task = task_self(e, L);

    struct question *q = question_new(task, 0);
    q->dns = dns_resolve(e->io, name, timeout_ms, resolved, q);
    return task_park(task, question_cancel, q);
}

/* ---- records ---- */

static void set_integer(lua_State *L, const char *key, lua_Integer value)
{
    lua_pushinteger(L, value);
    lua_setfield(L, -2, key);
}

static void push_srv(lua_State *L, const struct dns_record *record)
{
    lua_createtable(L, 0, 5);
    set_integer(L, "priority", record->priority);
    set_integer(L, "weight", record->weight);
    set_integer(L, "port", record->port);
    lua_pushstring(L, record->target);
    lua_setfield(L, -2, "target");
}

static void push_txt(lua_State *L, const struct dns_record *record)
{
    lua_newtable(L);
    for (lua_Integer i = 0; record->strings[i]; i++) {
        lua_pushstring(L, record->strings[i]);
        lua_rawseti(L, -2, i + 1);
    }
}

static void push_record(lua_State *L, enum dns_type type, const struct dns_record *record)
{
    if (type == DNS_SRV) {
        push_srv(L, record);
    } else if (type == DNS_TXT) {
        push_txt(L, record);
    } else {
        lua_createtable(L, 0, 2);
        lua_pushstring(L, record->address);
        lua_setfield(L, -2, "address");
    }
    set_integer(L, "ttl", record->ttl_s);
}

static void answered(void *data, const struct dns_records *records, const struct err *err)
{
    struct question *q = data;
    lua_State *L = task_stack(q->task);
    int count = err ? bind_push_err(L, err) : 2;
    if (records) {
        lua_createtable(L, (int)records->count, 0);
        for (size_t i = 0; i < records->count; i++) {
            push_record(L, q->type, &records->list[i]);
            lua_rawseti(L, -2, (lua_Integer)i + 1);
        }
        lua_pushinteger(L, records->ttl_s);
    }
    task_wake(q->task, count);
    free(q);
}

static int l_query(lua_State *L)
{
    struct engine *e = bind_engine(L);
    struct dns_query query = {.name = luaL_checkstring(L, 1),
                              .type = dns_type_of(luaL_checkstring(L, 2))};
    luaL_argcheck(L, query.type != 0, 2, "must be A, AAAA, SRV or TXT");
    bind_opt_table(L, 3);
    query.server = bind_opt_string(L, 3, "server", NULL);
    query.timeout_ms = bind_opt_seconds(L, 3, "timeout", TIMEOUT_S);
    query.tcp = bind_opt_boolean(L, 3, "tcp", false);
    struct task *task = task_self(e, L);

    struct question *q = question_new(task, query.type);
    q->dns = dns_query(e->io, &query, answered, q);
    return task_park(task, question_cancel, q);
}

const luaL_Reg bind_dns[] = {{"resolve", l_resolve}, {"query", l_query}, {NULL, NULL}};
