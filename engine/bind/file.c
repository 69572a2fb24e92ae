/* file.c -- orrery.file: files, folders, locks. Documented in lua/meta/file.lua. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include <uv.h>

#include "bind/bind.h"
#include "bind/file_watch.h"
#include "bind/libs.h"
#include "bind/task.h"
#include "bind/walk.h"
#include "core/buf.h"
#include "core/err.h"
#include "core/mem.h"
#include "engine.h"
#include "io/file.h"
#include "io/io.h"

#define LOCK "orrery.lock"
#define MAX_READ (16 << 20)
#define MAX_LIST 100000
#define LOCK_RETRY_MS 20
#define TERMINAL_WAIT_MS 10000

/* ---- arguments ---- */

const char *file_check_path(lua_State *L, int arg)
{
    size_t len;
    const char *path = luaL_checklstring(L, arg, &len);
    luaL_argcheck(L, len > 0, arg, "an empty path");
    luaL_argcheck(L, len < PATH_MAX, arg, "a path of more than 4095 bytes");
    luaL_argcheck(L, strlen(path) == len, arg, "a path with a NUL byte");
    return path;
}

/* A mode is octal digits in a string, or a number (Lua has no octal ones: 640 is not 0640). */
static mode_t to_mode(lua_State *L, int index, const char *what)
{
    const char *text = lua_type(L, index) == LUA_TSTRING ? lua_tostring(L, index) : NULL;
    if (text && strlen(text) >= 3 && strlen(text) <= 4 && text[strspn(text, "01234567")] == '\0')
        return (mode_t)strtol(text, NULL, 8) & 0777;
    int exact = 0;
    lua_Integer mode = text ? 0 : lua_tointegerx(L, index, &exact);
    if (!exact || mode < 0 || mode > 0777)
        luaL_error(L,
                   "%s: a mode is a string of octal digits such as \"0640\" (Lua reads the number "
                   "0640 as 640)",
                   what);
    return (mode_t)mode;
}

static int opt_owner(lua_State *L, int table, struct file_owner *ret_owner, struct err *err)
{
    const char *text = bind_opt_string(L, table, "owner", NULL);
    return text ? file_find_owner(text, ret_owner, err) : 0;
}

/* Reads {mode, owner, sync} of the table at `arg`, if there is one. */
static int opt_options(lua_State *L, int arg, struct file_options *options, struct err *err)
{
    if (lua_isnoneornil(L, arg))
        return 0;
    luaL_checktype(L, arg, LUA_TTABLE);
    if (lua_getfield(L, arg, "mode") != LUA_TNIL) {
        options->mode = to_mode(L, -1, "field 'mode'");
        options->keep = false;
    }
    lua_pop(L, 1);
    options->no_sync = !bind_opt_boolean(L, arg, "sync", true);
    return opt_owner(L, arg, &options->owner, err);
}

static int answer(lua_State *L, int result, struct err *err)
{
    if (result < 0)
        return bind_fail(L, err);
    lua_pushboolean(L, 1);
    return 1;
}

static int answer_errno(lua_State *L, int result, const char *what, const char *path)
{
    struct err err = {0};
    if (result < 0)
        err_errno(&err, errno, "cannot %s %s", what, path);
    return answer(L, result, &err);
}

/* ---- content ---- */

static void clear_buf(void *self) { buf_free(self); }

static int l_read(lua_State *L)
{
    const char *path = file_check_path(L, 1);
    lua_Integer max = MAX_READ;
    if (!lua_isnoneornil(L, 2)) {
        luaL_checktype(L, 2, LUA_TTABLE);
        max = bind_opt_integer(L, 2, "max", 0, 1 << 30, MAX_READ);
    }
    struct err err = {0};
    struct buf *text = walk_push_scratch(L, sizeof *text, clear_buf);
    if (file_read(path, (size_t)max, text, &err) < 0)
        return bind_fail(L, &err);
    lua_pushlstring(L, text->data, text->len);
    buf_free(text);
    return 1;
}

static int l_write(lua_State *L)
{
    const char *path = file_check_path(L, 1);
    size_t len;
    const char *text = luaL_checklstring(L, 2, &len);
    struct file_options options = {.keep = true, .mode = 0640};
    struct err err = {0};
    if (opt_options(L, 3, &options, &err) < 0)
        return bind_fail(L, &err);
    return answer(L, file_write(path, text, len, &options, &err), &err);
}

