#include "engine.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bind/bind.h"
#include "bind/walk.h"
#include "core/err.h"
#include "core/mem.h"
#include "core/slab.h"
#include "io/io.h"

#include "bind/libs.h"

static const struct {
    const char *name;
    const luaL_Reg *functions;
} namespaces[] = {
#define LIB(name) {#name, bind_##name},
#include "bind/libs.h"
};

static int l_live(lua_State *L)
{
    struct engine *e = bind_engine(L);
    lua_createtable(L, 0, 2);
    lua_pushinteger(L, e->tasks.count);
    lua_setfield(L, -2, "tasks");
    lua_pushinteger(L, io_live(e->io));
    lua_setfield(L, -2, "handles");
    return 1;
}

static void push_namespaces(struct engine *e, lua_State *L)
{
    lua_newtable(L);
    for (size_t i = 0; i < sizeof namespaces / sizeof *namespaces; i++) {
        lua_newtable(L);
        lua_pushlightuserdata(L, e);
        luaL_setfuncs(L, namespaces[i].functions, 1);
        lua_setfield(L, -2, namespaces[i].name);
    }
    lua_getfield(L, -1, "json");
    walk_push_null(L);
    lua_setfield(L, -2, "null");
    lua_pop(L, 1);
    lua_pushlightuserdata(L, e);
    lua_pushcclosure(L, l_live, 1);
    lua_setfield(L, -2, "live");
    lua_pushliteral(L, ORRERY_VERSION);
    lua_setfield(L, -2, "version");
}

struct engine *engine_open(lua_State *L, struct guard *guard, struct err *err)
{
    struct io *io = xcalloc(1, sizeof *io);
    if (io_init(io, guard, err) < 0) {
        free(io);
        return NULL;
    }
    struct engine *e = xcalloc(1, sizeof *e);
    e->io = io;
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_MAINTHREAD);
    e->L = lua_tothread(L, -1);
    lua_pop(L, 1);
    tasks_init(e);
    bind_set_engine(L, e);
    push_namespaces(e, L);
    return e;
}

static void set_path(lua_State *L, const char *root)
{
    lua_getglobal(L, "package");
    lua_pushfstring(L, "%s/lua/?.lua;%s/lua/?/init.lua", root, root);
    lua_setfield(L, -2, "path");
    lua_pushliteral(L, "");
    lua_setfield(L, -2, "cpath");
    lua_pop(L, 1);
}

static void *lua_memory(void *slab, void *block, size_t old_size, size_t size)
{
    return slab_resize(slab, block, block ? old_size : 0, size); /* else it is the object's kind */
}

struct engine *engine_new(const char *root, struct guard *guard, struct err *err)
{
    struct slab *slab = slab_new();
    lua_State *L = lua_newstate(lua_memory, slab);
    if (!L)
        abort();
    luaL_openlibs(L);
    set_path(L, root);
    struct engine *e = engine_open(L, guard, err);
    if (!e) {
        lua_close(L);
        slab_free(slab);
        return NULL;
    }
    e->owns_state = true;
    e->slab = slab;
    e->root = xstrdup(root);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, "orrery.core");
    lua_pop(L, 2);
    return e;
}

static bool run_loop(struct engine *e, uv_run_mode mode)
{
    bool held = tasks_hold_collector(e);
    e->waits = true;
    bool alive = uv_run(&e->io->loop, mode) != 0;
    e->waits = false;
    if (held)
        tasks_release_collector(e);
    return alive;
}

bool engine_step(struct engine *e)
{
    bool alive = run_loop(e, e->tasks.ready ? UV_RUN_NOWAIT : UV_RUN_ONCE);
    return tasks_run_ready(e) || alive || uv_loop_alive(&e->io->loop);
}

void engine_poll(struct engine *e)
{
    run_loop(e, UV_RUN_NOWAIT);
    if (tasks_run_ready(e))
        return; /* the caller comes again at once */
    run_loop(e, UV_RUN_NOWAIT);
}

static void program_end(struct engine_program *p, int code, const char *error)
{
    p->running = false;
    p->code = code;
    p->error = error ? xstrdup(error) : NULL;
}

/* What it returned, or raised, is on top of the stack. */
static int program_ended(lua_State *L, int status, lua_KContext context)
{
    struct engine_program *p = &((struct engine *)context)->program;
    int exact;
    lua_Integer code = lua_tointegerx(L, -2, &exact);
    if (status != LUA_OK && status != LUA_YIELD)
        program_end(p, 1, lua_tostring(L, -1));
    else
        program_end(p, exact ? (int)(code & 255) : 1, lua_tostring(L, -1));
    return 0;
}

static int add_traceback(lua_State *L)
{
    luaL_traceback(L, L, luaL_tolstring(L, 1, NULL), 1);
    return 1;
}

/* (engine, module, name, arguments): runs require(module)[name](arguments). */
static int l_program(lua_State *L)
{
    lua_KContext context = (lua_KContext)lua_touserdata(L, 1);
    lua_pushcfunction(L, add_traceback);
    lua_getglobal(L, "require");
    lua_pushvalue(L, 2);
    lua_call(L, 1, 1);
    lua_pushvalue(L, 3);
    lua_gettable(L, -2);
    lua_replace(L, -2);
    lua_pushvalue(L, 4);
    int status = lua_pcallk(L, 1, 2, 5, context, program_ended);
    return program_ended(L, status, context);
}

void engine_start(struct engine *e, const char *module, const char *name, int argc,
                  char *const *argv)
{
    lua_State *L = e->L;

    free(e->program.error);
    e->program = (struct engine_program){.running = true, .code = 1};
    lua_pushcfunction(L, l_program);
    lua_pushlightuserdata(L, e);
    lua_pushstring(L, module);
    lua_pushstring(L, name);
    lua_createtable(L, argc, 1);
    for (int i = 0; i < argc; i++) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i);
    }
    task_spawn(e, L, 4);
}

bool engine_running(struct engine *e)
{
    if (e->program.running && e->tasks.count == 0)
        program_end(&e->program, 1, "the program's task has failed");
    return e->program.running;
}

void engine_drive(struct engine *e)
{
    while (engine_running(e))
        if (!engine_step(e) && e->program.running)
            program_end(&e->program, 1, "deadlock: the program waits for what can never happen");
}

void engine_close(struct engine *e)
{
    tasks_close(e);
    if (e->owns_state)
        lua_close(e->L); /* collects the handles that scripts left open, which need the loop */
    if (e->slab)
        slab_free(e->slab);
    io_close(e->io);
    free(e->io);
    free(e->program.error);
    free(e->root);
    free(e);
}
