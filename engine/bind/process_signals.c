/* process_signals.c -- orrery.process.signals: signals to this process, as values that a task waits
 * for. While the handle is open the signals it names do nothing else. */
#include <lauxlib.h>
#include <signal.h>
#include <stdlib.h>

#include "bind/bind.h"
#include "bind/process.h"
#include "bind/task.h"
#include "bind/wait.h"
#include "core/mem.h"
#include "core/proc.h"
#include "engine.h"
#include "io/io.h"

#define SIGNALS "orrery.signals"
#define MAX_SIGNALS 16
#define MAX_PENDING 32 /* of signals nobody has asked for; later ones are dropped */

struct signal_set;

struct signal_watch {
    uv_signal_t handle;
    struct signal_set *set; /* borrowed */
};

/* Freed when its last handle has closed. */
struct signal_set {
    struct io_closer closer;
    struct signal_watch watches[MAX_SIGNALS];
    int count, open;
    int pending[MAX_PENDING], pending_count; /* oldest first */
    struct waiter *waiters;
    void **userdata; /* borrowed: where Lua points to us */
};

static void watch_closed(uv_handle_t *handle)
{
    struct signal_watch *w = handle->data;
    if (--w->set->open == 0)
        free(w->set);
}

static void set_close(struct signal_set *s)
{
    io_remove_closer(&s->closer);
    *s->userdata = NULL;
    waiters_refuse(&s->waiters, "closed", "closed");
    for (int i = 0; i < s->count; i++)
        uv_close((uv_handle_t *)&s->watches[i].handle, watch_closed);
}

static void set_closed(struct io_closer *closer) { set_close((struct signal_set *)closer); }

static void got_signal(uv_signal_t *handle, int number)
{
    struct signal_set *s = ((struct signal_watch *)handle->data)->set;
    if (s->waiters) {
        struct task *task = waiter_pop(&s->waiters);
        lua_pushstring(task_stack(task), signal_name(number));
        task_wake(task, 1);
    } else if (s->pending_count < MAX_PENDING) {
        s->pending[s->pending_count++] = number;
    }
}

static int l_next(lua_State *L)
{
    struct engine *e = bind_engine(L);
    struct signal_set *s = bind_handle(L, 1, SIGNALS);
    lua_Number seconds = waiter_opt_timeout(L, 2);
    struct task *task = task_self(e, L);
    if (!s)
        return bind_closed(L);
    if (!s->pending_count)
        return waiter_park(task, &s->waiters, seconds);
    lua_pushstring(L, signal_name(s->pending[0]));
    s->pending_count--;
    for (int i = 0; i < s->pending_count; i++)
        s->pending[i] = s->pending[i + 1];
    return 1;
}

static int l_close(lua_State *L)
{
    struct signal_set *s = bind_handle(L, 1, SIGNALS);
    if (s)
        set_close(s);
    return 0;
}

static const luaL_Reg methods[] = {
    {"next", l_next}, {"close", l_close}, {"__close", l_close}, {"__gc", l_close}, {NULL, NULL}};

static int read_numbers(lua_State *L, int numbers[MAX_SIGNALS])
{
    luaL_checktype(L, 1, LUA_TTABLE);
    int count = (int)luaL_len(L, 1);
    luaL_argcheck(L, count > 0 && count <= MAX_SIGNALS, 1, "needs 1 to 16 names of signals");
    for (int i = 0; i < count; i++) {
        lua_rawgeti(L, 1, i + 1);
        const char *name = lua_tostring(L, -1);
        numbers[i] = name ? signal_number(name) : 0;
        luaL_argcheck(L, numbers[i] && numbers[i] != SIGKILL && numbers[i] != SIGSTOP, 1,
                      "names a signal that does not exist or cannot be caught");
        lua_pop(L, 1);
    }
    return count;
}

int l_process_signals(lua_State *L)
{
    struct engine *e = bind_engine(L);
    int numbers[MAX_SIGNALS];
    int count = read_numbers(L, numbers);
    void **handle = bind_new_handle(L, SIGNALS, methods);

    struct signal_set *s = xcalloc(1, sizeof *s);
    s->userdata = handle;
    s->count = s->open = count;
    for (int i = 0; i < count; i++) {
        struct signal_watch *w = &s->watches[i];
        w->set = s;
        w->handle.data = w;
        uv_signal_init(&e->io->loop, &w->handle);
        uv_signal_start(&w->handle, got_signal, numbers[i]);
    }
    io_add_closer(e->io, &s->closer, set_closed);
    *handle = s;
    return 1;
}
