/* shelf.h -- a backend whose records lie in files of this machine: when they are read and written.
 *
 * Files are read and written on libuv's threads, so that a slow disk holds up nobody. There is one
 * job at a time for each shelf: the store belongs to the job while one runs, else to the loop. One
 * reading answers all lookups that were waiting for it, and one job does the writings that were
 * waiting, some of them at least. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "backend.h"
#include "core/err.h"
#include "sheet.h"

struct io;
struct shelf;

/* A change that is wanted. */
struct shelf_writing {
    struct backend_request request;
    struct err fault;     /* set by who writes, if it fails */
    atomic_bool given_up; /* it was cancelled: it need not be begun with any more */
};

/* What is in the files. */
struct store_kind {
    /* All on a thread: wait for nothing but the disk. Under the lock, once before a job writes:
     * clears away what writers of these services that died have left. May be NULL. */
    void (*sweep)(void *store, const char *const *services, size_t count);
    /* Under the lock. What concerns the same file is one change of it. */
    void (*write)(void *store, struct shelf_writing *list, size_t count);
    /* Reads what has changed since the last time, and gives the sheets as they are now. */
    int (*read)(void *store, struct index *ret_index, struct err *err);
    int (*make_folder)(void *store, struct err *err); /* the one of the lock has vanished */
    void (*close)(void *store);
};

/* Where it is; owned by the shelf. All NULL: the store is this process's own memory. */
struct shelf_paths {
    char *lock;    /* held by whoever writes */
    char *watched; /* one file, or "<folder>/." (which is never taken for a file, as a missing
                    * folder would be) */
};

/* Takes over the store and the paths. */
struct shelf *shelf_new(struct io *io, const struct store_kind *kind, void *store,
                        struct shelf_paths paths);

/* These three are a backend's own. */
void *shelf_start(void *self, const struct backend_request *request, backend_done_fn *done,
                  void *data);
void shelf_cancel(void *self, void *op);
void shelf_close(void *self);
