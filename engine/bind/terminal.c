/* terminal.c -- orrery.terminal: lines that a person types. Documented in lua/meta/terminal.lua. */
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "bind/bind.h"
#include "bind/libs.h"
#include "bind/task.h"
#include "bind/wait.h"
#include "core/err.h"
#include "core/mem.h"
#include "engine.h"
#include "io/io.h"
#include "io/terminal.h"

#define READER "orrery.reader"
#define MAX_INSTEAD 65536

/* Owned by its Lua handle, and closed by the loop at the latest. */
struct reader {
    struct io_closer closer;
    struct terminal *terminal; /* owned */
    struct waiter *waiters;    /* one at most */
    void **userdata;           /* borrowed: where Lua points to us */
    bool pending;              /* an event came when nobody waited any more */
    struct terminal_event event;
};

static int push_event(lua_State *L, const struct terminal_event *event)
{
    static const char *const names[] = {"line", "tab", "interrupt", "eof"};
    if (event->kind == TERMINAL_TOO_LONG) {
        lua_pushnil(L);
        lua_pushliteral(L, "a line of the standard input is over 1 MiB");
        lua_pushliteral(L, "invalid");
        return 3;
    }
    lua_pushstring(L, names[event->kind]);
    if (event->kind != TERMINAL_LINE && event->kind != TERMINAL_TAB)
        return 1;
    lua_pushlstring(L, event->text, event->len);
    if (event->kind == TERMINAL_LINE)
        return 2;
    lua_pushinteger(L, (lua_Integer)event->point);
    return 3;
}

static void event_came(void *data, const struct terminal_event *event)
{
    struct reader *r = data;
    if (!r->waiters) {
        r->pending = true;
        r->event = *event;
        return;
    }
    struct task *task = waiter_pop(&r->waiters);
    task_wake(task, push_event(task_stack(task), event));
}

static void reader_close(struct reader *r)
{
    io_remove_closer(&r->closer);
    *r->userdata = NULL;
    waiters_refuse(&r->waiters, "closed", "closed");
    terminal_close(r->terminal);
    free(r);
}

static void reader_closed(struct io_closer *closer) { reader_close((struct reader *)closer); }

static int l_next(lua_State *L)
{
    struct engine *e = bind_engine(L);
    struct reader *r = bind_handle(L, 1, READER);
    const char *prompt = luaL_optstring(L, 2, "");
    lua_Number seconds = waiter_opt_timeout(L, 3);
    struct task *task = task_self(e, L);
    if (!r)
        return bind_closed(L);
    luaL_argcheck(L, !r->waiters, 1, "another task waits for its next line");
    if (r->pending) {
        r->pending = false;
        return push_event(L, &r->event);
    }
    struct terminal_event event;
    if (terminal_next(r->terminal, prompt, &event))
        return push_event(L, &event);
    return waiter_park(task, &r->waiters, seconds);
}

static int l_insert(lua_State *L)
{
    struct reader *r = bind_handle(L, 1, READER);
    const char *text = luaL_checkstring(L, 2);
    lua_Integer instead = luaL_optinteger(L, 3, 0);
    luaL_argcheck(L, instead >= 0 && instead <= MAX_INSTEAD, 3, "must be from 0 to 65536");
    if (r)
        terminal_insert(r->terminal, text, (int)instead);
    return 0;
}

static int l_print(lua_State *L)
{
    struct reader *r = bind_handle(L, 1, READER);
    size_t len;
    const char *text = luaL_checklstring(L, 2, &len);
    if (!r)
        return bind_closed(L);
    if (len && text[len - 1] != '\n') {
        lua_pushvalue(L, 2);
        lua_pushliteral(L, "\n");
        lua_concat(L, 2);
        text = lua_tostring(L, -1);
    }
    terminal_print(r->terminal, text);
    lua_pushboolean(L, true);
    return 1;
}

static int l_remember(lua_State *L)
{
    struct reader *r = bind_handle(L, 1, READER);
    const char *text = luaL_checkstring(L, 2);
    struct err err = {0};
    if (!r)
        return bind_closed(L);
    int kept = terminal_remember(r->terminal, text, &err);
    if (kept < 0)
        return bind_fail(L, &err);
    lua_pushboolean(L, kept);
    return 1;
}

static int l_edited(lua_State *L)
{
    struct reader *r = bind_handle(L, 1, READER);
    lua_pushboolean(L, r && terminal_is_edited(r->terminal));
    return 1;
}

static int l_close(lua_State *L)
{
    struct reader *r = bind_handle(L, 1, READER);
    if (r)
        reader_close(r);
    return 0;
}

static const luaL_Reg methods[] = {
    {"next", l_next},         {"insert", l_insert}, {"print", l_print},
    {"remember", l_remember}, {"edited", l_edited}, {"close", l_close},
    {"__close", l_close},     {"__gc", l_close},    {NULL, NULL}};

static int l_reader(lua_State *L)
{
    struct engine *e = bind_engine(L);
    struct err err = {0};
    bind_opt_table(L, 1);
    const char *history = bind_opt_string(L, 1, "history", NULL);
    const char *name = bind_opt_string(L, 1, "name", "orrery");
    void **handle = bind_new_handle(L, READER, methods);

    struct reader *r = xcalloc(1, sizeof *r);
    r->userdata = handle;
    r->terminal = terminal_open(e->io, name, history, event_came, r, &err);
    if (!r->terminal) {
        free(r);
        return bind_fail(L, &err);
    }
    io_add_closer(e->io, &r->closer, reader_closed);
    *handle = r;
    return 1;
}

const luaL_Reg bind_terminal[] = {{"reader", l_reader}, {NULL, NULL}};
