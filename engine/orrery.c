#include "orrery.h"

#include <stdlib.h>
#include <unistd.h>

#include "core/err.h"
#include "core/mem.h"
#include "engine.h"
#include "io/io.h"

#define MAX_ROUNDS 16 /* of one step: then the host has its turn */

struct orrery {
    struct engine *engine; /* owned */
};

static int check_root(const char *root, struct err *err)
{
    char *probe = xasprintf("%s/lua/orrery/init.lua", root);
    bool found = access(probe, R_OK) == 0;
    int result = found
                     ? 0
                     : err_set(err, "not_found",
                               "%s is missing: install Orrery, or say where its folder is", probe);
    free(probe);
    return result;
}

struct orrery *orrery_open(const char *root, char **ret_error)
{
    struct err err = {0};
    root = root ? root : ORRERY_ROOT;
    struct engine *e = check_root(root, &err) == 0 ? engine_new(root, NULL, &err) : NULL;
    if (e) {
        struct orrery *o = xcalloc(1, sizeof *o);
        o->engine = e;
        return o;
    }
    if (ret_error)
        *ret_error = xstrdup(err.message);
    err_clear(&err);
    return NULL;
}

bool orrery_start(struct orrery *o, int argc, char *const *argv)
{
    if (o->engine->program.running)
        return false;
    engine_start(o->engine, "orrery.runner", "run", argc, argv);
    return true;
}

int orrery_fd(const struct orrery *o) { return uv_backend_fd(&o->engine->io->loop); }

int orrery_timeout(const struct orrery *o)
{
    if (o->engine->tasks.ready)
        return 0;
    return uv_backend_timeout(&o->engine->io->loop);
}

/* What a task starts is polled for only after the loop has run once more. */
bool orrery_step(struct orrery *o)
{
    struct engine *e = o->engine;
    int rounds = 0;
    do {
        engine_poll(e);
    } while (e->tasks.ready && ++rounds < MAX_ROUNDS);
    return engine_running(e);
}

int orrery_exit_code(const struct orrery *o) { return o->engine->program.code; }

const char *orrery_error(const struct orrery *o) { return o->engine->program.error; }

int orrery_run(struct orrery *o, int argc, char *const *argv)
{
    if (!orrery_start(o, argc, argv))
        return 1;
    engine_drive(o->engine);
    return orrery_exit_code(o);
}

struct lua_State *orrery_lua(struct orrery *o) { return o->engine->L; }

void orrery_close(struct orrery *o)
{
    if (!o)
        return;
    engine_close(o->engine);
    free(o);
}
