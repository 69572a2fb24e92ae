/* task.c -- tasks, and orrery.task. Documented in lua/meta/task.lua. */
#include "bind/task.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uv.h>

#include "bind/bind.h"
#include "bind/libs.h"
#include "bind/wait.h"
#include "core/mem.h"
#include "engine.h"
#include "io/io.h"

#define HOOK_INSTRUCTIONS 10000
#define PUT_OFF_KIB (256 * 1024) /* more than the callbacks of one turn push */
#define RUNAWAY_NS 1000000000ull /* CPU time a task may use without waiting */
#define TURN_NS 2000000ull       /* for ready tasks before the loop is looked at again */

/* A task as Lua sees it. Its user value is the packed results once the task has ended. */
struct task_handle {
    struct task *task; /* borrowed; NULL once it has ended */
    struct waiter *joiners;
    bool failed;
};

static void answer_joiners(struct task_handle *h, lua_State *L);

/* ---- the scheduler ---- */

void tasks_init(struct engine *e)
{
    struct tasks *tasks = &e->tasks;
    *tasks = (struct tasks){0};
    tasks->ready_tail = &tasks->ready;
    tasks->root.engine = e;
    tasks->scratch = lua_newthread(e->L);
    lua_rawsetp(e->L, LUA_REGISTRYINDEX, tasks);
}

static uint64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Asking for the time is a system call, so a task's time counts from its first HOOK_INSTRUCTIONS
 * on: most wait again before. */
static bool ran_too_long(struct tasks *tasks)
{
    uint64_t now = cpu_ns();
    if (!tasks->resumed_cpu_ns)
        tasks->resumed_cpu_ns = now;
    return now - tasks->resumed_cpu_ns >= RUNAWAY_NS;
}

/* Fires every HOOK_INSTRUCTIONS; once a task has run too long, at every instruction, so that a
 * pcall loop cannot outrun it. Coroutines made by the script inherit it. */
static void runaway_hook(lua_State *L, lua_Debug *ar)
{
    struct engine *e = bind_engine_of(L);
    struct task *t = e->tasks.running;
    if (!t || !ran_too_long(&e->tasks))
        return;
    lua_sethook(L, runaway_hook, LUA_MASKCOUNT, 1);
    if (!t->tripped) {
        lua_getinfo(L, "Sl", ar);
        t->tripped = xasprintf("%s:%d: ran for a second without waiting, and was stopped",
                               ar->short_src, ar->currentline);
    }
    lua_pushstring(L, t->tripped);
    lua_error(L);
}

/* The loop runs timers before it waits for events, and would wait though one has woken a task. */
static void keep_from_waiting(struct engine *e)
{
    if (e->waits)
        uv_stop(&e->io->loop);
}

static void enqueue(struct task *t, int nresults)
{
    struct tasks *tasks = &t->engine->tasks;
    keep_from_waiting(t->engine);
    t->nresults = nresults;
    t->cancel = NULL;
    t->op = NULL;
    t->queued = true;
    if (t == &tasks->root)
        return;
    t->ready_next = NULL;
    *tasks->ready_tail = t;
    tasks->ready_tail = &t->ready_next;
}

struct task *task_spawn(struct engine *e, lua_State *L, int nargs)
{
    lua_State *co = lua_newthread(L);
    lua_insert(L, -(nargs + 2));
    lua_xmove(L, co, nargs + 1);
    lua_sethook(co, runaway_hook, LUA_MASKCOUNT, HOOK_INSTRUCTIONS);
    struct task *t = xcalloc(1, sizeof *t);
    t->engine = e;
    t->L = co;
    t->ref = luaL_ref(L, LUA_REGISTRYINDEX);
    t->next = e->tasks.all;
    t->prev = &e->tasks.all;
    if (t->next)
        t->next->prev = &t->next;
    e->tasks.all = t;
    e->tasks.count++;
    enqueue(t, nargs);
    return t;
}

struct task *task_self(struct engine *e, lua_State *L)
{
    struct task *t = e->tasks.running;
    if (t ? t->L != L : L != e->L)
        luaL_error(L, "cannot wait here: call it from a task (orrery.task.spawn), not from a "
                      "coroutine of your own");
    if (!t) {
        t = &e->tasks.root;
        t->L = L;
        t->queued = false;
    }
    if (t->cancelled) {
        lua_pushliteral(L, "cancelled");
        lua_error(L);
    }
    if (t != &e->tasks.root && !lua_isyieldable(L))
        luaL_error(L, "cannot wait here: not in a function that table.sort, string.gsub or a "
                      "finalizer calls");
    return t;
}

