/* process_leftovers.c -- orrery.process.leftovers: what an earlier agent, killed together with its
 * guard, has left running. */
#include <lauxlib.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bind/bind.h"
#include "bind/process.h"
#include "bind/task.h"
#include "core/mem.h"
#include "core/proc.h"
#include "engine.h"
#include "guard.h"
#include "io/io.h"

#define LOOK_MS 20 /* these are nobody's children: their end can only be seen by looking */

struct leftover {
    pid_t pid;
    unsigned long long start;
    char *instance; /* owned */
    char name[32];
};

struct leftovers {
    struct leftover *list; /* owned */
    size_t count;
};

static void leftovers_free(struct leftovers *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->list[i].instance);
    free(l->list);
    *l = (struct leftovers){0};
}

/* Whether our own guard started it. */
static bool is_own(const struct io *io, pid_t pid)
{
    const char *token = process_token(io);
    char *mark = token ? proc_env(pid, GUARD_VARIABLE) : NULL;
    bool own = mark && strncmp(mark, token, strlen(token)) == 0;
    free(mark);
    return own;
}

/* We and those who started us: an `up` run by a service's hook must not end that service's tree. */
static void add_ancestors(struct pids *ret)
{
    struct proc_stat stat;
    for (pid_t pid = getpid(); pid > 0 && proc_stat(pid, &stat) && !pids_have(ret, pid);
         pid = stat.ppid)
        pids_add(ret, pid);
}

static void consider(struct io *io, const char *prefix, pid_t pid, struct leftovers *ret)
{
    struct proc_stat stat;
    char *instance = proc_env(pid, "ORRERY_INSTANCE");
    bool wanted = instance && strncmp(instance, prefix, strlen(prefix)) == 0 && !is_own(io, pid) &&
                  proc_stat(pid, &stat) && proc_alive(&stat);
    if (!wanted) {
        free(instance);
        return;
    }
    ret->list = xreallocarray(ret->list, ret->count + 1, sizeof *ret->list);
    struct leftover *found = &ret->list[ret->count++];
    *found = (struct leftover){.pid = pid, .start = stat.start, .instance = instance};
    memcpy(found->name, stat.name, sizeof found->name);
}

static void find(struct io *io, const char *prefix, struct leftovers *ret)
{
    struct pids all = {0}, ancestors = {0};
    proc_all(&all);
    add_ancestors(&ancestors);
    for (size_t i = 0; i < all.count; i++)
        if (!pids_have(&ancestors, all.list[i]))
            consider(io, prefix, all.list[i], ret);
    pids_free(&ancestors);
    pids_free(&all);
}

int l_process_leftovers(lua_State *L)
{
    struct engine *e = bind_engine(L);
    struct leftovers found = {0};
    const char *prefix = luaL_checkstring(L, 1);
    find(e->io, prefix, &found);
    lua_createtable(L, (int)found.count, 0);
    for (size_t i = 0; i < found.count; i++) {
        lua_createtable(L, 0, 3);
        lua_pushinteger(L, found.list[i].pid);
        lua_setfield(L, -2, "pid");
        lua_pushstring(L, found.list[i].instance);
        lua_setfield(L, -2, "instance");
        lua_pushstring(L, found.list[i].name);
        lua_setfield(L, -2, "name");
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    leftovers_free(&found);
    return 1;
}

/* One end_leftovers(). Owned by the loop: freed when its timer has closed. */
struct end_op {
    uv_timer_t timer;
    struct io *io;
    struct task *task;
    char *prefix; /* owned */
    struct pids asked;
    uint64_t kill_at_ms;
};

static void end_free(uv_handle_t *timer)
{
    struct end_op *op = timer->data;
    pids_free(&op->asked);
    free(op->prefix);
    free(op);
}

static void end_stop(void *data)
{
    struct end_op *op = data;
    uv_close((uv_handle_t *)&op->timer, end_free);
}

static void end_one(struct end_op *op, const struct leftover *l)
{
    if (uv_now(&op->io->loop) >= op->kill_at_ms) {
        proc_signal(l->pid, l->start, SIGKILL);
    } else if (!pids_have(&op->asked, l->pid)) {
        proc_signal(l->pid, l->start, SIGTERM);
        proc_signal(l->pid, l->start, SIGCONT);
    }
    if (!pids_have(&op->asked, l->pid))
        pids_add(&op->asked, l->pid);
}

static void end_look(uv_timer_t *timer)
{
    struct end_op *op = timer->data;
    struct leftovers found = {0};
    find(op->io, op->prefix, &found);
    for (size_t i = 0; i < found.count; i++)
        end_one(op, &found.list[i]);
    bool none = found.count == 0;
    leftovers_free(&found);
    if (!none)
        return;
    lua_pushinteger(task_stack(op->task), (lua_Integer)op->asked.count);
    task_wake(op->task, 1);
    end_stop(op);
}

int l_process_end_leftovers(lua_State *L)
{
    struct engine *e = bind_engine(L);
    const char *prefix = luaL_checkstring(L, 1);
    lua_Number grace = luaL_optnumber(L, 2, 3);
    luaL_argcheck(L, grace >= 0 && grace < 1e6, 2, "must be from 0 to 1e6 seconds");
    luaL_argcheck(L, *prefix, 1, "must not be empty");
    struct task *task = task_self(e, L);

    struct end_op *op = xcalloc(1, sizeof *op);
    op->io = e->io;
    op->task = task;
    op->prefix = xstrdup(prefix);
    op->timer.data = op;
    uv_update_time(&e->io->loop);
    op->kill_at_ms = uv_now(&e->io->loop) + bind_ms(grace);
    uv_timer_init(&e->io->loop, &op->timer);
    uv_timer_start(&op->timer, end_look, 0, LOOK_MS);
    return task_park(task, end_stop, op);
}
