/* process_spawn.c -- orrery.process.spawn: services, and the handle that they are held by. */
#include <lauxlib.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bind/bind.h"
#include "bind/process.h"
#include "bind/task.h"
#include "bind/wait.h"
#include "core/err.h"
#include "core/mem.h"
#include "core/proc.h"
#include "engine.h"
#include "io/capture.h"
#include "io/io.h"

#define PROC "orrery.process"
#define MAX_LIMITS 16

/* A service's process as Lua sees it. The handle is kept alive by the registry until the process
 * has ended and its output is in the log. */
struct proc {
    struct io_closer closer;
    struct engine *engine;   /* borrowed */
    struct process *process; /* borrowed; NULL unless it is starting or running */
    struct capture *capture; /* owned */
    struct task *starter;    /* borrowed: who waits in spawn() */
    struct waiter *waiters;
    struct waiter *lookers; /* who waits for the text that it is to write */
    pid_t pid;
    int status;
    bool looks, seen; /* it is to write a text; it has */
    bool ended;       /* its status is known and its output read */
};

/* ---- how it ends ---- */

static void push_status(lua_State *L, int status)
{
    lua_createtable(L, 0, 1);
    if (WIFEXITED(status)) {
        lua_pushinteger(L, WEXITSTATUS(status));
        lua_setfield(L, -2, "code");
    } else {
        lua_pushstring(L, signal_name(WTERMSIG(status)));
        lua_setfield(L, -2, "signal");
    }
}

static void unpin(struct proc *p)
{
    lua_pushnil(p->engine->L);
    lua_rawsetp(p->engine->L, LUA_REGISTRYINDEX, p);
}

static void proc_ended(void *data)
{
    struct proc *p = data;
    p->ended = true;
    while (p->waiters) {
        struct task *task = waiter_pop(&p->waiters);
        push_status(task_stack(task), p->status);
        task_wake(task, 1);
    }
    waiters_refuse(&p->lookers, "it has ended", "closed");
    unpin(p);
}

static void proc_exited(void *data, int status)
{
    struct proc *p = data;
    p->process = NULL;
    p->status = status == PROCESS_UNKNOWN ? SIGKILL : status;
    capture_finish(p->capture, proc_ended, p);
}

/* A line of its output has the text in it. */
static void proc_seen(void *data)
{
    struct proc *p = data;
    p->seen = true;
    while (p->lookers) {
        struct task *task = waiter_pop(&p->lookers);
        lua_pushboolean(task_stack(task), 1);
        task_wake(task, 1);
    }
}

/* ---- how it starts ---- */

static void proc_dispose(struct proc *p)
{
    io_remove_closer(&p->closer);
    if (p->process)
        process_abandon(p->process);
    p->process = NULL;
    if (p->capture)
        capture_close(p->capture);
    p->capture = NULL;
}

/* The handle is in the registry, under the address of its proc. */
static void proc_started(void *data, const struct err *err)
{
    struct proc *p = data;
    struct task *task = p->starter;
    lua_State *L = task_stack(task);
    p->starter = NULL;
    if (!err) {
        p->pid = process_pid(p->process);
        lua_rawgetp(L, LUA_REGISTRYINDEX, p);
        task_wake(task, 1);
        return;
    }
    task_wake(task, bind_push_err(L, err));
    p->process = NULL;
    proc_dispose(p);
    unpin(p);
}

static void spawn_cancel(void *op)
{
    struct proc *p = op;
    p->starter = NULL;
    proc_dispose(p);
    unpin(p);
}

static void proc_closed(struct io_closer *closer)
{
    struct proc *p = (struct proc *)closer;
    proc_dispose(p);
    waiters_refuse(&p->waiters, "closed", "closed");
    waiters_refuse(&p->lookers, "closed", "closed");
    unpin(p);
}

static const struct process_calls calls = {proc_started, proc_exited};

/* ---- options ---- */

static int resource_of(lua_State *L, const char *name)
{
    static const struct {
        const char *name;
        int resource;
    } known[] = {{"as", RLIMIT_AS},         {"core", RLIMIT_CORE},   {"cpu", RLIMIT_CPU},
                 {"data", RLIMIT_DATA},     {"fsize", RLIMIT_FSIZE}, {"memlock", RLIMIT_MEMLOCK},
                 {"nofile", RLIMIT_NOFILE}, {"nproc", RLIMIT_NPROC}, {"stack", RLIMIT_STACK}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].name, name) == 0)
            return known[i].resource;
    return luaL_error(L,
                      "field 'limits': unknown limit '%s' (as core cpu data fsize memlock nofile "
                      "nproc stack)",
                      name);
}