static int resumed(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    struct task *t = (struct task *)context;
    if (t->cancelled) {
        lua_pushliteral(L, "cancelled");
        return lua_error(L);
    }
    return t->nresults;
}

/* The host's main thread waits by driving the loop. */
static int drive(struct task *root)
{
    while (!root->queued)
        if (!engine_step(root->engine) && !root->queued) {
            if (root->cancel)
                root->cancel(root->op);
            root->cancel = NULL;
            return luaL_error(root->L, "deadlock: this wait can never be answered");
        }
    root->queued = false;
    return root->nresults;
}

int task_park(struct task *t, task_cancel_fn *cancel, void *op)
{
    if (!t->queued) {
        t->cancel = cancel;
        t->op = op;
    }
    if (t == &t->engine->tasks.root)
        return drive(t);
    return lua_yieldk(t->L, t->queued ? t->nresults : 0, (lua_KContext)t, resumed);
}

lua_State *task_stack(struct task *t)
{
    luaL_checkstack(t->L, 16, "task results");
    return t->L;
}

void task_wake(struct task *t, int nresults) { enqueue(t, nresults); }

void task_cancel(struct task *t)
{
    if (t->cancelled)
        return;
    t->cancelled = true;
    if (!t->cancel)
        return;
    task_cancel_fn *cancel = t->cancel;
    void *op = t->op;
    enqueue(t, 0);
    cancel(op);
}

/* The collector's debt is put off and taken up again, so that it keeps its pace; stopping and
 * restarting it would begin a collection at each turn of the loop. A finalizer that waits for
 * something is refused: it runs on no task's stack. */
bool tasks_hold_collector(struct engine *e)
{
    lua_State *L = e->tasks.scratch;
    if (lua_gc(L, LUA_GCISRUNNING) != 1)
        return false;
    lua_gc(L, LUA_GCSTEP, -PUT_OFF_KIB);
    return true;
}

void tasks_release_collector(struct engine *e)
{
    lua_gc(e->tasks.scratch, LUA_GCSTEP, PUT_OFF_KIB);
}

static void task_free(struct task *t)
{
    struct engine *e = t->engine;
    lua_resetthread(t->L); /* closes to-be-closed variables; lua_closethread() from 5.4.6 */
    luaL_unref(e->L, LUA_REGISTRYINDEX, t->ref);
    *t->prev = t->next;
    if (t->next)
        t->next->prev = t->prev;
    e->tasks.count--;
    free(t->tripped);
    free(t);
}

static bool was_cancelled(struct task *t)
{
    return t->cancelled && lua_type(t->L, -1) == LUA_TSTRING &&
           strcmp(lua_tostring(t->L, -1), "cancelled") == 0;
}

static int l_tostring(lua_State *L)
{
    luaL_tolstring(L, 1, NULL);
    return 1;
}

/* Makes a text of the error value on top of the stack, whatever its __tostring does. */
static void to_message(lua_State *L)
{
    lua_pushcfunction(L, l_tostring);
    lua_insert(L, -2);
    if (lua_pcall(L, 1, 1, 0) == LUA_OK)
        return;
    lua_pop(L, 1);
    lua_pushliteral(L, "an error value whose __tostring fails");
}

/* Nobody waits for this task, so its failure is told here, once. */
static void log_failure(struct task *t)
{
    lua_State *L = t->engine->tasks.scratch;
    lua_pushvalue(t->L, -1);
    lua_xmove(t->L, L, 1);
    to_message(L);
    luaL_traceback(L, t->L, lua_tostring(L, -1), 0);
    io_log(t->engine->io, IO_LOG_ERROR, "a task failed: %s", lua_tostring(L, -1));
    lua_pop(L, 2);
}

