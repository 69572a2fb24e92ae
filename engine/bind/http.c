/* http.c -- orrery.http: requests. Documented in lua/meta/http.lua. */
#include "bind/http.h"

#include <ctype.h>
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
#include "io/http.h"
#include "io/io.h"

#define STREAM "orrery.http.stream"
#define MAX_BODY (1024.0 * 1024 * 1024)

/* ---- headers ---- */

static void push_lower(lua_State *L, const char *text, size_t len)
{
    luaL_Buffer b;
    char *to = luaL_buffinitsize(L, &b, len);
    for (size_t i = 0; i < len; i++)
        to[i] = (char)tolower((unsigned char)text[i]);
    luaL_pushresultsize(&b, len);
}

static void push_trimmed(lua_State *L, const char *text, size_t len)
{
    for (; len && isspace((unsigned char)*text); len--)
        text++;
    while (len && isspace((unsigned char)text[len - 1]))
        len--;
    lua_pushlstring(L, text, len);
}

/* The table is on top of the stack. */
static void add_header(lua_State *L, const char *line, size_t len)
{
    const char *colon = memchr(line, ':', len);
    if (!colon)
        return;
    push_lower(L, line, (size_t)(colon - line));
    lua_pushvalue(L, -1);
    if (lua_rawget(L, -3) == LUA_TSTRING) {
        lua_pushliteral(L, ", ");
        push_trimmed(L, colon + 1, len - (size_t)(colon + 1 - line));
        lua_concat(L, 3);
    } else {
        lua_pop(L, 1);
        push_trimmed(L, colon + 1, len - (size_t)(colon + 1 - line));
    }
    lua_rawset(L, -3);
}

/* A table {[lower-case name] = value} of raw header lines; equal names are joined by ", ". */
static void push_headers(lua_State *L, const char *lines)
{
    lua_newtable(L);
    while (*lines) {
        size_t len = strcspn(lines, "\n");
        add_header(L, lines, len);
        lines += len + (lines[len] == '\n');
    }
}

/* ---- what a request table says ---- */

/* Leaves values on the stack that the request points into. */
static void read_tls(lua_State *L, int options, struct http_request *r)
{
    if (lua_getfield(L, options, "tls") == LUA_TNIL)
        return;
    if (!lua_istable(L, -1))
        luaL_error(L, "field 'tls': expected a table, got a %s", luaL_typename(L, -1));
    int tls = lua_gettop(L);
    r->ca = bind_opt_string(L, tls, "ca", NULL);
    r->cert = bind_opt_string(L, tls, "cert", NULL);
    r->key = bind_opt_string(L, tls, "key", NULL);
    r->server_name = bind_opt_string(L, tls, "serverName", NULL);
    r->no_verify = !bind_opt_boolean(L, tls, "verify", true);
}

static uint64_t read_timeout(lua_State *L, int options)
{
    uint64_t ms = bind_opt_seconds(L, options, "timeout", HTTP_TIMEOUT_MS / 1000.0);
    return ms ? ms : 1; /* 0 means the default to io/http.h */
}

static void read_request(lua_State *L, int options, struct http_request *r)
{
    *r = (struct http_request){
        .method = bind_opt_string(L, options, "method", NULL),
        .url = bind_opt_string(L, options, "url", NULL),
        .timeout_ms = read_timeout(L, options),
        .max_bytes = (size_t)bind_opt_integer(L, options, "maxBytes", 1, (lua_Integer)MAX_BODY,
                                              HTTP_MAX_BYTES),
        .unix_path = bind_opt_string(L, options, "unixSocket", NULL),
        .follow_redirects = bind_opt_boolean(L, options, "followRedirects", false),
        .reuse = bind_opt_boolean(L, options, "reuse", false),
    };
    r->body = bind_opt_bytes(L, options, "body", &r->body_len);
    r->headers = bind_opt_map(L, options, "headers", ": ");
    read_tls(L, options, r);
}

/* ---- whole answers ---- */

/* One pending request. Freed when it is answered or cancelled. */
struct request_op {
    struct http_op *http; /* owned */
    struct task *task;    /* borrowed */
};

static void push_head(lua_State *L, const struct http_response *response)
{
    lua_createtable(L, 0, 4);
    lua_pushinteger(L, response->status);
    lua_setfield(L, -2, "status");
    push_headers(L, response->headers);
    lua_setfield(L, -2, "headers");
    lua_pushnumber(L, (lua_Number)response->elapsed_us / 1e6);
    lua_setfield(L, -2, "elapsed");
}

static void request_done(void *data, const struct http_response *response, const struct err *err)
{
    struct request_op *op = data;
    lua_State *L = task_stack(op->task);
    int count = 1;
    if (response) {
        push_head(L, response);
        lua_pushlstring(L, response->body, response->body_len);
        lua_setfield(L, -2, "body");
    } else {
        count = bind_push_err(L, err);
    }
    task_wake(op->task, count);
    free(op);
}

static void request_cancel(void *data)
{
    struct request_op *op = data;
    http_cancel(op->http);
    free(op);
}