static uint64_t limit_value(lua_State *L, const char *name)
{
    int exact;
    lua_Integer value = lua_tointegerx(L, -1, &exact);
    if (lua_type(L, -1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), "unlimited") == 0)
        return RLIM_INFINITY;
    if (!exact || value < 0)
        luaL_error(L, "field 'limits': '%s' must be a whole number or \"unlimited\"", name);
    return (uint64_t)value;
}

static size_t read_limits(lua_State *L, struct process_limit limits[MAX_LIMITS])
{
    size_t count = 0;
    if (lua_getfield(L, 1, "limits") == LUA_TNIL) {
        lua_pop(L, 1);
        return 0;
    }
    luaL_argcheck(L, lua_istable(L, -1), 1, "field 'limits': expected a table");
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1), count++) {
        luaL_argcheck(L, lua_type(L, -2) == LUA_TSTRING && count < MAX_LIMITS, 1,
                      "field 'limits': expected {<name> = <number>}");
        const char *name = lua_tostring(L, -2);
        limits[count].resource = resource_of(L, name);
        limits[count].value = limit_value(L, name);
    }
    lua_pop(L, 1);
    return count;
}

static int read_signal(lua_State *L, const char *key)
{
    const char *name = bind_opt_string(L, 1, key, "TERM");
    int number = signal_number(name);
    if (!number)
        luaL_error(L, "field '%s': there is no signal '%s'", key, name);
    return number;
}

/* The strings stay valid while the option table lives. */
static void read_log(lua_State *L, struct capture_spec *ret)
{
    *ret = (struct capture_spec){.max_bytes = 10485760, .keep = 5};
    if (lua_getfield(L, 1, "log") != LUA_TNIL) {
        luaL_argcheck(L, lua_istable(L, -1), 1, "field 'log': expected a table");
        int log = lua_gettop(L);
        ret->path = bind_opt_string(L, log, "path", NULL);
        ret->max_bytes = (uint64_t)bind_opt_integer(L, log, "maxBytes", 1, 1ll << 40, 10485760);
        ret->keep = (int)bind_opt_integer(L, log, "keep", 0, 1000, 5);
    }
    lua_pop(L, 1);
}

/* ---- spawn ---- */

static struct proc *new_proc(lua_State *L, struct engine *e);

/* It reads and writes where we do; but a terminal's keys are ours, as it is no group of that. */
static void inherit(struct process_spec *spec)
{
    spec->in_fd = isatty(0) ? -1 : 0;
    spec->out_fd = 1;
    spec->err_fd = 2;
}

static int begin(struct proc *p, struct process_spec *spec, const struct capture_spec *log,
                 bool inherits, struct err *err)
{
    int out_fd, err_fd;
    p->capture = capture_open(p->engine->io, log, &out_fd, &err_fd, err);
    if (!p->capture)
        return -1;
    spec->out_fd = out_fd;
    spec->err_fd = err_fd;
    if (inherits)
        inherit(spec);
    p->process = process_start(p->engine->io, spec, &calls, p, err);
    close(out_fd);
    close(err_fd);
    return p->process ? 0 : -1;
}

int l_process_spawn(lua_State *L)
{
    struct engine *e = bind_engine(L);
    const char *store[4];
    struct process_spec spec;
    struct process_limit limits[MAX_LIMITS];
    struct capture_spec log;
    struct err err = {0};
    bind_process_spec(L, store, &spec);
    spec.instance = bind_opt_string(L, 1, "instance", NULL);
    spec.umask = (int)bind_opt_integer(L, 1, "umask", 0, 0777, -1);
    spec.death_signal = read_signal(L, "deathSignal");
    spec.limits = limits;
    spec.limit_count = read_limits(L, limits);
    bool inherits = bind_opt_boolean(L, 1, "inherit", false);
    read_log(L, &log);
    log.needle = bind_opt_string(L, 1, "expect", NULL);
    luaL_argcheck(L, !log.needle || *log.needle, 1, "field 'expect' is empty");
    struct proc *p = new_proc(L, e);
    struct task *task = task_self(e, L);
    log.found = proc_seen;
    log.data = p;
    p->looks = log.needle != NULL;

    if (begin(p, &spec, &log, inherits, &err) < 0) {
        proc_dispose(p);
        return bind_fail(L, &err);
    }
    p->starter = task;
    io_add_closer(e->io, &p->closer, proc_closed);
    lua_rawsetp(L, LUA_REGISTRYINDEX, p);
    return task_park(task, spawn_cancel, p);
}