/* Hands the values on top of the ended task's stack to its handle. */
static void settle(struct task *t, bool ok, int nresults)
{
    struct task_handle *h = t->handle;
    if (!ok && !was_cancelled(t) && (!h || !h->joiners))
        log_failure(t);
    if (!h)
        return;
    lua_State *L = t->engine->tasks.scratch;
    lua_rawgetp(L, LUA_REGISTRYINDEX, t); /* the handle */
    lua_createtable(L, nresults, 1);
    for (int i = 0; i < nresults; i++) {
        lua_pushvalue(t->L, i - nresults);
        lua_xmove(t->L, L, 1);
        lua_rawseti(L, -2, i + 1);
    }
    lua_pushinteger(L, nresults);
    lua_setfield(L, -2, "n");
    lua_setiuservalue(L, -2, 1);
    h->failed = !ok;
    h->task = NULL;
    answer_joiners(h, L);
    lua_pop(L, 1);
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, t);
}

static void run(struct task *t)
{
    struct tasks *tasks = &t->engine->tasks;
    struct task *before = tasks->running;
    int n = 0;

    if (t->tripped) {
        free(t->tripped);
        t->tripped = NULL;
        lua_sethook(t->L, runaway_hook, LUA_MASKCOUNT, HOOK_INSTRUCTIONS);
    }
    tasks->running = t;
    tasks->resumed_cpu_ns = 0;
    int status = lua_resume(t->L, NULL, t->nresults, &n);
    tasks->running = before;
    if (status == LUA_YIELD)
        return;
    settle(t, status == LUA_OK, status == LUA_OK ? n : 1);
    task_free(t);
}

/* Puts those that were ready before, up to `tail`, in front of those that are ready since. */
static void put_back(struct tasks *tasks, struct task *first, struct task **tail)
{
    *tail = tasks->ready;
    if (!tasks->ready)
        tasks->ready_tail = tail;
    tasks->ready = first;
}

bool tasks_run_ready(struct engine *e)
{
    struct tasks *tasks = &e->tasks;
    struct task *t = tasks->ready, **tail = tasks->ready_tail;
    uint64_t began = t && t->ready_next ? uv_hrtime() : 0;
    tasks->ready = NULL;
    tasks->ready_tail = &tasks->ready;
    while (t) {
        struct task *next = t->ready_next;
        t->queued = false;
        run(t);
        t = next;
        if (t && uv_hrtime() - began > TURN_NS) {
            put_back(tasks, t, tail);
            break;
        }
    }
    return tasks->ready != NULL;
}

/* A program may end from within a task, while its main thread waits. */
static void give_up_root(struct tasks *tasks)
{
    if (tasks->root.cancel)
        tasks->root.cancel(tasks->root.op);
    tasks->root.cancel = NULL;
}

void tasks_close(struct engine *e)
{
    give_up_root(&e->tasks);
    for (struct task *t = e->tasks.all; t; t = t->next)
        task_cancel(t);
    e->tasks.ready = NULL;
    e->tasks.ready_tail = &e->tasks.ready;
    while (e->tasks.all) {
        struct task *t = e->tasks.all;
        if (t->handle) {
            t->handle->task = NULL;
            lua_pushnil(e->L);
            lua_rawsetp(e->L, LUA_REGISTRYINDEX, t);
        }
        task_free(t);
    }
}

/* ---- orrery.task ---- */

#define HANDLE "orrery.task"
#define QUEUE "orrery.queue"

static int push_outcome(lua_State *L, lua_State *to, int handle_index)
{
    struct task_handle *h = lua_touserdata(L, handle_index);
    lua_getiuservalue(L, handle_index, 1);
    int results = lua_gettop(L);
    lua_getfield(L, results, "n");
    int n = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
    luaL_checkstack(to, n + 4, "task results");
    luaL_checkstack(L, n + 4, "task results");
    if (h->failed) {
        lua_pushnil(to);
        lua_rawgeti(L, results, 1);
        to_message(L);
        if (to != L)
            lua_xmove(L, to, 1);
        lua_pushliteral(to, "failed");
        n = 3;
    } else {
        for (int i = 1; i <= n; i++) {
            lua_rawgeti(L, results, i);
            if (to != L)
                lua_xmove(L, to, 1);
        }
    }
    lua_remove(L, results);
    return n;
}

/* The handle is on top of L. */
static void answer_joiners(struct task_handle *h, lua_State *L)
{
    int handle_index = lua_gettop(L);
    while (h->joiners) {
        struct task *task = waiter_pop(&h->joiners);
        task_wake(task, push_outcome(L, task_stack(task), handle_index));
    }
}

