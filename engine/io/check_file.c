/* check_file.c -- the check "file": a file or folder is there, and as it should be.
 *
 * The looking is done on a worker thread, so that a disk or network share that hangs stops one
 * check and not the loop. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "core/err.h"
#include "core/mem.h"
#include "io/check.h"
#include "io/io.h"
#include "io/user.h"

#define MAX_SEARCH (64 * 1024 * 1024) /* bytes read in search of `contains` */
#define CHUNK (64 * 1024)

struct file_spec {
    int users; /* the spec's owner and every try; touched by the loop's thread only */
    char *path, *contains, *user;
    size_t contains_len;
    uint64_t max_age_ms; /* 0: any */
    int64_t min_size, min_free;
    bool writable;
    struct user as; /* embedded: `user`, with its groups */
};

/* One try. Owned by the loop: freed when its work is done, which may be after it was cancelled. */
struct file_try {
    uv_work_t work;
    struct file_spec *spec; /* a share */
    struct check *check;    /* borrowed; NULL: cancelled */
    atomic_bool stop;       /* tells the worker to hurry */
    struct err err;         /* the verdict, if it is not a pass */
};

/* ---- on the worker thread ---- */

static gid_t *own_groups(int *ret_count)
{
    *ret_count = getgroups(0, NULL);
    gid_t *groups = xcalloc((size_t)*ret_count + 1, sizeof *groups);
    *ret_count = getgroups(*ret_count, groups);
    return groups;
}

/* Credentials of one thread only: glibc's setgroups() would change those of all. Away from 0 the
 * file system's user id gives up root's powers over files; back at 0 it has them again. */
static int access_as(const char *path, int mode, const struct user *as)
{
    int count, result = -1;
    gid_t *groups = own_groups(&count);
    if (syscall(SYS_setgroups, as->group_count, as->groups) == 0) {
        gid_t gid = (gid_t)setfsgid(as->gid);
        uid_t uid = (uid_t)setfsuid(as->uid);
        result = faccessat(AT_FDCWD, path, mode, AT_EACCESS);
        int failure = errno;
        setfsuid(uid);
        setfsgid(gid);
        syscall(SYS_setgroups, count, groups);
        errno = failure;
    }
    free(groups);
    return result;
}

static int check_writable(const struct file_spec *s, bool folder, struct err *err)
{
    int mode = folder ? W_OK | X_OK : W_OK;
    bool as_user = s->user && geteuid() == 0;
    int result =
        as_user ? access_as(s->path, mode, &s->as) : faccessat(AT_FDCWD, s->path, mode, AT_EACCESS);
    if (result == 0)
        return 0;
    int failure = errno;
    const char *why = failure == EACCES ? "permission denied" : strerror(failure);
    if (as_user)
        return err_set(err, "denied", "%s is not writable by user %s: %s", s->path, s->user, why);
    return err_set(err, "denied", "%s is not writable: %s", s->path, why);
}

static int check_free(const struct file_spec *s, struct err *err)
{
    struct statvfs fs;
    if (statvfs(s->path, &fs) < 0)
        return err_errno(err, errno, "%s: cannot see the free space", s->path);
    uint64_t room = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (room >= (uint64_t)s->min_free)
        return 0;
    return err_set(err, "io", "%s has %llu bytes free, expected at least %lld", s->path,
                   (unsigned long long)room, (long long)s->min_free);
}

static int check_age(const struct file_spec *s, const struct stat *st, struct err *err)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    double age_s = (double)(now.tv_sec - st->st_mtim.tv_sec) +
                   (double)(now.tv_nsec - st->st_mtim.tv_nsec) / 1e9;
    if (age_s * 1000 <= (double)s->max_age_ms)
        return 0;
    return err_set(err, "io", "%s was last changed %.0f s ago, expected at most %g s", s->path,
                   age_s, (double)s->max_age_ms / 1000);
}

/* Reads on, the last bytes of each chunk kept so that a hit across two is seen. */
static int search(struct file_try *t, int fd)
{
    const struct file_spec *s = t->spec;
    size_t keep = s->contains_len - 1, have = 0, total = 0;
    char *chunk = xmalloc(keep + CHUNK);
    int result = 0;
    while (result == 0 && total < MAX_SEARCH && !atomic_load(&t->stop)) {
        ssize_t got = read(fd, chunk + have, CHUNK);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            result = err_errno(&t->err, errno, "%s: cannot read it", s->path);
        if (got <= 0)
            break;
        have += (size_t)got;
        total += (size_t)got;
        if (memmem(chunk, have, s->contains, s->contains_len)) {
            free(chunk);
            return 0;
        }
        size_t tail = have < keep ? have : keep;
        memmove(chunk, chunk + have - tail, tail);
        have = tail;
    }
    free(chunk);
    if (result < 0)
        return -1;
    return err_set(&t->err, "io", "%s does not contain \"%s\"%s", s->path, s->contains,
                   total < MAX_SEARCH ? "" : " in its first 64 MiB");
}