/* ---- the handle ---- */

static struct proc *check_proc(lua_State *L) { return luaL_checkudata(L, 1, PROC); }

static int l_wait(lua_State *L)
{
    struct engine *e = bind_engine(L);
    struct proc *p = check_proc(L);
    lua_Number seconds = waiter_opt_timeout(L, 2);
    struct task *task = task_self(e, L);
    if (!p->ended && !p->capture)
        return bind_closed(L);
    if (!p->ended)
        return waiter_park(task, &p->waiters, seconds);
    push_status(L, p->status);
    return 1;
}

static int l_expected(lua_State *L)
{
    struct engine *e = bind_engine(L);
    struct proc *p = check_proc(L);
    lua_Number seconds = waiter_opt_timeout(L, 2);
    luaL_argcheck(L, p->looks, 1, "was not started with a text to expect");
    struct task *task = task_self(e, L);
    if (!p->seen && (p->ended || !p->capture))
        return bind_closed(L);
    if (!p->seen)
        return waiter_park(task, &p->lookers, seconds);
    lua_pushboolean(L, 1);
    return 1;
}

static int l_signal(lua_State *L)
{
    struct proc *p = check_proc(L);
    const char *name = luaL_checkstring(L, 2);
    int number = signal_number(name);
    luaL_argcheck(L, number, 2, "there is no such signal");
    if (p->process)
        process_signal(p->process, number);
    lua_pushboolean(L, p->process != NULL);
    return 1;
}

static int l_kill(lua_State *L)
{
    struct proc *p = check_proc(L);
    if (p->process)
        process_kill_tree(p->process);
    lua_pushboolean(L, p->process != NULL);
    return 1;
}

static int l_tail(lua_State *L)
{
    struct proc *p = check_proc(L);
    lua_Integer wanted = luaL_optinteger(L, 2, 20);
    luaL_argcheck(L, wanted >= 0, 2, "must not be negative");
    size_t count = p->capture ? capture_count(p->capture) : 0;
    size_t first = (lua_Unsigned)wanted < count ? count - (size_t)wanted : 0;
    lua_newtable(L);
    for (size_t i = first; i < count; i++) {
        size_t len;
        const char *line = capture_line(p->capture, i, &len);
        lua_pushlstring(L, line, len);
        lua_rawseti(L, -2, (lua_Integer)(i - first + 1));
    }
    return 1;
}

static const luaL_Reg proc_methods[] = {{"wait", l_wait},     {"expected", l_expected},
                                        {"signal", l_signal}, {"kill", l_kill},
                                        {"tail", l_tail},     {NULL, NULL}};

/* proc.pid is a field, everything else a method (upvalue 1: the table of methods). */
static int l_index(lua_State *L)
{
    struct proc *p = check_proc(L);
    if (lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), "pid") == 0) {
        lua_pushinteger(L, p->pid);
        return 1;
    }
    lua_pushvalue(L, 2);
    lua_rawget(L, lua_upvalueindex(1));
    return 1;
}

/* Only an ended process's handle is collected, or every one when the state closes. */
static int l_gc(lua_State *L)
{
    proc_dispose(check_proc(L));
    return 0;
}

static void make_class(lua_State *L, struct engine *e)
{
    lua_newtable(L);
    lua_pushlightuserdata(L, e);
    luaL_setfuncs(L, proc_methods, 1);
    lua_pushcclosure(L, l_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, l_gc);
    lua_setfield(L, -2, "__gc");
    lua_pushliteral(L, "locked");
    lua_setfield(L, -2, "__metatable");
}

static struct proc *new_proc(lua_State *L, struct engine *e)
{
    struct proc *p = lua_newuserdatauv(L, sizeof *p, 0);
    *p = (struct proc){.engine = e};
    if (luaL_newmetatable(L, PROC))
        make_class(L, e);
    lua_setmetatable(L, -2);
    return p;
}
