/* file_watch.c -- watching a folder by inotify. */
#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/err.h"
#include "core/mem.h"
#include "io/file.h"
#include "io/io.h"

/* Owned by the loop: freed when its handle has closed. */
struct file_watch {
    uv_fs_event_t event;
    char *folder; /* owned */
    ino_t inode;  /* of the folder: another one may get its name */
    char *only;   /* owned; the one name of interest, or NULL */
    file_watch_fn *changed;
    void *data; /* borrowed */
};

static void watch_free(uv_handle_t *handle)
{
    struct file_watch *w = handle->data;
    free(w->folder);
    free(w->only);
    free(w);
}

static bool is_gone(const struct file_watch *w)
{
    struct stat st;
    if (stat(w->folder, &st) < 0)
        return errno == ENOENT;
    return st.st_ino != w->inode;
}

static void watch_event(uv_fs_event_t *event, const char *name, int events, int status)
{
    struct file_watch *w = event->data;
    (void)events;
    (void)status;
    if (is_gone(w)) {
        struct err err = {0};
        err_set(&err, "not_found", "the watched folder %s was removed or replaced", w->folder);
        uv_fs_event_stop(event);
        w->changed(w->data, NULL, &err);
        err_clear(&err);
        return;
    }
    if (name && (!w->only || strcmp(name, w->only) == 0))
        w->changed(w->data, name, NULL);
}

/* A file is watched through its folder, since a replaced file is another inode. */
static void split(struct file_watch *w, const char *path)
{
    struct stat st;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
        w->folder = xstrdup(path);
        return;
    }
    char *copy = xstrdup(path);
    w->folder = xstrdup(dirname(copy));
    strcpy(copy, path);
    w->only = xstrdup(basename(copy));
    free(copy);
}

struct file_watch *file_watch_start(struct io *io, const char *path, file_watch_fn *changed,
                                    void *data, struct err *err)
{
    struct file_watch *w = xcalloc(1, sizeof *w);
    split(w, path);
    w->changed = changed;
    w->data = data;
    w->event.data = w;
    uv_fs_event_init(&io->loop, &w->event);
    struct stat st = {0};
    stat(w->folder, &st);
    w->inode = st.st_ino;
    int failure = uv_fs_event_start(&w->event, watch_event, w->folder, 0);
    uv_unref((uv_handle_t *)&w->event);
    if (!failure)
        return w;
    err_errno(err, -failure, "cannot watch %s", w->folder);
    if (failure == UV_ENOSPC)
        err_set(err, "io",
                "cannot watch %s: the system's limit of inotify watches is reached; raise "
                "fs.inotify.max_user_watches",
                w->folder);
    file_watch_stop(w);
    return NULL;
}

void file_watch_ref(struct file_watch *w, bool ref)
{
    if (ref)
        uv_ref((uv_handle_t *)&w->event);
    else
        uv_unref((uv_handle_t *)&w->event);
}

void file_watch_stop(struct file_watch *w) { uv_close((uv_handle_t *)&w->event, watch_free); }