static int l_append(lua_State *L)
{
    const char *path = file_check_path(L, 1);
    size_t len;
    const char *text = luaL_checklstring(L, 2, &len);
    struct file_options options = {.mode = 0640};
    struct err err = {0};
    if (opt_options(L, 3, &options, &err) < 0)
        return bind_fail(L, &err);
    return answer(L, file_append(path, text, len, &options, &err), &err);
}

/* ---- folders ---- */

static int l_mkdir(lua_State *L)
{
    const char *path = file_check_path(L, 1);
    struct file_options options = {.mode = 0755};
    struct err err = {0};
    bool has_mode = !lua_isnoneornil(L, 2) && !lua_istable(L, 2);
    if (has_mode)
        options.mode = to_mode(L, 2, "argument 2");
    if (opt_options(L, has_mode || lua_isnil(L, 2) ? 3 : 2, &options, &err) < 0)
        return bind_fail(L, &err);
    return answer(L, file_mkdir(path, &options, &err), &err);
}

static int l_remove(lua_State *L)
{
    const char *path = file_check_path(L, 1);
    return answer_errno(L, remove(path), "remove", path);
}

static int l_remove_tree(lua_State *L)
{
    const char *path = file_check_path(L, 1);
    struct err err = {0};
    return answer(L, file_remove_tree(path, &err), &err);
}

static int l_rename(lua_State *L)
{
    const char *from = file_check_path(L, 1);
    const char *to = file_check_path(L, 2);
    struct err err = {0};
    int result = rename(from, to);
    if (result < 0)
        err_errno(&err, errno, "cannot rename %s to %s", from, to);
    return answer(L, result, &err);
}

static int l_copy_tree(lua_State *L)
{
    const char *from = file_check_path(L, 1);
    const char *to = file_check_path(L, 2);
    struct file_owner owner = {0};
    struct err err = {0};
    if (!lua_isnoneornil(L, 3)) {
        luaL_checktype(L, 3, LUA_TTABLE);
        if (opt_owner(L, 3, &owner, &err) < 0)
            return bind_fail(L, &err);
    }
    return answer(L, file_copy_tree(from, to, &owner, &err), &err);
}

static void close_dir(void *self)
{
    DIR **dir = self;
    if (*dir)
        closedir(*dir);
    *dir = NULL;
}

static void push_names(lua_State *L, DIR *dir)
{
    const struct dirent *entry;
    lua_Integer count = 0;
    lua_newtable(L);
    while (count < MAX_LIST && (entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        lua_pushstring(L, entry->d_name);
        lua_rawseti(L, -2, ++count);
    }
    lua_getglobal(L, "table");
    lua_getfield(L, -1, "sort");
    lua_pushvalue(L, -3);
    lua_call(L, 1, 0);
    lua_pop(L, 1);
}

static int l_list(lua_State *L)
{
    const char *path = file_check_path(L, 1);
    DIR **dir = walk_push_scratch(L, sizeof *dir, close_dir);
    *dir = opendir(path);
    if (!*dir)
        return answer_errno(L, -1, "list", path);
    push_names(L, *dir);
    close_dir(dir);
    return 1;
}

/* ---- facts ---- */

static const char *type_name(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return "file";
    case S_IFDIR:
        return "directory";
    case S_IFLNK:
        return "link";
    case S_IFSOCK:
        return "socket";
    case S_IFIFO:
        return "pipe";
    default:
        return "device";
    }
}

static void set_integer(lua_State *L, const char *key, lua_Integer value)
{
    lua_pushinteger(L, value);
    lua_setfield(L, -2, key);
}

static int l_stat(lua_State *L)
{
    const char *path = file_check_path(L, 1);
    bool follow = true;
    if (!lua_isnoneornil(L, 2)) {
        luaL_checktype(L, 2, LUA_TTABLE);
        follow = bind_opt_boolean(L, 2, "follow", true);
    }
    struct stat st;
    if ((follow ? stat(path, &st) : lstat(path, &st)) < 0)
        return answer_errno(L, -1, "look at", path);
    lua_createtable(L, 0, 6);
    lua_pushstring(L, type_name(st.st_mode));
    lua_setfield(L, -2, "type");
    set_integer(L, "size", st.st_size);
    set_integer(L, "mode", st.st_mode & 07777);
    set_integer(L, "uid", st.st_uid);
    set_integer(L, "gid", st.st_gid);
    lua_pushnumber(L, (lua_Number)st.st_mtim.tv_sec + (lua_Number)st.st_mtim.tv_nsec / 1e9);
    lua_setfield(L, -2, "mtime");
    return 1;
}

