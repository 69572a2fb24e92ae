/* net.c -- orrery.net: TCP connections and ports. Documented in lua/meta/net.lua. */
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bind/bind.h"
#include "bind/libs.h"
#include "bind/task.h"
#include "core/err.h"
#include "core/mem.h"
#include "engine.h"
#include "io/net.h"

#define TIMEOUT_S 5

/* One pending connect. Freed when it is answered or cancelled. */
struct connect_op {
    struct tcp_connect *tcp; /* owned */
    struct task *task;       /* borrowed */
};

static void connected(void *data, int fd, const struct err *err)
{
    struct connect_op *op = data;
    lua_State *L = task_stack(op->task);
    int count = 1;
    if (err) {
        count = bind_push_err(L, err);
    } else {
        close(fd);
        lua_pushboolean(L, 1);
    }
    task_wake(op->task, count);
    free(op);
}

static void connect_cancel(void *data)
{
    struct connect_op *op = data;
    tcp_connect_cancel(op->tcp);
    free(op);
}

static uint16_t check_port(lua_State *L, int arg)
{
    lua_Integer port = luaL_checkinteger(L, arg);
    luaL_argcheck(L, port >= 1 && port <= 65535, arg, "must be a port from 1 to 65535");
    return (uint16_t)port;
}

static int l_connect(lua_State *L)
{
    struct engine *e = bind_engine(L);
    const char *host = luaL_checkstring(L, 1);
    uint16_t port = check_port(L, 2);
    bind_opt_table(L, 3);
    uint64_t timeout_ms = bind_opt_seconds(L, 3, "timeout", TIMEOUT_S);
    struct task *task = task_self(e, L);

    struct connect_op *op = xcalloc(1, sizeof *op);
    op->task = task;
    op->tcp = tcp_connect_start(e->io, host, port, timeout_ms, connected, op);
    return task_park(task, connect_cancel, op);
}

static int l_can_bind(lua_State *L)
{
    struct err err = {0};
    const char *address = luaL_checkstring(L, 1);
    if (net_can_bind(address, check_port(L, 2), &err) < 0)
        return bind_fail(L, &err);
    lua_pushboolean(L, 1);
    return 1;
}

static int l_free_port(lua_State *L)
{
    struct err err = {0};
    int port = net_free_port(luaL_optstring(L, 1, "127.0.0.1"), &err);
    if (port < 0)
        return bind_fail(L, &err);
    lua_pushinteger(L, port);
    return 1;
}

static void push_listener(lua_State *L, struct net_listener *listener)
{
    lua_createtable(L, 0, 3);
    lua_pushinteger(L, (lua_Integer)listener->uid);
    lua_setfield(L, -2, "uid");
    if (!listener->pid)
        return;
    lua_pushinteger(L, listener->pid);
    lua_setfield(L, -2, "pid");
    lua_pushstring(L, listener->name);
    lua_setfield(L, -2, "name");
    free(listener->name);
}

static int l_listener(lua_State *L)
{
    struct err err = {0};
    struct net_listener listener;
    int found = net_listener(check_port(L, 1), &listener, &err);
    if (found < 0)
        return bind_fail(L, &err);
    if (found)
        push_listener(L, &listener);
    else
        lua_pushnil(L);
    return 1;
}

const luaL_Reg bind_net[] = {{"connect", l_connect},
                             {"can_bind", l_can_bind},
                             {"free_port", l_free_port},
                             {"listener", l_listener},
                             {NULL, NULL}};
