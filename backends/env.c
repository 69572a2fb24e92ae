/* env.c -- the env backend: records as environment variables, which this process was given and
 * which an env file hands to others. */
#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "backend.h"
#include "core/err.h"
#include "core/mem.h"
#include "env_store.h"

#define PREFIX "ATPROTO_SERVICE_"

static int check_prefix(const char *prefix, struct err *err)
{
    bool good = *prefix && !isdigit((unsigned char)*prefix);
    for (const char *c = prefix; *c; c++)
        good &= isalnum((unsigned char)*c) || *c == '_';
    if (!good)
        return err_set(err, "invalid",
                       "envPrefix: \"%.60s\" cannot begin a variable's name; use "
                       "letters, digits and _",
                       prefix);
    return 0;
}

/* <folder>/.<name>.lock; a file named without a folder is in the current one. */
static struct shelf_paths paths_of(const char *file)
{
    if (!file)
        return (struct shelf_paths){0};
    const char *slash = strrchr(file, '/');
    int folder = slash ? (int)(slash - file) + 1 : 0;
    return (struct shelf_paths){
        .lock = xasprintf("%.*s.%s.lock", folder, file, slash ? slash + 1 : file),
        .watched = xstrdup(file)};
}

static void *env_open(struct io *io, const json_t *options, struct err *err)
{
    const char *prefix = json_string_value(json_object_get(options, "envPrefix"));
    const char *file = json_string_value(json_object_get(options, "envFile"));
    if (check_prefix(prefix ? prefix : PREFIX, err) < 0)
        return NULL;
    char *path = file && *file ? file[0] == '/' ? xstrdup(file) : xasprintf("./%s", file) : NULL;
    void *store = env_store_open(prefix ? prefix : PREFIX, path);
    struct shelf *shelf = shelf_new(io, &env_store_kind, store, paths_of(path));
    free(path);
    return shelf;
}

static const char *const options[] = {"envPrefix", "envFile", NULL};

const struct backend backend_env = {.name = "env",
                                    .can_watch = true,
                                    .options = options,
                                    .open = env_open,
                                    .start = shelf_start,
                                    .cancel = shelf_cancel,
                                    .close = shelf_close};
