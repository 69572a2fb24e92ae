/* process_notify.c -- orrery.process.notify_socket: what services say of themselves (sd_notify), as
 * values that a task waits for; orrery.process.notify: what we say of ourselves. */
#include <lauxlib.h>
#include <stdlib.h>

#include "bind/bind.h"
#include "bind/process.h"
#include "bind/task.h"
#include "bind/wait.h"
#include "core/err.h"
#include "core/mem.h"
#include "engine.h"
#include "io/io.h"
#include "io/notify.h"

#define NOTIFY "orrery.notify"
#define MAX_PENDING 64 /* messages nobody has asked for; then senders are held back */

struct told {
    char *text, *instance; /* owned */
    size_t len;
    pid_t pid, root;
};

struct notifications {
    struct io_closer closer;
    struct notify *socket;            /* owned */
    struct told pending[MAX_PENDING]; /* oldest first */
    int count;
    struct waiter *waiters;
    void **userdata; /* borrowed: where Lua points to us */
};

static void push_told(lua_State *L, const char *text, size_t len, pid_t pid, pid_t root,
                      const char *instance)
{
    lua_createtable(L, 0, 4);
    lua_pushlstring(L, text, len);
    lua_setfield(L, -2, "text");
    lua_pushinteger(L, pid);
    lua_setfield(L, -2, "pid");
    if (root) {
        lua_pushinteger(L, root);
        lua_setfield(L, -2, "root");
    }
    if (instance) {
        lua_pushstring(L, instance);
        lua_setfield(L, -2, "instance");
    }
}

static void got_message(void *data, const struct notify_message *m)
{
    struct notifications *n = data;
    if (n->waiters) {
        struct task *task = waiter_pop(&n->waiters);
        push_told(task_stack(task), m->text, m->len, m->pid, m->root, m->instance);
        task_wake(task, 1);
        return;
    }
    n->pending[n->count++] = (struct told){.text = xstrndup(m->text, m->len),
                                           .instance = m->instance ? xstrdup(m->instance) : NULL,
                                           .len = m->len,
                                           .pid = m->pid,
                                           .root = m->root};
    if (n->count == MAX_PENDING)
        notify_hold(n->socket, 1);
}

static void told_free(struct told *t)
{
    free(t->text);
    free(t->instance);
}

static void notifications_close(struct notifications *n)
{
    io_remove_closer(&n->closer);
    *n->userdata = NULL;
    waiters_refuse(&n->waiters, "closed", "closed");
    notify_close(n->socket);
    for (int i = 0; i < n->count; i++)
        told_free(&n->pending[i]);
    free(n);
}

static void notifications_closed(struct io_closer *closer)
{
    notifications_close((struct notifications *)closer);
}

static int l_next(lua_State *L)
{
    struct engine *e = bind_engine(L);
    struct notifications *n = bind_handle(L, 1, NOTIFY);
    lua_Number seconds = waiter_opt_timeout(L, 2);
    struct task *task = task_self(e, L);
    if (!n)
        return bind_closed(L);
    if (!n->count)
        return waiter_park(task, &n->waiters, seconds);
    struct told first = n->pending[0];
    push_told(L, first.text, first.len, first.pid, first.root, first.instance);
    n->count--;
    for (int i = 0; i < n->count; i++)
        n->pending[i] = n->pending[i + 1];
    told_free(&first);
    notify_hold(n->socket, 0);
    return 1;
}

static int l_close(lua_State *L)
{
    struct notifications *n = bind_handle(L, 1, NOTIFY);
    if (n)
        notifications_close(n);
    return 0;
}

static const luaL_Reg methods[] = {
    {"next", l_next}, {"close", l_close}, {"__close", l_close}, {"__gc", l_close}, {NULL, NULL}};

/* Tells whoever started this process, such as systemd, how it stands. */
int l_process_notify(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    const char *path = getenv("NOTIFY_SOCKET");
    struct err err = {0};
    luaL_argcheck(L, len && len <= NOTIFY_BYTES, 1, "must have from 1 to 4096 bytes");
    if (!path || !*path)
        err_set(&err, "not_found", "nobody asks: NOTIFY_SOCKET is not set");
    else if (notify_send(path, text, len, &err) == 0) {
        lua_pushboolean(L, 1);
        return 1;
    }
    return bind_fail(L, &err);
}

int l_process_notify_socket(lua_State *L)
{
    struct engine *e = bind_engine(L);
    const char *path = luaL_checkstring(L, 1);
    const char *owner = luaL_optstring(L, 2, NULL);
    void **handle = bind_new_handle(L, NOTIFY, methods);
    struct err err = {0};

    struct notifications *n = xcalloc(1, sizeof *n);
    n->socket = notify_open(e->io, path, owner, got_message, n, &err);
    if (!n->socket) {
        free(n);
        return bind_fail(L, &err);
    }
    n->userdata = handle;
    io_add_closer(e->io, &n->closer, notifications_closed);
    *handle = n;
    return 1;
}