static int l_space(lua_State *L)
{
    const char *path = file_check_path(L, 1);
    struct statvfs fs;
    if (statvfs(path, &fs) < 0)
        return answer_errno(L, -1, "measure", path);
    lua_createtable(L, 0, 2);
    set_integer(L, "free", (lua_Integer)(fs.f_bavail * fs.f_frsize));
    set_integer(L, "total", (lua_Integer)(fs.f_blocks * fs.f_frsize));
    return 1;
}

static int l_realpath(lua_State *L)
{
    const char *path = file_check_path(L, 1);
    char real[PATH_MAX];
    if (!realpath(path, real))
        return answer_errno(L, -1, "resolve", path);
    lua_pushstring(L, real);
    return 1;
}

static int l_writable(lua_State *L)
{
    const char *path = file_check_path(L, 1);
    const char *user = luaL_optstring(L, 2, NULL);
    struct file_owner owner = {0};
    struct err err = {0};
    if (user && file_find_owner(user, &owner, &err) < 0)
        return bind_fail(L, &err);
    return answer(L, file_writable(path, &owner, &err), &err);
}

static int l_chmod(lua_State *L)
{
    const char *path = file_check_path(L, 1);
    mode_t mode = to_mode(L, 2, "argument 2");
    return answer_errno(L, chmod(path, mode), "change the mode of", path);
}

static int l_chown(lua_State *L)
{
    const char *path = file_check_path(L, 1);
    const char *user = luaL_checkstring(L, 2);
    const char *group = luaL_optstring(L, 3, NULL);
    struct file_owner owner = {0};
    struct err err = {0};
    lua_pushfstring(L, group ? "%s:%s" : "%s", user, group);
    if (file_find_owner(lua_tostring(L, -1), &owner, &err) < 0)
        return bind_fail(L, &err);
    return answer_errno(L, lchown(path, owner.uid, owner.gid), "change the owner of", path);
}

/* ---- locks: the handle holds the descriptor plus one ---- */

static int l_lock_close(lua_State *L)
{
    void **lock = luaL_checkudata(L, 1, LOCK);
    if (*lock)
        file_unlock((int)(intptr_t)*lock - 1);
    *lock = NULL;
    return 0;
}

static const luaL_Reg lock_methods[] = {
    {"close", l_lock_close}, {"__gc", l_lock_close}, {"__close", l_lock_close}, {NULL, NULL}};

static int push_lock(lua_State *L, int fd)
{
    void **lock = bind_new_handle(L, LOCK, lock_methods);
    *lock = (void *)(intptr_t)(fd + 1);
    return 1;
}

/* One wait for a lock. The kernel tells nobody of a lock's end without blocking, so it is tried
 * again every LOCK_RETRY_MS. Owned by the loop: freed when its timer has closed. */
struct lock_op {
    uv_timer_t timer;
    struct task *task; /* borrowed */
    char *path;        /* owned */
    uint64_t deadline_ms;
};

static void lock_free(uv_handle_t *timer)
{
    struct lock_op *op = timer->data;
    free(op->path);
    free(op);
}

static void lock_stop(void *data)
{
    struct lock_op *op = data;
    uv_close((uv_handle_t *)&op->timer, lock_free);
}

static void lock_again(uv_timer_t *timer)
{
    struct lock_op *op = timer->data;
    lua_State *L = task_stack(op->task);
    struct err err = {0};
    int fd = file_lock(op->path, &err);
    if (fd < 0 && strcmp(err.code, "exists") == 0 && uv_now(timer->loop) < op->deadline_ms) {
        err_clear(&err);
        return;
    }
    task_wake(op->task, fd < 0 ? bind_fail(L, &err) : push_lock(L, fd));
    lock_stop(op);
}

static int lock_wait(struct engine *e, struct task *task, const char *path, uint64_t wait_ms)
{
    struct lock_op *op = xcalloc(1, sizeof *op);
    op->timer.data = op;
    op->task = task;
    op->path = xstrdup(path);
    uv_update_time(&e->io->loop);
    op->deadline_ms = uv_now(&e->io->loop) + wait_ms;
    uv_timer_init(&e->io->loop, &op->timer);
    uv_timer_start(&op->timer, lock_again, LOCK_RETRY_MS, LOCK_RETRY_MS);
    return task_park(task, lock_stop, op);
}