static int l_task_gc(lua_State *L)
{
    struct task_handle *h = lua_touserdata(L, 1);
    if (h->task)
        h->task->handle = NULL;
    h->task = NULL;
    return 0;
}

static int l_task_cancel(lua_State *L)
{
    struct task_handle *h = luaL_checkudata(L, 1, HANDLE);
    if (h->task)
        task_cancel(h->task);
    return 0;
}

static int l_task_done(lua_State *L)
{
    struct task_handle *h = luaL_checkudata(L, 1, HANDLE);
    lua_pushboolean(L, h->task == NULL);
    return 1;
}

static int l_task_join(lua_State *L)
{
    struct engine *e = bind_engine(L);
    struct task_handle *h = luaL_checkudata(L, 1, HANDLE);
    lua_Number seconds = waiter_opt_timeout(L, 2);
    struct task *self = task_self(e, L);
    luaL_argcheck(L, h->task != self, 1, "a task cannot join itself");
    if (!h->task)
        return push_outcome(L, L, 1);
    return waiter_park(self, &h->joiners, seconds);
}

static const luaL_Reg task_methods[] = {{"cancel", l_task_cancel},
                                        {"done", l_task_done},
                                        {"join", l_task_join},
                                        {"__gc", l_task_gc},
                                        {NULL, NULL}};

static int l_spawn(lua_State *L)
{
    struct engine *e = bind_engine(L);
    luaL_checktype(L, 1, LUA_TFUNCTION);
    struct task_handle *h = lua_newuserdatauv(L, sizeof *h, 1);
    *h = (struct task_handle){0};
    bind_set_class(L, HANDLE, task_methods);
    lua_insert(L, 1);
    struct task *t = task_spawn(e, L, lua_gettop(L) - 2);
    h->task = t;
    t->handle = h;
    lua_pushvalue(L, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, t); /* keeps the handle while the task runs */
    return 1;
}

static int l_count(lua_State *L)
{
    lua_pushinteger(L, bind_engine(L)->tasks.count);
    return 1;
}

/* A queue's values are in its user value, a table with keys first .. last. */
struct queue {
    lua_Integer first, last;
    struct waiter *waiters;
};

static int l_queue_push(lua_State *L)
{
    struct queue *q = luaL_checkudata(L, 1, QUEUE);
    luaL_argcheck(L, !lua_isnoneornil(L, 2), 2, "nil cannot be queued");
    if (q->waiters) {
        struct task *task = waiter_pop(&q->waiters);
        lua_pushvalue(L, 2);
        lua_xmove(L, task_stack(task), 1);
        task_wake(task, 1);
        return 0;
    }
    lua_getiuservalue(L, 1, 1);
    lua_pushvalue(L, 2);
    lua_rawseti(L, -2, ++q->last);
    return 0;
}

static int l_queue_pop(lua_State *L)
{
    struct engine *e = bind_engine(L);
    struct queue *q = luaL_checkudata(L, 1, QUEUE);
    lua_Number seconds = waiter_opt_timeout(L, 2);
    struct task *self = task_self(e, L);
    if (q->first > q->last)
        return waiter_park(self, &q->waiters, seconds);
    lua_getiuservalue(L, 1, 1);
    lua_rawgeti(L, -1, q->first);
    lua_pushnil(L);
    lua_rawseti(L, -3, q->first++);
    return 1;
}

static int l_queue_length(lua_State *L)
{
    struct queue *q = luaL_checkudata(L, 1, QUEUE);
    lua_pushinteger(L, q->last - q->first + 1);
    return 1;
}

static const luaL_Reg queue_methods[] = {
    {"push", l_queue_push}, {"pop", l_queue_pop}, {"__len", l_queue_length}, {NULL, NULL}};

static int l_queue(lua_State *L)
{
    struct queue *q = lua_newuserdatauv(L, sizeof *q, 1);
    *q = (struct queue){.first = 1};
    bind_set_class(L, QUEUE, queue_methods);
    lua_newtable(L);
    lua_setiuservalue(L, -2, 1);
    return 1;
}

const luaL_Reg bind_task[] = {
    {"spawn", l_spawn}, {"count", l_count}, {"queue", l_queue}, {NULL, NULL}};
