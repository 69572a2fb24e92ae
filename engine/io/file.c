#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/mem.h"
#include "io/user.h"

#define CHUNK 65536

/* ---- owners ---- */

static int find_user(const char *name, struct file_owner *ret_owner, struct err *err)
{
    struct user user;
    if (user_find(name, &user, NULL) < 0)
        return err_set(err, "not_found", "there is no user \"%s\" on this system", name);
    *ret_owner = (struct file_owner){true, user.uid, user.gid};
    user_free(&user);
    return 0;
}

static int find_group(const char *name, gid_t *ret_gid, struct err *err)
{
    if (group_find(name, ret_gid, NULL) < 0)
        return err_set(err, "not_found", "there is no group \"%s\" on this system", name);
    return 0;
}

int file_find_owner(const char *text, struct file_owner *ret_owner, struct err *err)
{
    const char *colon = strchr(text, ':');
    char *user = xstrndup(text, colon ? (size_t)(colon - text) : strlen(text));
    struct file_owner owner = {0};
    int result = find_user(user, &owner, err);
    if (result == 0 && colon)
        result = find_group(colon + 1, &owner.gid, err);
    free(user);
    if (result == 0)
        *ret_owner = owner;
    return result;
}

/* ---- reading ---- */

static int check_readable(int fd, const char *path, struct err *err)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_errno(err, errno, "cannot read %s", path);
    if (S_ISDIR(st.st_mode))
        return err_set(err, "invalid", "cannot read %s: it is a folder", path);
    if (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode))
        return err_set(err, "invalid", "cannot read %s: it is a pipe or a socket", path);
    return 0;
}

static int read_all(int fd, const char *path, size_t max, struct buf *out, struct err *err)
{
    size_t start = out->len;
    char chunk[CHUNK];
    for (;;) {
        ssize_t got = read(fd, chunk, sizeof chunk);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_errno(err, errno, "cannot read %s", path);
        if (got == 0)
            break;
        buf_append(out, chunk, (size_t)got);
        if (out->len - start > max)
            return err_set(err, "invalid", "%s is larger than %zu bytes", path, max);
    }
    buf_append(out, "", 0); /* an empty file is an empty text, not none */
    return 0;
}

int file_read(const char *path, size_t max, struct buf *out, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return err_errno(err, errno, "cannot read %s", path);
    int result = check_readable(fd, path, err);
    if (result == 0)
        result = read_all(fd, path, max, out, err);
    close(fd);
    return result;
}

/* ---- writing ---- */

static int write_all(int fd, const char *bytes, size_t len)
{
    while (len) {
        ssize_t put = write(fd, bytes, len);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return -1;
        bytes += put;
        len -= (size_t)put;
    }
    return 0;
}

/* Mode last: a change of owner clears bits of it. Nothing is in the file yet. */
static int dress(int fd, const struct file_owner *owner, mode_t mode)
{
    if (owner->set && fchown(fd, owner->uid, owner->gid) < 0)
        return -1;
    return fchmod(fd, mode);
}

/* The owner and mode that the new file gets. */
static void settle_options(const char *path, const struct file_options *options,
                           struct file_owner *ret_owner, mode_t *ret_mode)
{
    struct stat old;
    *ret_owner = options->owner;
    *ret_mode = options->mode;
    if (!options->keep || lstat(path, &old) < 0 || !S_ISREG(old.st_mode))
        return;
    *ret_mode = old.st_mode & 07777;
    if (!ret_owner->set && geteuid() == 0)
        *ret_owner = (struct file_owner){true, old.st_uid, old.st_gid};
}

static char *folder_of(const char *path)
{
    char *copy = xstrdup(path);
    char *folder = xstrdup(dirname(copy));
    free(copy);
    return folder;
}

/* The name itself is only safe on the disk once its folder is. */
static int sync_folder(const char *path)
{
    char *folder = folder_of(path);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(folder);
    if (fd < 0)
        return 0; /* a folder that we may write but not read */
    int result = fsync(fd);
    close(fd);
    return result < 0 && errno != EINVAL ? -1 : 0;
}

static int fill(int fd, const char *path, const void *bytes, size_t len,
                const struct file_options *options)
{
    struct file_owner owner;
    mode_t mode;
    settle_options(path, options, &owner, &mode);
    if (dress(fd, &owner, mode) < 0 || write_all(fd, bytes, len) < 0)
        return -1;
    return options->no_sync ? 0 : fsync(fd);
}

static char *temporary_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    return xasprintf("%.*s.%s.XXXXXX", (int)(base - path), path, base);
}

bool file_is_temporary(const char *name, const char *base)
{
    size_t len = strlen(base);
    return name[0] == '.' && strncmp(name + 1, base, len) == 0 && name[len + 1] == '.' &&
           strlen(name + len + 2) == 6;
}

/* Fills the temporary file and gives it the name. Returns 0 or an errno value. */
static int replace(int fd, const char *temporary, const char *path, const void *bytes, size_t len,
                   const struct file_options *options)
{
    int failure = fill(fd, path, bytes, len, options) < 0 ? errno : 0;
    if (close(fd) < 0 && !failure)
        failure = errno;
    if (!failure && rename(temporary, path) < 0)
        failure = errno;
    if (failure)
        unlink(temporary);
    return failure;
}

/* A device, a pipe or a socket (or a link to one) is nothing to put a file in the place of: root
 * would take /dev/null from the whole machine. */
static bool is_special(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
}

