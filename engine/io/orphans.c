#include "io/orphans.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/proc.h"
#include "guard.h"

#define ROUND_MS 20

static uint64_t elapsed_ms(const struct orphans *o) { return uv_hrtime() / 1000000 - o->began_ms; }

static bool bears_token(const struct guard *g, pid_t pid)
{
    char *value = proc_env(pid, GUARD_VARIABLE);
    size_t len = strlen(g->token);
    bool ours = value && strncmp(value, g->token, len) == 0 && value[len] == '.';
    free(value);
    return ours;
}

/* In a host program only what is certain to be the guard's may be touched. Our own program starts
 * nothing but through the guard. */
static bool is_ours(struct orphans *o, pid_t pid, const struct proc_stat *stat)
{
    const struct guard *g = o->guard;
    return !g->embedded || o->known(o->data, pid) || stat->session == o->session ||
           bears_token(g, pid);
}

static void reap(struct orphans *o, pid_t pid)
{
    int status = 0;
    if (o->known(o->data, pid))
        kill(-pid, SIGKILL); /* what it left in its group */
    if (waitpid(pid, &status, WNOHANG) == pid)
        o->reaped(o->data, pid, status);
}

static void stop(struct orphans *o, pid_t pid)
{
    if (elapsed_ms(o) >= GUARD_GRACE_MS || !pids_have(&o->asked, pid))
        proc_kill_tree(pid); /* one that was not asked was left by a child that ended */
}

static void ask(struct orphans *o, pid_t pid)
{
    int sig = o->known(o->data, pid);
    pid_t target = sig ? -pid : pid;
    kill(target, sig ? sig : SIGTERM);
    kill(target, SIGCONT);
    pids_add(&o->asked, pid);
}

/* One look at our children. Returns true while there is something left. */
static bool round_of(struct orphans *o, void (*treat)(struct orphans *o, pid_t pid))
{
    struct pids pids = {0};
    struct proc_stat stat;
    bool left = false;
    proc_children(getpid(), &pids);
    for (size_t i = 0; i < pids.count; i++) {
        pid_t pid = pids.list[i];
        if (!proc_stat(pid, &stat) || !is_ours(o, pid, &stat))
            continue;
        left = true;
        if (proc_alive(&stat))
            treat(o, pid);
        else
            reap(o, pid);
    }
    pids_free(&pids);
    return left;
}

static bool go_on(struct orphans *o)
{
    o->active = round_of(o, stop);
    if (!o->active)
        pids_free(&o->asked);
    return o->active;
}

static void tick(uv_timer_t *timer)
{
    if (!go_on(timer->data))
        uv_timer_stop(timer);
}

void orphans_start(struct orphans *o, uv_loop_t *loop)
{
    o->began_ms = uv_hrtime() / 1000000;
    o->active = true;
    o->timer.data = o;
    uv_timer_init(loop, &o->timer);
    kill(o->guard->pid, SIGKILL);    /* it has hung up, so this is but to be sure */
    waitpid(o->guard->pid, NULL, 0); /* all that it kept is ours now */
    o->session = o->guard->pid;
    o->guard->pid = 0;
    round_of(o, ask);
    uv_timer_start(&o->timer, tick, ROUND_MS, ROUND_MS);
}

void orphans_finish(struct orphans *o)
{
    static const struct timespec pause = {.tv_nsec = ROUND_MS * 1000000};
    while (go_on(o))
        nanosleep(&pause, NULL);
}
