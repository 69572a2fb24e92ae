/* script.c -- orrery.script: user scripts that compute and may not wait. Documented in
 * lua/meta/script.lua. */
#include <lauxlib.h>
#include <malloc.h>
#include <string.h>
#include <time.h>

#include "bind/bind.h"
#include "bind/libs.h"
#include "core/slab.h"
#include "engine.h"

#define HOOK_INSTRUCTIONS 1000
#define MAX_GROWTH ((size_t)256 * 1024 * 1024)
#define MAX_TEXT (16 * 1024 * 1024)

/* The bounds of one script.call(), kept on the C stack of that call. */
struct bounds {
    struct bounds *outer;
    lua_Number deadline; /* of this thread's CPU time, in seconds */
    lua_Alloc alloc;     /* what the state allocates with outside of the call */
    void *alloc_data;
    size_t growth; /* bytes allocated since the call began; a free of older memory counts as none */
};

static const char bounds_key;

static lua_Number cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (lua_Number)t.tv_sec + (lua_Number)t.tv_nsec / 1e9;
}

static struct bounds *get_bounds(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &bounds_key);
    struct bounds *b = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return b;
}

static void set_bounds(lua_State *L, struct bounds *b)
{
    if (b)
        lua_pushlightuserdata(L, b);
    else
        lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &bounds_key);
}

/* Once a bound is broken it fires at every instruction, so that a pcall loop cannot outrun it. */
static void bounds_hook(lua_State *L, lua_Debug *ar)
{
    const struct bounds *b = get_bounds(L);
    if (!b)
        return;
    if (cpu_s() <= b->deadline)
        return;
    lua_sethook(L, bounds_hook, LUA_MASKCOUNT, 1);
    lua_getinfo(L, "Sl", ar);
    luaL_error(L, "%s:%d: ran too long, and was stopped", ar->short_src, ar->currentline);
}

/* The state's allocator while a script runs: a few instructions can ask for gigabytes, long before
 * the hook looks. */
static void *bounded_alloc(void *data, void *block, size_t old_size, size_t new_size)
{
    struct bounds *b = data;
    size_t before = block ? old_size : 0; /* else it is the kind of the new object */
    if (new_size > before && b->growth + (new_size - before) > MAX_GROWTH)
        return NULL;
    void *result = b->alloc(b->alloc_data, block, old_size, new_size);
    if (!result && new_size > 0)
        return NULL;
    size_t freed = before > new_size ? before - new_size : 0;
    b->growth += new_size > before ? new_size - before : 0;
    b->growth -= freed < b->growth ? freed : b->growth;
    return result;
}

static int l_load(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    const char *name = luaL_checkstring(L, 2);
    luaL_checktype(L, 3, LUA_TTABLE);
    luaL_argcheck(L, len <= MAX_TEXT, 1, "longer than 16 MiB");
    if (len > 1 && text[0] == '#') { /* a first line for the shell */
        const char *end = memchr(text, '\n', len);
        len = end ? len - (size_t)(end - text) : 0;
        text = end ? end : "";
    }
    /* In a thread of its own: a parser that runs out of stack calls the message handler of the
     * running one, which is somebody else's. */
    lua_State *co = lua_newthread(L);
    int status = luaL_loadbufferx(co, text, len, name, "t");
    lua_xmove(co, L, 1);
    if (status != LUA_OK) {
        lua_pushnil(L);
        lua_insert(L, -2);
        lua_pushliteral(L, "invalid");
        return 3;
    }
    lua_pushvalue(L, 3);
    lua_setupvalue(L, -2, 1); /* _ENV */
    return 1;
}

static int l_call(lua_State *L)
{
    lua_Number seconds = luaL_checknumber(L, 1);
    luaL_checktype(L, 2, LUA_TFUNCTION);
    luaL_argcheck(L, seconds > 0 && seconds <= 60, 1, "must be above 0 and at most 60 seconds");
    int nargs = lua_gettop(L) - 2;
    lua_State *co = lua_newthread(L);
    lua_insert(L, 1); /* keeps the coroutine alive */
    lua_xmove(L, co, nargs + 1);
    struct bounds b = {.outer = get_bounds(L), .deadline = cpu_s() + seconds};
    if (b.outer && b.outer->deadline < b.deadline)
        b.deadline = b.outer->deadline;
    lua_sethook(co, bounds_hook, LUA_MASKCOUNT, HOOK_INSTRUCTIONS);
    set_bounds(L, &b);
    b.alloc = lua_getallocf(L, &b.alloc_data);
    lua_setallocf(L, bounded_alloc, &b);
    int n = 0;
    int status = lua_resume(co, L, nargs, &n);
    lua_setallocf(L, b.alloc, b.alloc_data);
    set_bounds(L, b.outer);
    if (status == LUA_OK) {
        lua_pushboolean(L, 1);
        luaL_checkstack(L, n, "script results");
        lua_xmove(co, L, n);
        return n + 1;
    }
    lua_pushnil(L);
    if (status == LUA_YIELD) {
        lua_resetthread(co);
        lua_pushliteral(L, "a script of this kind may not wait");
    } else if (status == LUA_ERRMEM) {
        lua_sethook(co, NULL, 0, 0);
        lua_pushliteral(L, "used too much memory, and was stopped");
    } else {
        lua_sethook(co, NULL, 0, 0);
        if (lua_type(co, -1) != LUA_TTABLE)
            luaL_tolstring(co, -1, NULL);
        lua_xmove(co, L, 1); /* an error table is handed on as it is */
    }
    lua_pushliteral(L, "failed");
    return 3;
}

static int l_root(lua_State *L)
{
    lua_pushstring(L, bind_engine(L)->root);
    return 1;
}

/* The allocators keep what was freed. */
static int l_tidy(lua_State *L)
{
    const struct engine *e = bind_engine(L);
    lua_gc(L, LUA_GCCOLLECT);
    lua_gc(L, LUA_GCCOLLECT); /* what had a finalizer goes only now */
    if (e->slab)
        slab_trim(e->slab);
    malloc_trim(0);
    return 0;
}

const luaL_Reg bind_script[] = {
    {"load", l_load}, {"call", l_call}, {"root", l_root}, {"tidy", l_tidy}, {NULL, NULL}};