static int l_lock(lua_State *L)
{
    struct engine *e = bind_engine(L);
    const char *path = file_check_path(L, 1);
    uint64_t wait_ms = 0;
    if (!lua_isnoneornil(L, 2)) {
        luaL_checktype(L, 2, LUA_TTABLE);
        wait_ms = bind_opt_seconds(L, 2, "wait", 0);
    }
    struct task *task = wait_ms ? task_self(e, L) : NULL;
    void **lock = bind_new_handle(L, LOCK, lock_methods);
    struct err err = {0};
    int fd = file_lock(path, &err);
    if (fd >= 0) {
        *lock = (void *)(intptr_t)(fd + 1);
        return 1;
    }
    if (!task || strcmp(err.code, "exists") != 0)
        return bind_fail(L, &err);
    err_clear(&err);
    return lock_wait(e, task, path, wait_ms);
}

/* ---- the terminal ---- */

static int l_isatty(lua_State *L)
{
    lua_pushboolean(L, isatty((int)luaL_checkinteger(L, 1)));
    return 1;
}

/* Writes all, waiting up to `wait_ms` at a time for a terminal or pipe that is full and does not
 * block. Returns an errno value. */
static int write_patiently(int fd, const char *text, size_t len, int wait_ms)
{
    while (len) {
        ssize_t put = write(fd, text, len);
        if (put >= 0) {
            text += put;
            len -= (size_t)put;
        } else if (errno == EAGAIN) {
            struct pollfd wait = {.fd = fd, .events = POLLOUT};
            if (poll(&wait, 1, wait_ms) == 0)
                return ETIMEDOUT;
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

/* The same terminal or pipe in an opening of our own, which does not block: that of the descriptor
 * is shared with the shell. -1: there is none, or it is a file, which never blocks for long. */
static int open_unblocking(int fd)
{
    struct stat st;
    char path[32];
    if (fstat(fd, &st) < 0 || !(S_ISFIFO(st.st_mode) || isatty(fd)))
        return -1;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return open(path, O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static int write_within(int fd, const char *text, size_t len, int wait_ms)
{
    int own = open_unblocking(fd);
    int failure = write_patiently(own >= 0 ? own : fd, text, len, wait_ms);
    if (own >= 0)
        close(own);
    return failure;
}

static int l_write_fd(lua_State *L)
{
    lua_Integer fd = luaL_checkinteger(L, 1);
    size_t len;
    const char *text = luaL_checklstring(L, 2, &len);
    lua_Number patience = luaL_optnumber(L, 3, -1);
    luaL_argcheck(L, fd == 1 || fd == 2, 1, "must be 1 or 2");
    luaL_argcheck(L, patience <= 60, 3, "must be at most 60 seconds");
    fflush(fd == 1 ? stdout : stderr);
    int failure = patience < 0 ? write_patiently((int)fd, text, len, TERMINAL_WAIT_MS)
                               : write_within((int)fd, text, len, (int)(patience * 1000));
    struct err err = {0};
    if (failure == EPIPE)
        err_set(&err, "closed", "nobody reads the output any more");
    else if (failure == ETIMEDOUT)
        err_set(&err, "timeout", "the %s takes nothing now", fd == 1 ? "output" : "error output");
    else if (failure)
        err_errno(&err, failure, "cannot write to the %s", fd == 1 ? "output" : "error output");
    return answer(L, failure ? -1 : 0, &err);
}

static int l_columns(lua_State *L)
{
    struct winsize size = {0};
    const char *given = getenv("COLUMNS");
    long columns = given ? strtol(given, NULL, 10) : 0;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        columns = size.ws_col;
    lua_pushinteger(L, columns >= 20 && columns <= 1000 ? columns : 80);
    return 1;
}

const luaL_Reg bind_file[] = {
    {"read", l_read},         {"write", l_write},         {"append", l_append},
    {"mkdir", l_mkdir},       {"remove", l_remove},       {"remove_tree", l_remove_tree},
    {"rename", l_rename},     {"copy_tree", l_copy_tree}, {"list", l_list},
    {"stat", l_stat},         {"space", l_space},         {"realpath", l_realpath},
    {"writable", l_writable}, {"chmod", l_chmod},         {"chown", l_chown},
    {"lock", l_lock},         {"watch", file_l_watch},    {"isatty", l_isatty},
    {"write_fd", l_write_fd}, {"columns", l_columns},     {NULL, NULL}};