int file_write(const char *path, const void *bytes, size_t len, const struct file_options *options,
               struct err *err)
{
    if (is_special(path))
        return err_set(err, "invalid",
                       "cannot write %s: it is a device, a pipe or a socket, not a file", path);
    char *temporary = temporary_name(path);
    int fd = mkostemp(temporary, O_CLOEXEC);
    int failure = fd < 0 ? errno : replace(fd, temporary, path, bytes, len, options);
    free(temporary);
    if (!failure && !options->no_sync && !options->late_name && sync_folder(path) < 0)
        failure = errno;
    return failure ? err_errno(err, failure, "cannot write %s", path) : 0;
}

int file_sync_folder(const char *path, struct err *err)
{
    return sync_folder(path) < 0 ? err_errno(err, errno, "cannot write the folder of %s", path) : 0;
}

int file_append(const char *path, const void *bytes, size_t len, const struct file_options *options,
                struct err *err)
{
    bool is_new = access(path, F_OK) < 0;
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_errno(err, errno, "cannot append to %s", path);
    int failure = is_new && dress(fd, &options->owner, options->mode) < 0 ? errno : 0;
    if (!failure && write_all(fd, bytes, len) < 0)
        failure = errno;
    if (close(fd) < 0 && !failure)
        failure = errno;
    return failure ? err_errno(err, failure, "cannot append to %s", path) : 0;
}

/* ---- locks ---- */

/* The holder writes its pid; there is none for a moment, or if it is another program. */
static int refuse_lock(int fd, const char *path, struct err *err)
{
    char text[16] = "";
    ssize_t got = pread(fd, text, sizeof text - 1, 0);
    close(fd);
    text[got > 0 ? got : 0] = '\0';
    text[strspn(text, "0123456789")] = '\0';
    if (!*text)
        return err_set(err, "exists", "%s is locked by another process", path);
    return err_set(err, "exists", "%s is locked by process %s", path, text);
}

/* Somebody may have removed the file between our open and our lock. */
static bool is_still(int fd, const char *path)
{
    struct stat ours, there;
    return fstat(fd, &ours) == 0 && stat(path, &there) == 0 && ours.st_ino == there.st_ino &&
           ours.st_dev == there.st_dev;
}

static void sign_lock(int fd)
{
    char text[16];
    int len = snprintf(text, sizeof text, "%d\n", (int)getpid());
    if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)len, 0) < 0)
        return; /* on a full disk the lock holds as well, only its message is poorer */
}

int file_lock(const char *path, struct err *err)
{
    for (int tries = 0; tries < 10; tries++) {
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW, 0600);
        if (fd < 0)
            return err_errno(err, errno, "cannot lock %s", path);
        if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
            if (errno == EWOULDBLOCK)
                return refuse_lock(fd, path, err);
            int failure = errno;
            close(fd);
            return err_errno(err, failure, "cannot lock %s", path);
        }
        if (is_still(fd, path)) {
            sign_lock(fd);
            return fd;
        }
        close(fd);
    }
    return err_set(err, "io", "cannot lock %s: it is being removed again and again", path);
}

void file_unlock(int fd)
{
    if (ftruncate(fd, 0) < 0) /* a stale pid would name an innocent process */
        (void)0;
    close(fd);
}

/* ---- permissions ---- */

static bool in_group(const struct file_owner *user, gid_t gid)
{
    if (user->gid == gid)
        return true;
    const struct passwd *entry = getpwuid(user->uid);
    gid_t groups[256];
    int count = sizeof groups / sizeof *groups;
    if (!entry || getgrouplist(entry->pw_name, user->gid, groups, &count) < 0)
        return false;
    for (int i = 0; i < count; i++)
        if (groups[i] == gid)
            return true;
    return false;
}

static bool may(const struct file_owner *user, const struct stat *st, mode_t bit)
{
    if (user->uid == 0)
        return true;
    if (st->st_uid == user->uid)
        return st->st_mode & (bit << 6);
    if (in_group(user, st->st_gid))
        return st->st_mode & (bit << 3);
    return st->st_mode & bit;
}

static int check_write(const char *path, const struct file_owner *user, struct err *err)
{
    struct stat st;
    if (!user->set)
        return access(path, W_OK) < 0 ? err_errno(err, errno, "%s cannot be written", path) : 0;
    if (stat(path, &st) < 0)
        return err_errno(err, errno, "%s cannot be written", path);
    if (!may(user, &st, 2))
        return err_set(err, "denied",
                       "%s cannot be written by uid %u: its mode is %04o, its owner %u:%u", path,
                       user->uid, st.st_mode & 07777, st.st_uid, st.st_gid);
    struct statvfs fs;
    if (statvfs(path, &fs) == 0 && (fs.f_flag & ST_RDONLY))
        return err_errno(err, EROFS, "%s cannot be written", path);
    return 0;
}

/* Every folder on the way must let the user through. */
static int check_way(const char *path, const struct file_owner *user, struct err *err)
{
    char *folder = folder_of(path);
    struct stat st;
    int result = 0;
    if (stat(folder, &st) < 0)
        result = err_errno(err, errno, "%s cannot be reached", path);
    else if (!may(user, &st, 1))
        result = err_set(err, "denied",
                         "%s cannot be reached by uid %u: the mode of %s is %04o, its owner %u:%u",
                         path, user->uid, folder, st.st_mode & 07777, st.st_uid, st.st_gid);
    else if (strcmp(folder, "/") && strcmp(folder, "."))
        result = check_way(folder, user, err);
    free(folder);
    return result;
}

int file_writable(const char *path, const struct file_owner *user, struct err *err)
{
    struct stat st;
    if (stat(path, &st) < 0 && errno == ENOENT && strcmp(path, "/") && strcmp(path, ".")) {
        char *folder = folder_of(path);
        int result = file_writable(folder, user, err);
        free(folder);
        return result;
    }
    if (user->set && check_way(path, user, err) < 0)
        return -1;
    return check_write(path, user, err);
}
