/* serve.c -- orrery.http.serve: answering requests. Documented in lua/meta/http.lua. */
#include <ctype.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "bind/bind.h"
#include "bind/http.h"
#include "bind/task.h"
#include "bind/wait.h"
#include "core/err.h"
#include "core/mem.h"
#include "engine.h"
#include "io/server.h"

#define SERVER "orrery.http.server"
#define REQUEST "orrery.http.request"
#define OUT "orrery.http.out"
#define MAX_BODY (64 * 1024 * 1024)

/* A request that nobody has accepted yet. */
struct waiting {
    struct server_request *request; /* owned until accepted */
    struct waiting *next;
};

/* Owned by its handle. */
struct listener {
    struct server *server; /* owned */
    struct waiting *first, **last;
    struct waiter *acceptors;
};

/* ---- requests as tables ---- */

static void set_pair(lua_State *L, const char *name, const char *value)
{
    lua_pushstring(L, value);
    lua_setfield(L, -2, name);
}

static void add_parameter(void *L, const char *name, const char *value)
{
    set_pair(L, name, value);
}

static void add_header(void *L, const char *name, const char *value)
{
    char *lower = xstrdup(name);
    for (char *c = lower; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    set_pair(L, lower, value);
    free(lower);
}

static void push_fields(lua_State *L, struct server_request *request)
{
    size_t len;
    const char *body = server_body(request, &len);
    struct server_peer peer = server_peer(request);
    lua_createtable(L, 0, 6);
    set_pair(L, "method", server_method(request));
    set_pair(L, "path", server_path(request));
    lua_pushlstring(L, body, len);
    lua_setfield(L, -2, "body");
    lua_newtable(L);
    server_each_parameter(request, add_parameter, L);
    lua_setfield(L, -2, "query");
    lua_newtable(L);
    server_each_header(request, add_header, L);
    lua_setfield(L, -2, "headers");
    lua_createtable(L, 0, 2);
    lua_pushinteger(L, (lua_Integer)peer.uid);
    lua_setfield(L, -2, "uid");
    lua_pushinteger(L, peer.pid);
    lua_setfield(L, -2, "pid");
    lua_setfield(L, -2, "peer");
}

static const luaL_Reg request_methods[5];
static const luaL_Reg out_methods[5];

static void push_request(lua_State *L, struct server_request *request)
{
    void **handle = bind_new_handle(L, REQUEST, request_methods);
    *handle = request;
    push_fields(L, request);
    lua_setiuservalue(L, -2, 1);
}

/* ---- answers ---- */

static int check_status(lua_State *L, int arg)
{
    lua_Integer status = luaL_checkinteger(L, arg);
    luaL_argcheck(L, status >= 200 && status <= 599, arg, "must be a status from 200 to 599");
    return (int)status;
}

/* Header lines of the table at `arg`; leaves values on the stack that hold them. */
static char **check_headers(lua_State *L, int arg)
{
    if (lua_isnoneornil(L, arg))
        return NULL;
    luaL_checktype(L, arg, LUA_TTABLE);
    lua_createtable(L, 0, 1);
    lua_pushvalue(L, arg);
    lua_setfield(L, -2, "headers");
    char **headers = bind_opt_map(L, lua_gettop(L), "headers", ": ");
    for (char **h = headers; *h; h++)
        luaL_argcheck(L, !strpbrk(*h, "\r\n"), arg, "a header may not have a line break");
    return headers;
}

static int push_sent(lua_State *L, bool sent)
{
    if (!sent)
        return bind_closed(L);
    lua_pushboolean(L, 1);
    return 1;
}

/* Takes the request out of its handle: it is answered once. */
static struct server_request *take(lua_State *L)
{
    void **handle = luaL_checkudata(L, 1, REQUEST);
    struct server_request *request = *handle;
    *handle = NULL;
    return request;
}

static int l_respond(lua_State *L)
{
    size_t len;
    luaL_checkudata(L, 1, REQUEST);
    int status = check_status(L, 2);
    const char *body = luaL_optlstring(L, 4, "", &len);
    char **headers = check_headers(L, 3);
    struct server_request *request = take(L);
    if (!request)
        return luaL_error(L, "the request has been answered already");
    return push_sent(L, server_respond(request, status, headers, body, len));
}

static int l_request_stream(lua_State *L)
{
    luaL_checkudata(L, 1, REQUEST);
    int status = check_status(L, 2);
    char **headers = check_headers(L, 3);
    void **out = bind_new_handle(L, OUT, out_methods);
    struct server_request *request = take(L);
    if (!request)
        return luaL_error(L, "the request has been answered already");
    *out = request;
    server_stream(request, status, headers); /* a client that has gone shows at the first write */
    return 1;
}

static int l_request_gc(lua_State *L)
{
    struct server_request *request = take(L);
    if (request)
        server_discard(request);
    return 0;
}

static const luaL_Reg request_methods[5] = {{"__index", bind_index},
                                            {"respond", l_respond},
                                            {"stream", l_request_stream},
                                            {"__gc", l_request_gc},
                                            {NULL, NULL}};

static int l_out_close(lua_State *L)
{
    void **handle = luaL_checkudata(L, 1, OUT);
    struct server_request *request = *handle;
    *handle = NULL;
    if (request)
        server_stream_close(request);
    return 0;
}

static int l_out_write(lua_State *L)
{
    struct server_request *request = bind_handle(L, 1, OUT);
    size_t len;
    const char *text = luaL_checklstring(L, 2, &len);
    if (!request)
        return bind_closed(L);
    bool sent = server_stream_write(request, text, len);
    if (!sent)
        l_out_close(L);
    return push_sent(L, sent);
}

static const luaL_Reg out_methods[5] = {{"write", l_out_write},
                                        {"close", l_out_close},
                                        {"__gc", l_out_close},
                                        {"__close", l_out_close},
                                        {NULL, NULL}};

/* ---- the server ---- */

static void take_request(void *data, struct server_request *request)
{
    struct listener *l = data;
    if (l->acceptors) {
        struct task *task = waiter_pop(&l->acceptors);
        push_request(task_stack(task), request);
        task_wake(task, 1);
        return;
    }
    struct waiting *w = xcalloc(1, sizeof *w);
    w->request = request;
    *l->last = w;
    l->last = &w->next;
}

static struct server_request *pop_waiting(struct listener *l)
{
    struct waiting *w = l->first;
    if (!w)
        return NULL;
    struct server_request *request = w->request;
    l->first = w->next;
    if (!l->first)
        l->last = &l->first;
    free(w);
    return request;
}

static int l_accept(lua_State *L)
{
    struct engine *e = bind_engine(L);
    struct listener *l = bind_handle(L, 1, SERVER);
    struct task *task = task_self(e, L);
    if (!l)
        return bind_closed(L);
    struct server_request *request = pop_waiting(l);
    if (request) {
        push_request(L, request);
        return 1;
    }
    return waiter_park(task, &l->acceptors, -1);
}

/* Whoever waits in accept gets "closed". */
static int l_server_close(lua_State *L)
{
    void **handle = luaL_checkudata(L, 1, SERVER);
    struct listener *l = *handle;
    struct server_request *request;
    *handle = NULL;
    if (!l)
        return 0;
    while ((request = pop_waiting(l)))
        server_discard(request);
    server_close(l->server);
    waiters_refuse(&l->acceptors, "closed", "closed");
    free(l);
    return 0;
}

static const luaL_Reg server_methods[] = {{"accept", l_accept},
                                          {"close", l_server_close},
                                          {"__gc", l_server_close},
                                          {"__close", l_server_close},
                                          {NULL, NULL}};

int http_serve(lua_State *L)
{
    struct engine *e = bind_engine(L);
    struct err err = {0};
    luaL_checktype(L, 1, LUA_TTABLE);
    struct server_spec spec = {
        .path = bind_need_string(L, 1, "path"),
        .mode = (mode_t)bind_opt_integer(L, 1, "mode", 0, 0777, 0600),
        .max_body = (size_t)bind_opt_integer(L, 1, "maxBody", 0, MAX_BODY, 1024 * 1024),
    };
    void **handle = bind_new_handle(L, SERVER, server_methods);
    struct listener *l = xcalloc(1, sizeof *l);
    l->last = &l->first;
    l->server = server_open(e->io, &spec, take_request, l, &err);
    if (!l->server) {
        free(l);
        return bind_fail(L, &err);
    }
    *handle = l;
    return 1;
}
