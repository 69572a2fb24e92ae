/* engine.h -- one engine: an event loop, a Lua state, and the tasks that join them.
 *
 * The only place that knows start and stop order. Nothing here is global: two engines may live in
 * one process. */
#pragma once
#include <lua.h>
#include <stdbool.h>

#include "bind/task.h"

struct err;
struct guard;
struct io;
struct slab;

/* The Lua function that the engine runs as its program. */
struct engine_program {
    bool running;
    int code;    /* once it has ended: its exit code, 0 to 255 */
    char *error; /* owned: why it failed; NULL if it did not */
};

struct engine {
    struct io *io; /* owned */
    lua_State *L;  /* the main thread; owned if `owns_state`, else the host's */
    bool owns_state;
    struct slab *slab;             /* owned: the memory of a state that is ours; else NULL */
    struct tasks tasks;            /* embedded; touched only by bind/task.c */
    bool waits;                    /* the loop runs, and may be about to wait for events */
    struct engine_program program; /* embedded */
    char *root;                    /* owned: the folder that holds lua/, profiles/ and templates/ */
};

/* Opens an engine over the host's Lua state, and pushes the table of its namespaces (`orrery.core`)
 * on top of it. `guard` (borrowed; may be NULL) starts processes; without one the first process
 * started forks it. Returns NULL with `err` set and nothing pushed. */
struct engine *engine_open(lua_State *L, struct guard *guard, struct err *err);

/* Opens an engine that owns its Lua state, with `orrery.core` preloaded and package.path set to
 * `root`/lua. `root` is copied. */
struct engine *engine_new(const char *root, struct guard *guard, struct err *err);

/* Starts the Lua function `name` of module `module` with the argument vector (argv[0] becomes
 * [0]) as a task: e->program. It returns an exit code, and why it failed. No program may be
 * running. */
void engine_start(struct engine *e, const char *module, const char *name, int argc,
                  char *const *argv);

/* True until the program has ended. */
bool engine_running(struct engine *e);

/* Drives the loop until the program has ended. */
void engine_drive(struct engine *e);

/* Drives the loop one step: waits for events (unless something is ready), then runs what is ready.
 * Returns false when nothing can ever happen again. */
bool engine_step(struct engine *e);

/* As engine_step(), and waits for nothing. What the tasks asked of the loop is asked of the kernel
 * too, so that the host can poll for it. */
void engine_poll(struct engine *e);

/* Cancels every task, ends what the loop still holds, and closes the state if the engine owns it.
 */
void engine_close(struct engine *e);
