/* process_host.c -- orrery.process: what this process and this machine are. */
#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bind/bind.h"
#include "bind/process.h"
#include "core/detach.h"
#include "core/err.h"
#include "core/proc.h"
#include "io/user.h"

extern char **environ;

int l_process_detach(lua_State *L)
{
    struct err err = {0};
    luaL_checktype(L, 1, LUA_TTABLE);
    char **argv = bind_opt_list(L, 1, "argv");
    luaL_argcheck(L, argv && argv[0], 1, "needs argv");
    const char *log = bind_opt_string(L, 1, "log", NULL);
    pid_t pid = detach_start(argv, log, &err);
    if (pid < 0)
        return bind_fail(L, &err);
    lua_pushinteger(L, pid);
    return 1;
}

int l_process_env(lua_State *L)
{
    lua_pushstring(L, getenv(luaL_checkstring(L, 1)));
    return 1;
}

int l_process_environ(lua_State *L)
{
    lua_newtable(L);
    for (char **at = environ; at && *at; at++) {
        const char *value = strchr(*at, '=');
        if (!value)
            continue;
        lua_pushlstring(L, *at, (size_t)(value - *at));
        lua_pushstring(L, value + 1);
        lua_rawset(L, -3);
    }
    return 1;
}

int l_process_pid(lua_State *L)
{
    lua_pushinteger(L, getpid());
    return 1;
}

int l_process_executable(lua_State *L)
{
    static const char gone[] = " (deleted)";
    char path[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", path, sizeof path);
    if (len <= 0)
        return 0;
    size_t end = (size_t)len, tail = sizeof gone - 1;
    if (end > tail && memcmp(path + end - tail, gone, tail) == 0)
        end -= tail; /* it was replaced by a newer one */
    lua_pushlstring(L, path, end);
    return 1;
}

static int push_user(lua_State *L, struct user *user)
{
    lua_createtable(L, 0, 4);
    lua_pushinteger(L, user->uid);
    lua_setfield(L, -2, "uid");
    lua_pushinteger(L, user->gid);
    lua_setfield(L, -2, "gid");
    lua_pushstring(L, user->name);
    lua_setfield(L, -2, "name");
    lua_pushstring(L, user->home);
    lua_setfield(L, -2, "home");
    user_free(user);
    return 1;
}

int l_process_user(lua_State *L)
{
    struct user user;
    user_find(NULL, &user, NULL);
    return push_user(L, &user);
}

int l_process_lookup_user(lua_State *L)
{
    struct user user;
    struct err err = {0};
    if (user_find(luaL_checkstring(L, 1), &user, &err) < 0)
        return bind_fail(L, &err);
    return push_user(L, &user);
}

int l_process_stat(lua_State *L)
{
    struct proc_stat stat;
    if (!proc_stat((pid_t)luaL_checkinteger(L, 1), &stat))
        return 0;
    lua_createtable(L, 0, 4);
    lua_pushinteger(L, (lua_Integer)stat.start);
    lua_setfield(L, -2, "startTime");
    lua_pushlstring(L, &stat.state, 1);
    lua_setfield(L, -2, "state");
    lua_pushstring(L, stat.name);
    lua_setfield(L, -2, "name");
    lua_pushinteger(L, stat.ppid);
    lua_setfield(L, -2, "parent");
    return 1;
}

int l_process_boot_id(lua_State *L)
{
    char id[64] = {0};
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t len = fd < 0 ? -1 : read(fd, id, sizeof id - 1);
    int failure = errno;
    if (fd >= 0)
        close(fd);
    if (len <= 0) {
        struct err err = {0};
        err_errno(&err, failure, "cannot read /proc/sys/kernel/random/boot_id");
        return bind_fail(L, &err);
    }
    lua_pushlstring(L, id, strcspn(id, "\n"));
    return 1;
}

int l_process_hostname(lua_State *L)
{
    char name[HOST_NAME_MAX + 1];
    if (gethostname(name, sizeof name) < 0)
        return 0;
    name[sizeof name - 1] = '\0';
    lua_pushstring(L, name);
    return 1;
}