static int park_request(lua_State *L, const struct http_request *request)
{
    struct engine *e = bind_engine(L);
    struct task *task = task_self(e, L);
    struct request_op *op = xcalloc(1, sizeof *op);
    op->task = task;
    op->http = http_start(e->io, request, request_done, op);
    return task_park(task, request_cancel, op);
}

static int l_request(lua_State *L)
{
    struct http_request request;
    luaL_checktype(L, 1, LUA_TTABLE);
    bind_need_string(L, 1, "url");
    read_request(L, 1, &request);
    return park_request(L, &request);
}

static int l_get(lua_State *L)
{
    struct http_request request;
    const char *url = luaL_checkstring(L, 1);
    bind_opt_table(L, 2);
    read_request(L, 2, &request);
    request.url = url;
    return park_request(L, &request);
}

static int l_post(lua_State *L)
{
    struct http_request request;
    size_t len;
    const char *url = luaL_checkstring(L, 1), *body = luaL_optlstring(L, 2, "", &len);
    bind_opt_table(L, 3);
    read_request(L, 3, &request);
    request.url = url;
    request.body = body;
    request.body_len = len;
    return park_request(L, &request);
}

/* ---- answers that are read line by line ---- */

/* Owned by its handle once the headers are here, by the wait for them before that. */
struct stream {
    struct http_op *http;   /* owned */
    struct task *opener;    /* borrowed: who waits for the headers; NULL once they are here */
    struct waiter *readers; /* who waits for a line */
};

static void stream_close(void *data)
{
    struct stream *s = data;
    http_stream_close(s->http);
    free(s);
}

/* Pushes the next line or the reason why there is none. Returns 0 while neither is known. */
static int push_line(lua_State *L, struct stream *s)
{
    const char *line;
    size_t len;
    switch (http_stream_line(s->http, &line, &len)) {
    case HTTP_STREAM_READY:
        lua_pushlstring(L, line, len);
        return 1;
    case HTTP_STREAM_WAITING:
        return 0;
    case HTTP_STREAM_ENDED:
        break;
    }
    if (http_stream_error(s->http))
        return bind_push_err(L, http_stream_error(s->http));
    lua_pushnil(L);
    lua_pushliteral(L, "end");
    lua_pushliteral(L, "closed");
    return 3;
}

static const luaL_Reg stream_methods[6];

static void push_stream(lua_State *L, struct stream *s, const struct http_response *head)
{
    void **handle = bind_new_handle(L, STREAM, stream_methods);
    *handle = s;
    push_head(L, head);
    lua_setiuservalue(L, -2, 1); /* status, headers, elapsed */
}

static void answer_opener(struct stream *s)
{
    struct task *task = s->opener;
    struct http_response head;
    switch (http_stream_head(s->http, &head)) {
    case HTTP_STREAM_WAITING:
        return;
    case HTTP_STREAM_READY:
        s->opener = NULL;
        push_stream(task_stack(task), s, &head);
        task_wake(task, 1);
        return;
    case HTTP_STREAM_ENDED:
        break;
    }
    task_wake(task, bind_push_err(task_stack(task), http_stream_error(s->http)));
    stream_close(s);
}

static void stream_changed(void *data)
{
    struct stream *s = data;
    if (s->opener) {
        answer_opener(s);
        return;
    }
    while (s->readers) {
        int count = push_line(task_stack(s->readers->task), s);
        if (!count)
            return;
        task_wake(waiter_pop(&s->readers), count);
    }
}

static int l_stream(lua_State *L)
{
    struct engine *e = bind_engine(L);
    struct http_request request;
    luaL_checktype(L, 1, LUA_TTABLE);
    bind_need_string(L, 1, "url");
    read_request(L, 1, &request);
    struct task *task = task_self(e, L);

    struct stream *s = xcalloc(1, sizeof *s);
    s->opener = task;
    s->http = http_stream_start(e->io, &request, stream_changed, s);
    return task_park(task, stream_close, s);
}

static int l_stream_line(lua_State *L)
{
    struct engine *e = bind_engine(L);
    struct stream *s = bind_handle(L, 1, STREAM);
    lua_Number seconds = waiter_opt_timeout(L, 2);
    struct task *task = task_self(e, L);
    if (!s)
        return bind_closed(L);
    int count = s->readers ? 0 : push_line(L, s); /* who waits already comes first */
    return count ? count : waiter_park(task, &s->readers, seconds);
}

/* Whoever waits for a line gets "closed". */
static int l_stream_close(lua_State *L)
{
    void **handle = luaL_checkudata(L, 1, STREAM);
    struct stream *s = *handle;
    *handle = NULL;
    if (!s)
        return 0;
    waiters_refuse(&s->readers, "closed", "closed");
    stream_close(s);
    return 0;
}

static const luaL_Reg stream_methods[6] = {{"__index", bind_index},     {"line", l_stream_line},
                                           {"close", l_stream_close},   {"__gc", l_stream_close},
                                           {"__close", l_stream_close}, {NULL, NULL}};

const luaL_Reg bind_http[] = {{"request", l_request}, {"get", l_get},        {"post", l_post},
                              {"stream", l_stream},   {"serve", http_serve}, {NULL, NULL}};
