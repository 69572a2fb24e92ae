/* process.h -- the programs that the guard runs for us.
 *
 * Made at the first use; a guard that main() did not hand over is forked then. While a process
 * lives the loop is alive. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;
struct io;
struct process;
struct pids;

#define PROCESS_UNKNOWN (-1) /* a status that was never learnt */

struct process_limit {
    int resource;   /* RLIMIT_... */
    uint64_t value; /* soft and hard; RLIM_INFINITY: none */
};

struct process_spec {
    const char *instance; /* becomes ORRERY_INSTANCE; NULL: none */
    char *const *argv;
    char *const *env;         /* "K=V", laid over a clean base; may be NULL */
    const char *cwd;          /* NULL: ours */
    const char *user, *group; /* names or numbers; NULL: ours */
    int umask;                /* -1: ours */
    const struct process_limit *limits;
    size_t limit_count;
    int death_signal;          /* its stop signal, if we die; 0: SIGTERM */
    int in_fd, out_fd, err_fd; /* borrowed for the call; -1: /dev/null */
};

/* Both are called from the loop, never from within process_start(). Exactly one of: started(error);
 * or started(NULL) and later exited(). After either the process is freed. exited() gets the status
 * as waitpid() gives it, or PROCESS_UNKNOWN, and only after all that the process left behind (in
 * its group, or bearing its mark) has been killed too. */
struct process_calls {
    void (*started)(void *data, const struct err *err);
    void (*exited)(void *data, int status);
};

/* Returns NULL with `err` set if it cannot even be asked for. `calls` must stay valid. */
struct process *process_start(struct io *io, const struct process_spec *spec,
                              const struct process_calls *calls, void *data, struct err *err);

pid_t process_pid(const struct process *p); /* 0 until it has started */

/* To its whole group. Nothing happens before it has started, or when it has exited. */
void process_signal(struct process *p, int sig);

/* SIGKILL to its group, its descendants, and what bears its mark. */
void process_kill_tree(struct process *p);

/* Kills the tree and forgets it: no callback is called any more. */
void process_abandon(struct process *p);

/* Calls lost(data, message) from the loop if the guard dies. Ends with process_guard_forget(). */
struct guard_watch;
struct guard_watch *process_guard_watch(struct io *io,
                                        void (*lost)(void *data, const char *message), void *data,
                                        struct err *err);
void process_guard_forget(struct guard_watch *watch);

/* The token that this engine's children bear, or NULL while there is no guard. */
const char *process_token(const struct io *io);
pid_t process_guard_pid(const struct io *io); /* 0 while there is none */

void process_close(struct io *io); /* called by io_close() */
