/* guard.h -- the process that starts services and outlives the agent just long enough to stop them.
 *
 * It is forked before Lua and threads exist, so that starting a service costs one small fork, and
 * so that `kill -9` of the agent leaves a living parent who knows every child. It reaps, so a pid
 * it names cannot have been reused. It is a subreaper: what its children orphan comes to it.
 *
 * The two talk over a socketpair (SOCK_SEQPACKET: one message, one packet). When the agent's end is
 * closed, for whatever reason, the guard sends every child its stop signal, SIGKILL after
 * GUARD_GRACE_MS, until no descendant is left, and ends. When the guard dies, its children get
 * their stop signal from the kernel and come to the agent, which does the same (io/orphans.c). */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct err;

#define GUARD_GRACE_MS 3000
#define GUARD_NO_USER UINT32_MAX
#define GUARD_VARIABLE "ORRERY_CHILD" /* in every child: <token>.<id of the child> */

struct guard {
    pid_t pid;      /* 0 once it was reaped */
    int fd;         /* owned: the agent's end; -1 once closed */
    bool embedded;  /* forked late, by a host that may have children of its own */
    char token[17]; /* names this guard's children in their environment */
};

/* Forks the guard. This process becomes a subreaper. */
struct guard *guard_fork(struct err *err);

/* As guard_fork(), from inside a host program: nothing of the host's files is kept open. */
struct guard *guard_fork_embedded(struct err *err);

/* Hangs up, waits until every child has ended (the guard sees to it), and frees. NULL is allowed.
 */
void guard_close(struct guard *g);

int guard_fd(const struct guard *g);
pid_t guard_pid(const struct guard *g);

/* ---- the wire: from the agent ---- */

enum guard_verb {
    GUARD_SPAWN,  /* with four descriptors: the specification, and the child's 0, 1 and 2 */
    GUARD_SIGNAL, /* to the child's whole group */
    GUARD_KILL    /* SIGKILL to the group, to every descendant, and to what they orphaned */
};

struct guard_request {
    uint32_t verb;
    uint32_t id;    /* the agent's name for the child */
    int32_t signal; /* SPAWN: the child's stop signal; SIGNAL: the signal */
    uint32_t uid;   /* SPAWN: whose unmarked orphans it answers for; GUARD_NO_USER: nobody's */
};

/* What a memory file passed with GUARD_SPAWN holds: this, `limits` guard_limit, `groups` gid_t,
 * then NUL-terminated strings: the working directory, `argc` arguments, `envc` variables. */
struct guard_spec {
    uint32_t argc, envc, groups, limits;
    uint32_t uid, gid, umask;
    int32_t signal;
    uint8_t set_ids, set_umask, padding[6];
};

struct guard_limit {
    uint64_t resource, value;
};

/* ---- the wire: from the guard ---- */

enum guard_news { GUARD_SPAWNED, GUARD_FAILED, GUARD_EXITED };

enum guard_stage {
    GUARD_AT_FORK,
    GUARD_AT_SPEC,
    GUARD_AT_LIMITS,
    GUARD_AT_USER,
    GUARD_AT_FOLDER,
    GUARD_AT_EXEC
};

struct guard_report {
    uint32_t news;
    uint32_t id;
    int32_t pid;
    int32_t status;  /* EXITED: as waitpid() gave it; FAILED: the errno value */
    uint32_t stage;  /* FAILED: where */
    uint32_t detail; /* FAILED at limits: which */
};

/* Runs in the forked child: becomes the specified program, or writes a guard_failure to `status`.
 */
struct guard_failure {
    uint32_t stage, detail;
    int32_t number; /* errno */
};
void guard_become(pid_t guard, const int fds[4], int status) __attribute__((noreturn));
