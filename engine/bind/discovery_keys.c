/* discovery_keys.c -- orrery.discovery: the locks and keys of those backends that have them. */
#include <string.h>

#include "bind/bind.h"
#include "bind/discovery.h"
#include "bind/task.h"
#include "core/err.h"

#define MAX_KEY 512
#define MAX_VALUE (512 * 1024) /* what Consul takes */
#define DEFAULT_LOCK_TTL_S 15

/* A path of printable ASCII: what every store takes, and what an URL can carry. */
static const char *check_key(lua_State *L, int arg)
{
    size_t len;
    const char *key = luaL_checklstring(L, arg, &len);
    bool good = len > 0 && len <= MAX_KEY;
    for (size_t i = 0; i < len && good; i++)
        good = key[i] > ' ' && key[i] < 0x7f;
    luaL_argcheck(L, good, arg, "a key is up to 512 printable ASCII characters without spaces");
    return key;
}

static uint64_t opt_revision(lua_State *L, int arg)
{
    if (lua_isnoneornil(L, arg))
        return NO_REVISION;
    lua_Integer revision = luaL_checkinteger(L, arg);
    luaL_argcheck(L, revision >= 0, arg, "a revision is a whole number from 0");
    return (uint64_t)revision;
}

/* Without the capability: nil, message, code are pushed. */
static bool can(lua_State *L, const struct discovery *d, bool able, const char *what)
{
    struct err err = {0};
    if (able)
        return true;
    err_set(&err, "invalid", "the discovery backend %s has no %s; use consul or etcd for them",
            d->kind->name, what);
    bind_fail(L, &err);
    return false;
}

static int lock_park(lua_State *L, struct task *task, const struct backend_request *request)
{
    const struct discovery *d = discovery_of(L);
    if (!d)
        return bind_closed(L);
    if (!can(L, d, d->kind->can_lock, "locks"))
        return 3;
    return discovery_park(L, task, request);
}

static int kv_park(lua_State *L, struct task *task, const struct backend_request *request)
{
    const struct discovery *d = discovery_of(L);
    if (!d)
        return bind_closed(L);
    if (!can(L, d, d->kind->can_kv, "keys and values"))
        return 3;
    return discovery_park(L, task, request);
}

int discovery_lock(lua_State *L)
{
    struct engine *e = bind_engine(L);
    luaL_checkudata(L, 1, BACKEND_CLASS);
    const char *key = check_key(L, 2);
    bind_opt_table(L, 3);
    lua_Number ttl = bind_opt_number(L, 3, "ttl", DEFAULT_LOCK_TTL_S);
    luaL_argcheck(L, ttl > 0 && ttl <= MAX_TTL_S, 3, "ttl must be a number of seconds above 0");
    uint64_t timeout_ms = bind_opt_seconds(L, 3, "timeout", 0);
    const char *value = bind_opt_string(L, 3, "value", "");
    luaL_argcheck(L, strlen(value) <= MAX_VALUE, 3, "value is longer than 512 KiB");
    struct task *task = task_self(e, L);
    return lock_park(L, task,
                     &(struct backend_request){.verb = BACKEND_LOCK,
                                               .key = key,
                                               .value = value,
                                               .ttl_s = (bind_ms(ttl) + 999) / 1000,
                                               .timeout_ms = timeout_ms});
}

int discovery_renew_lock(lua_State *L)
{
    struct engine *e = bind_engine(L);
    luaL_checkudata(L, 1, BACKEND_CLASS);
    const char *lock = luaL_checkstring(L, 2);
    struct task *task = task_self(e, L);
    return lock_park(L, task, &(struct backend_request){.verb = BACKEND_RENEW_LOCK, .lock = lock});
}

int discovery_unlock(lua_State *L)
{
    struct engine *e = bind_engine(L);
    luaL_checkudata(L, 1, BACKEND_CLASS);
    const char *key = check_key(L, 2);
    const char *lock = luaL_checkstring(L, 3);
    struct task *task = task_self(e, L);
    return lock_park(L, task,
                     &(struct backend_request){.verb = BACKEND_UNLOCK, .key = key, .lock = lock});
}

int discovery_kv_get(lua_State *L)
{
    struct engine *e = bind_engine(L);
    luaL_checkudata(L, 1, BACKEND_CLASS);
    const char *key = check_key(L, 2);
    const char *cursor = luaL_optstring(L, 3, NULL);
    lua_Number wait = discovery_opt_seconds(L, 4, DEFAULT_WAIT_S, 1e9);
    struct task *task = task_self(e, L);
    return kv_park(
        L, task,
        &(struct backend_request){
            .verb = BACKEND_KV_GET, .key = key, .cursor = cursor, .timeout_ms = bind_ms(wait)});
}

int discovery_kv_put(lua_State *L)
{
    struct engine *e = bind_engine(L);
    luaL_checkudata(L, 1, BACKEND_CLASS);
    const char *key = check_key(L, 2);
    size_t len;
    const char *value = luaL_checklstring(L, 3, &len);
    luaL_argcheck(L, len <= MAX_VALUE, 3, "a value is at most 512 KiB");
    uint64_t revision = opt_revision(L, 4);
    struct task *task = task_self(e, L);
    return kv_park(L, task,
                   &(struct backend_request){.verb = BACKEND_KV_PUT,
                                             .key = key,
                                             .value = value,
                                             .value_len = len,
                                             .revision = revision});
}

int discovery_kv_delete(lua_State *L)
{
    struct engine *e = bind_engine(L);
    luaL_checkudata(L, 1, BACKEND_CLASS);
    const char *key = check_key(L, 2);
    uint64_t revision = opt_revision(L, 3);
    struct task *task = task_self(e, L);
    return kv_park(
        L, task,
        &(struct backend_request){.verb = BACKEND_KV_DELETE, .key = key, .revision = revision});
}
