/* file.c -- the file backend: a folder of JSON files, for one machine or a shared folder. What is
 * in the files is file_store.c; when they are read and written, shelf.c. */
#include <jansson.h>

#include "backend.h"
#include "core/err.h"
#include "core/mem.h"
#include "file_store.h"

static void *file_open(struct io *io, const json_t *options, struct err *err)
{
    const char *folder = json_string_value(json_object_get(options, "filePath"));
    if (!folder || !*folder) {
        err_set(err, "invalid", "the file backend needs filePath, the folder of its files");
        return NULL;
    }
    void *store = file_store_open(folder, err);
    if (!store)
        return NULL;
    struct shelf_paths paths = {.lock = xasprintf("%s/.lock", folder),
                                .watched = xasprintf("%s/.", folder)};
    return shelf_new(io, &file_store_kind, store, paths);
}

static const char *const options[] = {"filePath", NULL};

const struct backend backend_file = {.name = "file",
                                     .can_watch = true,
                                     .options = options,
                                     .open = file_open,
                                     .start = shelf_start,
                                     .cancel = shelf_cancel,
                                     .close = shelf_close};
