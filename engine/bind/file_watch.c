#include "bind/file_watch.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "bind/bind.h"
#include "bind/task.h"
#include "bind/wait.h"
#include "core/err.h"
#include "core/mem.h"
#include "engine.h"
#include "io/file.h"
#include "io/io.h"

#define WATCH "orrery.watch"
#define MAX_NAMES 256

/* A watch as its Lua handle owns it. Names are kept once each until they are asked for; when there
 * are more than MAX_NAMES the oldest are dropped. */
struct watch {
    struct file_watch *file; /* owned; NULL once the folder is gone */
    char *names[MAX_NAMES];  /* owned */
    size_t count;
    struct err gone; /* why the watch is over */
    struct next *waiter;
};

/* One parked next(). Owned by the loop: freed when its timer has closed. */
struct next {
    uv_timer_t timer;
    struct watch *watch; /* borrowed: the waiting task holds the handle */
    struct task *task;   /* borrowed */
};

static void next_free(uv_handle_t *timer) { free(timer->data); }

static void next_stop(void *op)
{
    struct next *n = op;
    n->watch->waiter = NULL;
    if (n->watch->file)
        file_watch_ref(n->watch->file, false);
    uv_close((uv_handle_t *)&n->timer, next_free);
}

/* Taken out first: a finalizer may close the watch while Lua makes a string of it. */
static int push_name(lua_State *L, struct watch *w)
{
    char *name = w->names[0];
    memmove(w->names, w->names + 1, --w->count * sizeof *w->names);
    lua_pushstring(L, name);
    free(name);
    return 1;
}

static void keep_name(struct watch *w, const char *name)
{
    for (size_t i = 0; i < w->count; i++)
        if (strcmp(w->names[i], name) == 0)
            return;
    if (w->count == MAX_NAMES) {
        free(w->names[0]);
        memmove(w->names, w->names + 1, --w->count * sizeof *w->names);
    }
    w->names[w->count++] = xstrdup(name);
}

static void watch_changed(void *data, const char *name, const struct err *err)
{
    struct watch *w = data;
    if (err) {
        err_set(&w->gone, err->code, "%s", err->message);
        file_watch_stop(w->file);
        w->file = NULL;
    } else {
        keep_name(w, name);
    }
    struct next *n = w->waiter;
    if (!n)
        return;
    lua_State *L = task_stack(n->task);
    task_wake(n->task, err ? bind_push_err(L, err) : push_name(L, w));
    next_stop(n);
}

static void next_expired(uv_timer_t *timer)
{
    struct next *n = timer->data;
    struct err err = {0};
    err_set(&err, "timeout", "timed out");
    task_wake(n->task, bind_fail(task_stack(n->task), &err));
    next_stop(n);
}

static int next_park(struct engine *e, struct task *task, struct watch *w, lua_Number seconds)
{
    struct next *n = xcalloc(1, sizeof *n);
    n->timer.data = n;
    n->watch = w;
    n->task = task;
    w->waiter = n;
    file_watch_ref(w->file, true);
    uv_update_time(&e->io->loop);
    uv_timer_init(&e->io->loop, &n->timer);
    if (seconds >= 0)
        uv_timer_start(&n->timer, next_expired, bind_ms(seconds), 0);
    return task_park(task, next_stop, n);
}

static int l_next(lua_State *L)
{
    struct engine *e = bind_engine(L);
    struct watch *w = bind_handle(L, 1, WATCH);
    lua_Number seconds = waiter_opt_timeout(L, 2);
    struct task *task = task_self(e, L);
    if (!w)
        return bind_closed(L);
    if (w->count)
        return push_name(L, w);
    if (!w->file)
        return bind_push_err(L, &w->gone);
    luaL_argcheck(L, !w->waiter, 1, "another task waits for this watch already");
    return next_park(e, task, w, seconds);
}

static int l_close(lua_State *L)
{
    void **handle = luaL_checkudata(L, 1, WATCH);
    struct watch *w = *handle;
    if (!w)
        return 0;
    *handle = NULL;
    struct next *n = w->waiter;
    if (n) {
        task_wake(n->task, bind_closed(task_stack(n->task)));
        next_stop(n);
    }
    if (w->file)
        file_watch_stop(w->file);
    for (size_t i = 0; i < w->count; i++)
        free(w->names[i]);
    err_clear(&w->gone);
    free(w);
    return 0;
}

static const luaL_Reg methods[] = {
    {"next", l_next}, {"close", l_close}, {"__gc", l_close}, {"__close", l_close}, {NULL, NULL}};

int file_l_watch(lua_State *L)
{
    struct engine *e = bind_engine(L);
    const char *path = file_check_path(L, 1);
    void **handle = bind_new_handle(L, WATCH, methods);
    struct err err = {0};
    struct watch *w = xcalloc(1, sizeof *w);
    w->file = file_watch_start(e->io, path, watch_changed, w, &err);
    if (!w->file) {
        free(w);
        return bind_fail(L, &err);
    }
    *handle = w;
    return 1;
}
