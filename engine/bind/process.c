/* process.c -- orrery.process: running programs. Documented in lua/meta/process.lua. */
#include "bind/process.h"

#include <lauxlib.h>
#include <signal.h>
#include <stdlib.h>

#include "bind/bind.h"
#include "bind/libs.h"
#include "bind/task.h"
#include "core/err.h"
#include "core/mem.h"
#include "core/proc.h"
#include "engine.h"
#include "io/command.h"
#include "io/io.h"

void bind_process_spec(lua_State *L, const char *store[4], struct process_spec *ret)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    const char *shell = bind_opt_string(L, 1, "shell", NULL);
    char **argv = bind_opt_list(L, 1, "argv");
    luaL_argcheck(L, (argv == NULL) != (shell == NULL), 1, "needs one of argv and shell");
    luaL_argcheck(L, shell || argv[0], 1, "argv is empty");
    if (shell) {
        store[0] = "/bin/sh";
        store[1] = "-c";
        store[2] = shell;
        store[3] = NULL;
    }
    *ret = (struct process_spec){.argv = shell ? (char *const *)store : argv,
                                 .env = bind_opt_map(L, 1, "env", "="),
                                 .cwd = bind_opt_string(L, 1, "cwd", NULL),
                                 .user = bind_opt_string(L, 1, "user", NULL),
                                 .group = bind_opt_string(L, 1, "group", NULL),
                                 .umask = -1,
                                 .in_fd = -1,
                                 .out_fd = -1,
                                 .err_fd = -1};
}

/* ---- run ---- */

/* Owned by the wait: freed when it is answered or cancelled. */
struct run_op {
    struct command *command; /* borrowed */
    struct task *task;
};

static void set_string(lua_State *L, const char *key, const char *text, size_t len)
{
    lua_pushlstring(L, text, len);
    lua_setfield(L, -2, key);
}

static void push_result(lua_State *L, const struct command_result *result)
{
    lua_createtable(L, 0, 5);
    if (result->exit_code >= 0) {
        lua_pushinteger(L, result->exit_code);
        lua_setfield(L, -2, "code");
    } else {
        lua_pushstring(L, signal_name(result->signal));
        lua_setfield(L, -2, "signal");
    }
    lua_pushboolean(L, result->timed_out);
    lua_setfield(L, -2, "timedOut");
    set_string(L, "stdout", result->out, result->out_len);
    set_string(L, "stderr", result->errors, result->errors_len);
}

static void run_done(void *data, const struct command_result *result)
{
    struct run_op *op = data;
    lua_State *L = task_stack(op->task);
    int count = 1;
    if (result->err)
        count = bind_push_err(L, result->err);
    else
        push_result(L, result);
    task_wake(op->task, count);
    free(op);
}

static void run_cancel(void *data)
{
    struct run_op *op = data;
    command_cancel(op->command);
    free(op);
}

static int l_run(lua_State *L)
{
    struct engine *e = bind_engine(L);
    const char *store[4];
    struct process_spec base;
    bind_process_spec(L, store, &base);
    struct command_spec spec = {.argv = base.argv,
                                .env = base.env,
                                .cwd = base.cwd,
                                .user = base.user,
                                .group = base.group,
                                .timeout_ms = bind_opt_seconds(L, 1, "timeout", 30)};
    spec.input = bind_opt_bytes(L, 1, "input", &spec.input_len);
    spec.max_output = (size_t)bind_opt_integer(L, 1, "maxOutput", 1, 1 << 28, 65536);
    struct task *task = task_self(e, L);

    struct run_op *op = xcalloc(1, sizeof *op);
    op->task = task;
    op->command = command_start(e->io, &spec, run_done, op);
    return task_park(task, run_cancel, op);
}

/* ---- guard_lost ---- */

struct lost_op {
    struct guard_watch *watch;
    struct task *task;
};

static void lost_told(void *data, const char *message)
{
    struct lost_op *op = data;
    lua_pushstring(task_stack(op->task), message);
    task_wake(op->task, 1);
    free(op);
}

static void lost_cancel(void *data)
{
    struct lost_op *op = data;
    process_guard_forget(op->watch);
    free(op);
}

static int l_guard_lost(lua_State *L)
{
    struct engine *e = bind_engine(L);
    struct task *task = task_self(e, L);
    struct err err = {0};

    struct lost_op *op = xcalloc(1, sizeof *op);
    op->task = task;
    op->watch = process_guard_watch(e->io, lost_told, op, &err);
    if (op->watch)
        return task_park(task, lost_cancel, op);
    free(op);
    lua_pushstring(L, err.message);
    err_clear(&err);
    return 1;
}

static int l_guard_pid(lua_State *L)
{
    pid_t pid = process_guard_pid(bind_engine(L)->io);
    if (!pid)
        return 0;
    lua_pushinteger(L, pid);
    return 1;
}

const luaL_Reg bind_process[] = {{"spawn", l_process_spawn},
                                 {"run", l_run},
                                 {"leftovers", l_process_leftovers},
                                 {"end_leftovers", l_process_end_leftovers},
                                 {"signals", l_process_signals},
                                 {"notify_socket", l_process_notify_socket},
                                 {"notify", l_process_notify},
                                 {"detach", l_process_detach},
                                 {"guard_lost", l_guard_lost},
                                 {"guard_pid", l_guard_pid},
                                 {"env", l_process_env},
                                 {"environ", l_process_environ},
                                 {"pid", l_process_pid},
                                 {"executable", l_process_executable},
                                 {"user", l_process_user},
                                 {"lookup_user", l_process_lookup_user},
                                 {"stat", l_process_stat},
                                 {"boot_id", l_process_boot_id},
                                 {"hostname", l_process_hostname},
                                 {NULL, NULL}};
