/* proc.h -- what /proc says about processes, and signals that cannot hit a reused pid.
 *
 * Nothing is cached: every answer may be stale by the time it is read, so whoever must be sure asks
 * again until nothing is left. Used by the guard as well as by the agent. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct proc_stat {
    char name[32];
    char state; /* 'Z' and 'X' are not alive */
    pid_t ppid, group, session;
    unsigned long long start; /* clock ticks since boot: with the pid it names one process */
};

struct pids {
    pid_t *list; /* owned */
    size_t count, cap;
};

bool proc_stat(pid_t pid, struct proc_stat *ret);
bool proc_alive(const struct proc_stat *stat);

void pids_add(struct pids *p, pid_t pid);
bool pids_have(const struct pids *p, pid_t pid);
void pids_free(struct pids *p);

/* Append the children of `pid`, zombies too; every process. */
void proc_children(pid_t pid, struct pids *ret);
void proc_all(struct pids *ret);

/* The value of a variable in the environment that `pid` was started with. The caller frees it; NULL
 * if it has none, or may not be read. */
char *proc_env(pid_t pid, const char *name);

/* False for a process in the midst of an exec, and for one that is about to vanish. */
bool proc_has_arguments(pid_t pid);

/* SIGKILL for the progeny of `pid`, and for `pid` itself if it is our child. */
void proc_kill_tree(pid_t pid);

/* Sends `sig` if `pid` still is the process that started at `start`. */
void proc_signal(pid_t pid, unsigned long long start, int sig);

/* "TERM" or "SIGTERM" to its number, 0 if there is none; and back (NULL if it has no name). */
int signal_number(const char *name);
const char *signal_name(int number);
