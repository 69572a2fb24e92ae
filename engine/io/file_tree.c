/* file_tree.c -- folders: making, removing and copying them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/err.h"
#include "core/mem.h"
#include "io/file.h"

#define MAX_DEPTH 256

static bool is_dot(const char *name) { return strcmp(name, ".") == 0 || strcmp(name, "..") == 0; }

/* ---- making ---- */

static bool is_folder(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int make_one(const char *path, const struct file_options *options, struct err *err)
{
    if (mkdir(path, 0700) < 0) {
        if (errno == EEXIST && is_folder(path))
            return 0;
        return err_errno(err, errno, "cannot make the folder %s", path);
    }
    const struct file_owner *owner = &options->owner;
    if ((owner->set && lchown(path, owner->uid, owner->gid) < 0) ||
        chmod(path, options->mode) < 0) {
        int failure = errno;
        rmdir(path);
        return err_errno(err, failure, "cannot make the folder %s", path);
    }
    return 0;
}

static int make_parents(char *path, struct err *err)
{
    static const struct file_options parents = {.mode = 0755};
    int result = 0;
    for (char *slash = strchr(path + 1, '/'); slash && result == 0;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (!is_folder(path))
            result = make_one(path, &parents, err);
        *slash = '/';
    }
    return result;
}

int file_mkdir(const char *path, const struct file_options *options, struct err *err)
{
    char *copy = xstrdup(path);
    size_t len = strlen(copy);
    while (len > 1 && copy[len - 1] == '/')
        copy[--len] = '\0';
    int result = 0;
    if (!is_folder(copy)) {
        result = make_parents(copy, err);
        if (result == 0)
            result = make_one(copy, options, err);
    }
    free(copy);
    return result;
}

/* ---- removing ---- */

static int remove_at(int folder, const char *name, int depth);

static int remove_entries(int fd, int depth)
{
    DIR *dir = fdopendir(fd);
    if (!dir) {
        close(fd);
        return -1;
    }
    int failure = 0;
    struct dirent *entry;
    while (!failure && (entry = readdir(dir)))
        if (!is_dot(entry->d_name) && remove_at(fd, entry->d_name, depth + 1) < 0)
            failure = errno;
    closedir(dir);
    errno = failure;
    return failure ? -1 : 0;
}

static int remove_at(int folder, const char *name, int depth)
{
    if (unlinkat(folder, name, 0) == 0 || errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM)
        return -1;
    if (depth > MAX_DEPTH) {
        errno = ELOOP;
        return -1;
    }
    int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || remove_entries(fd, depth) < 0)
        return -1;
    return unlinkat(folder, name, AT_REMOVEDIR);
}

int file_remove_tree(const char *path, struct err *err)
{
    if (path[strspn(path, "/.")] == '\0')
        return err_set(err, "invalid", "refused to remove %s", path);
    if (remove_at(AT_FDCWD, path, 0) < 0)
        return err_errno(err, errno, "cannot remove %s", path);
    return 0;
}

/* ---- copying ---- */

static int copy_entry(const char *from, const char *to, const struct file_owner *owner, int depth,
                      struct err *err);

static int copy_bytes(int in, int out)
{
    for (;;) {
        ssize_t moved = sendfile(out, in, NULL, 1 << 20);
        if (moved < 0 && errno == EINTR)
            continue;
        if (moved <= 0)
            return (int)moved;
    }
}

static int copy_opened(int in, const char *to, const struct stat *st,
                       const struct file_owner *owner)
{
    unlink(to); /* never into a file, or through a link, that others may hold */
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (out < 0)
        return -1;
    int failure = 0;
    if ((owner->set && fchown(out, owner->uid, owner->gid) < 0) ||
        fchmod(out, st->st_mode & 0777) < 0 || copy_bytes(in, out) < 0)
        failure = errno;
    if (close(out) < 0 && !failure)
        failure = errno;
    errno = failure;
    return failure ? -1 : 0;
}

static int copy_file(const char *from, const char *to, const struct stat *st,
                     const struct file_owner *owner, struct err *err)
{
    int in = open(from, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (in < 0)
        return err_errno(err, errno, "cannot copy %s", from);
    int result = copy_opened(in, to, st, owner);
    int failure = errno;
    close(in);
    return result < 0 ? err_errno(err, failure, "cannot copy %s to %s", from, to) : 0;
}

static int copy_link(const char *from, const char *to, const struct file_owner *owner,
                     struct err *err)
{
    char target[4096];
    ssize_t len = readlink(from, target, sizeof target - 1);
    if (len < 0)
        return err_errno(err, errno, "cannot copy %s", from);
    target[len] = '\0';
    unlink(to);
    if (symlink(target, to) < 0 || (owner->set && lchown(to, owner->uid, owner->gid) < 0))
        return err_errno(err, errno, "cannot copy %s to %s", from, to);
    return 0;
}

static int copy_folder(const char *from, const char *to, const struct stat *st,
                       const struct file_owner *owner, int depth, struct err *err)
{
    struct file_options options = {.mode = st->st_mode & 0777, .owner = *owner};
    if (make_one(to, &options, err) < 0)
        return -1;
    DIR *dir = opendir(from);
    if (!dir)
        return err_errno(err, errno, "cannot copy %s", from);
    int result = 0;
    struct dirent *entry;
    while (result == 0 && (entry = readdir(dir))) {
        if (is_dot(entry->d_name))
            continue;
        char *source = xasprintf("%s/%s", from, entry->d_name);
        char *target = xasprintf("%s/%s", to, entry->d_name);
        result = copy_entry(source, target, owner, depth + 1, err);
        free(source);
        free(target);
    }
    closedir(dir);
    return result;
}

static int copy_entry(const char *from, const char *to, const struct file_owner *owner, int depth,
                      struct err *err)
{
    struct stat st;
    if (lstat(from, &st) < 0)
        return err_errno(err, errno, "cannot copy %s", from);
    if (depth > MAX_DEPTH)
        return err_set(err, "invalid", "cannot copy %s: more than 256 folders deep", from);
    if (S_ISDIR(st.st_mode))
        return copy_folder(from, to, &st, owner, depth, err);
    if (S_ISLNK(st.st_mode))
        return copy_link(from, to, owner, err);
    if (S_ISREG(st.st_mode))
        return copy_file(from, to, &st, owner, err);
    return err_set(err, "invalid", "cannot copy %s: it is no file, folder or link", from);
}

int file_copy_tree(const char *from, const char *to, const struct file_owner *owner,
                   struct err *err)
{
    size_t len = strlen(from);
    while (len && from[len - 1] == '/')
        len--;
    if (strncmp(from, to, len) == 0 && (to[len] == '/' || to[len] == '\0'))
        return err_set(err, "invalid", "cannot copy %s into itself (%s)", from, to);
    return copy_entry(from, to, owner, 0, err);
}
