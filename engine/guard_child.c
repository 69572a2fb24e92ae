/* guard_child.c -- from the fork to the exec: what happens inside a service's process before it is
 * the service. Each step that can fail names itself to the guard. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"
#include "guard.h"

/* The specification, opened up. The pointers go into the mapped file. */
struct plan {
    const struct guard_spec *head;
    const gid_t *groups;
    const struct guard_limit *limits;
    const char *folder;
    char **argv, **env;
};

static void fail(int status, enum guard_stage stage, uint32_t detail) __attribute__((noreturn));

static void fail(int status, enum guard_stage stage, uint32_t detail)
{
    struct guard_failure failure = {.stage = stage, .detail = detail, .number = errno};
    ssize_t written = write(status, &failure, sizeof failure);
    (void)written;
    _exit(127);
}

/* The next `count` strings before `end` as an array, or NULL if the file is cut off. */
static char **take_strings(const char **at, const char *end, uint32_t count)
{
    char **list = xcalloc((size_t)count + 1, sizeof *list);
    for (uint32_t i = 0; i < count; i++) {
        const char *stop = memchr(*at, '\0', (size_t)(end - *at));
        if (!stop)
            return NULL;
        list[i] = (char *)*at;
        *at = stop + 1;
    }
    return list;
}

static int parse(const char *file, size_t size, struct plan *ret)
{
    const struct guard_spec *head = (const void *)file;
    const char *end = file + size, *at = file + sizeof *head;
    errno = EPROTO;
    if (size < sizeof *head || head->groups > 65536 || head->limits > 64 || head->argc == 0 ||
        head->argc > size || head->envc > size)
        return -1;
    ret->head = head;
    ret->limits = (const void *)at;
    at += head->limits * sizeof *ret->limits;
    ret->groups = (const void *)at;
    at += head->groups * sizeof *ret->groups;
    if (at >= end)
        return -1;
    char **folder = take_strings(&at, end, 1);
    ret->argv = folder ? take_strings(&at, end, head->argc) : NULL;
    ret->env = ret->argv ? take_strings(&at, end, head->envc) : NULL;
    if (!ret->env)
        return -1;
    ret->folder = folder[0];
    return 0;
}

static int read_plan(int fd, struct plan *ret)
{
    struct stat file;
    if (fstat(fd, &file) < 0)
        return -1;
    void *map = mmap(NULL, (size_t)file.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    return map == MAP_FAILED ? -1 : parse(map, (size_t)file.st_size, ret);
}

/* The guard ignores or blocks some signals; a program expects none of that. */
static void reset_signals(void)
{
    sigset_t none;
    for (int i = 1; i < NSIG; i++)
        signal(i, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void set_limits(const struct plan *p, int status)
{
    for (uint32_t i = 0; i < p->head->limits; i++) {
        struct rlimit limit = {p->limits[i].value, p->limits[i].value};
        if (setrlimit((__rlimit_resource_t)p->limits[i].resource, &limit) < 0)
            fail(status, GUARD_AT_LIMITS, (uint32_t)p->limits[i].resource);
    }
}

static void set_user(const struct plan *p, int status)
{
    if (!p->head->set_ids)
        return;
    if (setgroups(p->head->groups, p->groups) < 0 || setgid(p->head->gid) < 0 ||
        setuid(p->head->uid) < 0)
        fail(status, GUARD_AT_USER, 0);
}

static const char *find_path(char **env)
{
    for (; *env; env++)
        if (strncmp(*env, "PATH=", 5) == 0)
            return *env + 5;
    return "/usr/local/bin:/usr/bin:/bin";
}

/* As execvpe(), but looks in the PATH that the program will have, and gives no file that the kernel
 * refused to a shell. Returns only if it failed, with the errno that says most. */
static void exec_on_path(const struct plan *p)
{
    const char *name = p->argv[0];
    if (strchr(name, '/') || !*name) {
        execve(name, p->argv, p->env);
        return;
    }
    int best = ENOENT;
    for (const char *at = find_path(p->env), *end; at; at = *end ? end + 1 : NULL) {
        end = strchrnul(at, ':');
        char *file = xasprintf("%.*s/%s", (int)(end - at), end == at ? "." : at, name);
        execve(file, p->argv, p->env);
        int why = errno;
        if (why != ENOENT && why != ENOTDIR &&
            access(file, F_OK) == 0) /* else a folder is closed */
            best = why;
    }
    errno = best;
}

void guard_become(pid_t guard, const int fds[4], int status)
{
    struct plan plan;
    setpgid(0, 0);
    reset_signals();
    if (read_plan(fds[0], &plan) < 0)
        fail(status, GUARD_AT_SPEC, 0);
    for (int i = 0; i < 3; i++)
        if (dup2(fds[i + 1], i) < 0)
            fail(status, GUARD_AT_SPEC, 0);
    set_limits(&plan, status);
    set_user(&plan, status);
    if (chdir(plan.folder) < 0)
        fail(status, GUARD_AT_FOLDER, 0);
    if (plan.head->set_umask)
        umask(plan.head->umask);
    /* Last, because a change of user clears it; then the parent may have died already. */
    prctl(PR_SET_PDEATHSIG, plan.head->signal);
    if (getppid() != guard)
        _exit(127);
    exec_on_path(&plan);
    fail(status, GUARD_AT_EXEC, 0);
}
