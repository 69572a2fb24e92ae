/* discovery.h -- what the parts of orrery.discovery share: an open backend, and how a task waits
 * for one of its verbs. */
#pragma once
#include <lauxlib.h>
#include <lua.h>

#include "backend.h"

struct task;

#define BACKEND_CLASS "orrery.backend"
#define MAX_TTL_S (365 * 24 * 3600)
#define DEFAULT_WAIT_S 60

/* An open backend, as its Lua handle owns it. */
struct discovery {
    const struct backend *kind;
    void *self;         /* owned, through kind */
    struct call *calls; /* embedded list of what is pending */
};

/* What the handle at 1 holds; NULL once it is closed. Ask for it last: a finalizer may close it in
 * any call that allocates. */
struct discovery *discovery_of(lua_State *L);

/* Starts a request of the handle at 1, and parks the task until it is answered: `return
 * discovery_park(...);`. */
int discovery_park(lua_State *L, struct task *task, const struct backend_request *request);

/* An optional argument in seconds, from 0 to `max`; raises if it is none. */
lua_Number discovery_opt_seconds(lua_State *L, int arg, lua_Number otherwise, lua_Number max);

/* Locks and keys (discovery_keys.c). */
int discovery_lock(lua_State *L);
int discovery_renew_lock(lua_State *L);
int discovery_unlock(lua_State *L);
int discovery_kv_get(lua_State *L);
int discovery_kv_put(lua_State *L);
int discovery_kv_delete(lua_State *L);

/* Records as environment variables (discovery_env.c). */
int discovery_environment(lua_State *L);
