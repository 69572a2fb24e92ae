#include "core/proc.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/mem.h"

#define MAX_FILE (2u << 20) /* no environment is longer */
#define MAX_PROGENY 100000u

void pids_add(struct pids *p, pid_t pid)
{
    if (p->count == p->cap) {
        p->cap = p->cap ? 2 * p->cap : 16;
        p->list = xreallocarray(p->list, p->cap, sizeof *p->list);
    }
    p->list[p->count++] = pid;
}

bool pids_have(const struct pids *p, pid_t pid)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->list[i] == pid)
            return true;
    return false;
}

void pids_free(struct pids *p)
{
    free(p->list);
    *p = (struct pids){0};
}

/* Appends a whole file. Files of /proc have no size, and may answer in pieces. */
static bool slurp(const char *path, struct buf *ret)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    char piece[4096];
    ssize_t n;
    while ((n = read(fd, piece, sizeof piece)) > 0 && ret->len < MAX_FILE)
        buf_append(ret, piece, (size_t)n);
    close(fd);
    return n >= 0;
}

/* The name is in parentheses, and may itself hold some: the last one counts. */
static bool parse_stat(const char *text, struct proc_stat *ret)
{
    const char *open = strchr(text, '('), *end = strrchr(text, ')');
    if (!open || !end)
        return false;
    snprintf(ret->name, sizeof ret->name, "%.*s", (int)(end - open - 1), open + 1);
    return sscanf(end + 1,
                  " %c %d %d %d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
                  &ret->state, &ret->ppid, &ret->group, &ret->session, &ret->start) == 5;
}

bool proc_stat(pid_t pid, struct proc_stat *ret)
{
    char path[64];
    struct buf text = {0};
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    bool ok = slurp(path, &text) && text.len && parse_stat(text.data, ret);
    buf_free(&text);
    return ok;
}

bool proc_alive(const struct proc_stat *stat)
{
    return stat->state != 'Z' && stat->state != 'X' && stat->state != 'x';
}

/* Calls `add` for every entry of a folder that is a number. */
static void each_number(const char *folder, void (*add)(void *data, int number), void *data)
{
    DIR *dir = opendir(folder);
    if (!dir)
        return;
    struct dirent *entry;
    while ((entry = readdir(dir)))
        if (isdigit((unsigned char)entry->d_name[0]))
            add(data, atoi(entry->d_name));
    closedir(dir);
}

static void add_pid(void *data, int number) { pids_add(data, number); }

void proc_all(struct pids *ret) { each_number("/proc", add_pid, ret); }

static void scan_children(pid_t pid, struct pids *ret)
{
    struct pids all = {0};
    struct proc_stat stat;
    proc_all(&all);
    for (size_t i = 0; i < all.count; i++)
        if (proc_stat(all.list[i], &stat) && stat.ppid == pid)
            pids_add(ret, all.list[i]);
    pids_free(&all);
}

/* One thread's list of children. Returns false if the kernel keeps none. */
static bool thread_children(pid_t pid, pid_t thread, struct pids *ret)
{
    char path[64];
    struct buf text = {0};
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", pid, thread);
    bool ok =
        slurp(path, &text) || errno == ESRCH || access("/proc/thread-self/children", F_OK) == 0;
    for (char *at = text.data, *end; at; at = end) {
        long child = strtol(at, &end, 10);
        if (end == at)
            break;
        pids_add(ret, (pid_t)child);
    }
    buf_free(&text);
    return ok;
}

void proc_children(pid_t pid, struct pids *ret)
{
    char path[64];
    struct pids threads = {0};
    bool ok = true;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    each_number(path, add_pid, &threads);
    for (size_t i = 0; ok && i < threads.count; i++)
        ok = thread_children(pid, threads.list[i], ret);
    if (!ok)
        scan_children(pid, ret);
    pids_free(&threads);
}

/* Appends the whole progeny of `pid`, parents first. */
static void add_progeny(pid_t pid, struct pids *ret)
{
    size_t next = ret->count;
    proc_children(pid, ret);
    for (; next < ret->count && ret->count < MAX_PROGENY; next++)
        proc_children(ret->list[next], ret);
}

static char *find_variable(const struct buf *environ, const char *name)
{
    size_t len = strlen(name);
    const char *at = environ->data, *end = at + environ->len;
    for (; at < end; at += strlen(at) + 1)
        if (strncmp(at, name, len) == 0 && at[len] == '=')
            return xstrdup(at + len + 1);
    return NULL;
}

char *proc_env(pid_t pid, const char *name)
{
    char path[64];
    struct buf text = {0};
    snprintf(path, sizeof path, "/proc/%d/environ", pid);
    char *value = slurp(path, &text) && text.len ? find_variable(&text, name) : NULL;
    buf_free(&text);
    return value;
}

bool proc_has_arguments(pid_t pid)
{
    char path[64];
    struct buf text = {0};
    snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
    bool some = slurp(path, &text) && text.len;
    buf_free(&text);
    return some;
}

/* The kernel's handle for one process; without it (before Linux 5.3) the pid itself must do. */
static int open_pid(pid_t pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }

static void send_signal(int handle, pid_t pid, int sig)
{
    if (handle < 0)
        kill(pid, sig);
    else
        syscall(SYS_pidfd_send_signal, handle, sig, NULL, 0);
}

void proc_signal(pid_t pid, unsigned long long start, int sig)
{
    struct proc_stat stat;
    int handle = open_pid(pid);
    if (proc_stat(pid, &stat) && stat.start == start)
        send_signal(handle, pid, sig);
    if (handle >= 0)
        close(handle);
}

/* A descendant counts while its parent is one of the family: `family` begins with the root. */
static void kill_member(const struct pids *family, pid_t pid)
{
    struct proc_stat stat;
    int handle = open_pid(pid);
    if (proc_stat(pid, &stat) && (pids_have(family, stat.ppid) || stat.ppid == getpid()))
        send_signal(handle, pid, SIGKILL);
    if (handle >= 0)
        close(handle);
}

void proc_kill_tree(pid_t pid)
{
    struct pids family = {0};
    pids_add(&family, pid);
    add_progeny(pid, &family);
    for (size_t i = 0; i < family.count; i++)
        kill_member(&family, family.list[i]);
    pids_free(&family);
}

int signal_number(const char *name)
{
    if (strncmp(name, "SIG", 3) == 0)
        name += 3;
    for (int i = 1; i < NSIG; i++) {
        const char *known = sigabbrev_np(i);
        if (known && strcmp(known, name) == 0)
            return i;
    }
    return 0;
}

const char *signal_name(int number)
{
    return number > 0 && number < NSIG ? sigabbrev_np(number) : NULL;
}
