/* file.h -- files and folders: whole-file reads, atomic writes, locks, trees, watching.
 *
 * All but the watch are plain calls that end before they return. Paths are the caller's; none is
 * kept. Messages name the path and what was being done with it. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct buf;
struct err;
struct io;

struct file_owner {
    bool set; /* else whoever runs this process */
    uid_t uid;
    gid_t gid;
};

/* How a file or folder is made. */
struct file_options {
    bool keep;   /* writing: an existing file's mode and owner stay (mode is for a new one) */
    mode_t mode; /* exact: the umask does not count */
    struct file_owner owner;
    bool no_sync;   /* writing: do not wait for the disk */
    bool late_name; /* writing: a crash may leave the old file in place, but never half of one */
};

/* "user", "user:group", or numbers; a user alone brings its own group. */
int file_find_owner(const char *text, struct file_owner *ret_owner, struct err *err);

/* Appends the content to `out`. More than `max` bytes, a folder, a pipe or a socket are errors. */
int file_read(const char *path, size_t max, struct buf *out, struct err *err);

/* Replaces the file in one step: a temporary file beside it gets mode and owner, then the content,
 * then the name. On an error the old file is as it was and nothing is left behind. A symbolic link
 * is replaced, not followed. */
int file_write(const char *path, const void *bytes, size_t len, const struct file_options *options,
               struct err *err);

int file_append(const char *path, const void *bytes, size_t len, const struct file_options *options,
                struct err *err);

/* Waits until the folder of `path` is on the disk: what was made, renamed or removed in it stays
 * so. */
int file_sync_folder(const char *path, struct err *err);

/* Whether `name` is that of a temporary file that file_write() would make for `base`. */
bool file_is_temporary(const char *name, const char *base);

/* Makes the folder with its mode and owner; missing parents become 0755 and ours. An existing
 * folder stays as it is. */
int file_mkdir(const char *path, const struct file_options *options, struct err *err);

/* Removes a tree without following links. A missing one is fine. */
int file_remove_tree(const char *path, struct err *err);

/* Copies files, folders (into an existing one, too) and symbolic links with their modes. */
int file_copy_tree(const char *from, const char *to, const struct file_owner *owner,
                   struct err *err);

/* Tries to take the lock file `path` (made if missing, 0640) and writes our pid into it. Returns a
 * descriptor to close with file_unlock(), or -1; code "exists": another process holds it. */
int file_lock(const char *path, struct err *err);
void file_unlock(int fd);

/* Whether `user` (or this process, if not set) could write there, by mode bits; of a path that does
 * not exist, whether it could be made. */
int file_writable(const char *path, const struct file_owner *user, struct err *err);

/* A watch on a folder, or on one file in its folder (which may be missing, and be replaced). */
struct file_watch;

/* Called from the loop with the name that changed. `err` non-NULL: the watch is over, the folder
 * went away. Only file_watch_stop() may follow then. */
typedef void file_watch_fn(void *data, const char *name, const struct err *err);

struct file_watch *file_watch_start(struct io *io, const char *path, file_watch_fn *changed,
                                    void *data, struct err *err);
/* Whether the watch alone keeps the loop running: only while somebody waits for it. */
void file_watch_ref(struct file_watch *w, bool ref);
void file_watch_stop(struct file_watch *w);