static int check_content(struct file_try *t, const struct stat *st)
{
    const char *path = t->spec->path;
    if (!S_ISREG(st->st_mode))
        return err_set(&t->err, "io", "%s cannot be searched: it is no regular file", path);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return err_errno(&t->err, errno, "%s: cannot open it", path);
    int result = search(t, fd);
    close(fd);
    return result;
}

static int look(struct file_try *t)
{
    const struct file_spec *s = t->spec;
    struct stat st;
    if (stat(s->path, &st) < 0)
        return errno == ENOENT ? err_set(&t->err, "not_found", "%s does not exist", s->path)
                               : err_errno(&t->err, errno, "%s cannot be seen", s->path);
    if (st.st_size < s->min_size)
        return err_set(&t->err, "io", "%s has %lld bytes, expected at least %lld", s->path,
                       (long long)st.st_size, (long long)s->min_size);
    if (s->max_age_ms && check_age(s, &st, &t->err) < 0)
        return -1;
    if (s->writable && check_writable(s, S_ISDIR(st.st_mode), &t->err) < 0)
        return -1;
    if (s->min_free && check_free(s, &t->err) < 0)
        return -1;
    return s->contains ? check_content(t, &st) : 0;
}

static void file_work(uv_work_t *work) { look(work->data); }

/* ---- on the loop's thread ---- */

static void file_release(void *prepared)
{
    struct file_spec *s = prepared;
    if (--s->users > 0)
        return;
    free(s->path);
    free(s->contains);
    free(s->user);
    user_free(&s->as);
    free(s);
}

static void file_done(uv_work_t *work, int status)
{
    (void)status;
    struct file_try *t = work->data;
    if (t->check && t->err.message)
        check_fail(t->check, "%s", t->err.message);
    else if (t->check)
        check_pass(t->check, "%s is as expected", t->spec->path);
    err_clear(&t->err);
    file_release(t->spec);
    free(t);
}

static void *file_start(struct io *io, const void *prepared, struct check *c)
{
    struct file_try *t = xcalloc(1, sizeof *t);
    t->spec = (struct file_spec *)prepared;
    t->spec->users++;
    t->check = c;
    t->work.data = t;
    uv_queue_work(&io->loop, &t->work, file_work, file_done);
    return t;
}

static void file_cancel(void *op)
{
    struct file_try *t = op;
    t->check = NULL;
    atomic_store(&t->stop, true);
    uv_cancel((uv_req_t *)&t->work);
}

/* ---- options ---- */

static int read_file_options(const json_t *options, struct file_spec *s, struct err *err)
{
    const char *path, *contains = NULL, *user = NULL;
    if (check_need_string(options, "path", &path, err) < 0 ||
        check_opt_string(options, "contains", &contains, err) < 0 ||
        check_opt_string(options, "user", &user, err) < 0 ||
        check_opt_ms(options, "maxAge", &s->max_age_ms, err) < 0 ||
        check_opt_int(options, "minSize", 0, INT64_MAX, &s->min_size, err) < 0 ||
        check_opt_int(options, "minFree", 0, INT64_MAX, &s->min_free, err) < 0 ||
        check_opt_bool(options, "writable", &s->writable, err) < 0)
        return -1;
    if (!*path)
        return err_set(err, "invalid", "path: is empty");
    s->path = xstrdup(path);
    s->contains = contains && *contains ? xstrdup(contains) : NULL;
    s->contains_len = s->contains ? strlen(s->contains) : 0;
    s->user = xstrdup(user);
    struct err cause = {0};
    if (user && user_find(user, &s->as, &cause) < 0) {
        err_set(err, "invalid", "user: %s", cause.message);
        err_clear(&cause);
        return -1;
    }
    if (user)
        user_load_groups(&s->as);
    return 0;
}

static void *file_prepare(const json_t *options, uint64_t timeout_ms, struct err *err)
{
    (void)timeout_ms;
    struct file_spec *s = xcalloc(1, sizeof *s);
    s->users = 1;
    if (read_file_options(options, s, err) < 0) {
        file_release(s);
        return NULL;
    }
    return s;
}

static const char *file_subject(const void *prepared)
{
    const struct file_spec *s = prepared;
    return s->path;
}

static const char *const file_keys[] = {"path",    "contains", "maxAge", "minSize",
                                        "minFree", "writable", "user",   NULL};

const struct check_kind check_file = {
    .name = "file",
    .cost = 1,
    .keys = file_keys,
    .prepare = file_prepare,
    .release = file_release,
    .subject = file_subject,
    .start = file_start,
    .cancel = file_cancel,
};
