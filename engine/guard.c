#include "guard.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/err.h"
#include "core/mem.h"
#include "core/proc.h"

/* When a program that cannot be opened (a dead mount) is given up. */
#define EXEC_LIMIT_MS 10000
#define RESCAN_MS 20
#define START_POLL_MS 1000 /* how late the limit above may be noticed */
#define FDS 4
#define BUCKETS 1024

/* One child, from its start until it and all it left behind are gone. */
struct child {
    struct child *next, *next_id, *next_pid; /* of all; of its buckets */
    uint32_t id;
    pid_t pid;
    uint32_t uid; /* whose unmarked orphans it answers for */
    int signal;   /* its stop signal */
    int starting; /* what it says until it has become its program; -1 once that is known */
    uint64_t start_by_ms;
    bool failed; /* it never became its program, and that was reported */
    bool exited; /* reaped; what it left behind is being killed */
    int status;
    uint64_t give_up_ms; /* once exited: report it then, even if something cannot be killed */
};

/* The guard's whole state. */
struct keeper {
    int fd, signals; /* signals: a signalfd for SIGCHLD */
    pid_t pid;
    const char *token;
    struct child *children; /* owned */
    struct child *by_id[BUCKETS], *by_pid[BUCKETS];
    struct pollfd *pollers; /* owned; room for `room` of them */
    size_t room;
    bool closing; /* the agent is gone */
    uint64_t kill_at_ms;
};

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static struct child **pid_bucket(struct keeper *k, pid_t pid)
{
    return &k->by_pid[(unsigned)pid % BUCKETS];
}

static struct child **id_bucket(struct keeper *k, uint32_t id) { return &k->by_id[id % BUCKETS]; }

static struct child *find_pid(struct keeper *k, pid_t pid)
{
    struct child *c = *pid_bucket(k, pid);
    while (c && (c->pid != pid || c->exited))
        c = c->next_pid;
    return c;
}

static struct child *find_id(struct keeper *k, uint32_t id)
{
    struct child *c = *id_bucket(k, id);
    while (c && c->id != id)
        c = c->next_id;
    return c;
}

static void add_child(struct keeper *k, struct child *c)
{
    struct child **by_id = id_bucket(k, c->id), **by_pid = pid_bucket(k, c->pid);
    c->next = k->children;
    c->next_id = *by_id;
    c->next_pid = *by_pid;
    k->children = *by_id = *by_pid = c;
}

/* `at` is where it is in the list of all. */
static void drop_child(struct keeper *k, struct child **at)
{
    struct child *c = *at, **by_id = id_bucket(k, c->id), **by_pid = pid_bucket(k, c->pid);
    while (*by_id != c)
        by_id = &(*by_id)->next_id;
    while (*by_pid != c)
        by_pid = &(*by_pid)->next_pid;
    *at = c->next;
    *by_id = c->next_id;
    *by_pid = c->next_pid;
    free(c);
}

/* ---- ending what a child leaves behind ---- */

/* The id in the token that an orphan was started with; 0 if it bears none of ours (it may have
 * cleared or overwritten its environment). */
static uint32_t owner_of(const struct keeper *k, pid_t pid)
{
    char *value = proc_env(pid, GUARD_VARIABLE);
    size_t len = strlen(k->token);
    uint32_t id = 0;
    if (value && strncmp(value, k->token, len) == 0 && value[len] == '.')
        id = (uint32_t)strtoul(value + len + 1, NULL, 10);
    free(value);
    return id;
}

static bool runs_as(pid_t pid, uint32_t uid)
{
    char path[64];
    unsigned real;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *file = fopen(path, "re");
    if (!file)
        return false;
    bool found = false;
    char line[256];
    while (!found && fgets(line, sizeof line, file))
        found = sscanf(line, "Uid: %u", &real) == 1;
    fclose(file);
    return found && real == uid;
}

/* Whether the orphan (a child of the guard that it did not start) is the child's. One without a
 * token is taken to be of the first service to exit under the same user: a database whose workers
 * overwrite their environment has none other. A command answers only for what it marked. */
static bool is_left_by(const struct keeper *k, const struct child *c, pid_t orphan)
{
    uint32_t owner = owner_of(k, orphan);
    return owner ? owner == c->id : c->exited && c->uid != GUARD_NO_USER && runs_as(orphan, c->uid);
}

/* Between two programs (in the midst of an exec), and when it is about to vanish, a process shows
 * neither arguments nor environment: whose it is can only be told a moment later. */
static bool is_in_between(const struct keeper *k, pid_t pid)
{
    return !owner_of(k, pid) && !proc_has_arguments(pid);
}

/* The guard's children that it did not start: what its own have orphaned. */
static void find_orphans(struct keeper *k, struct pids *ret)
{
    size_t kept = 0;
    proc_children(k->pid, ret);
    for (size_t i = 0; i < ret->count; i++)
        if (!find_pid(k, ret->list[i]))
            ret->list[kept++] = ret->list[i];
    ret->count = kept;
}

/* Kills those of the orphans that the child left behind. Returns how many of them were, or may have
 * been, still there. */
static int kill_leavings(struct keeper *k, const struct child *c, const struct pids *orphans)
{
    struct proc_stat stat;
    int count = 0;
    for (size_t i = 0; i < orphans->count; i++) {
        pid_t pid = orphans->list[i];
        if (!proc_stat(pid, &stat) || !proc_alive(&stat))
            continue;
        bool in_between = is_in_between(k, pid);
        if (!in_between && !is_left_by(k, c, pid))
            continue;
        if (!in_between)
            proc_kill_tree(pid);
        count++;
    }
    return count;
}

/* Everything there is, whoever started it. */
static void kill_all(struct keeper *k)
{
    struct pids pids = {0};
    proc_children(k->pid, &pids);
    for (size_t i = 0; i < pids.count; i++)
        proc_kill_tree(pids.list[i]);
    pids_free(&pids);
}

static void kill_child(struct keeper *k, struct child *c)
{
    struct pids orphans = {0};
    if (!c->exited) {
        proc_kill_tree(c->pid);
        kill(-c->pid, SIGKILL);
    }
    find_orphans(k, &orphans);
    kill_leavings(k, c, &orphans);
    pids_free(&orphans);
}

/* ---- reaping ---- */

static void report(struct keeper *k, const struct guard_report *r)
{
    if (!k->closing && send(k->fd, r, sizeof *r, MSG_NOSIGNAL) < 0 && errno != EPIPE)
        k->closing = errno != EINTR; /* an agent that cannot be told is as good as gone */
}

static void reap(struct keeper *k)
{
    siginfo_t info = {0};
    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid) {
        struct child *c = find_pid(k, info.si_pid);
        int status = 0;
        if (c)
            kill(-c->pid, SIGKILL); /* while its number is still its own */
        waitpid(info.si_pid, &status, 0);
        if (c) {
            c->exited = true;
            c->status = status;
            c->give_up_ms = now_ms() + GUARD_GRACE_MS;
        }
        info.si_pid = 0;
    }
}

static void report_failure(struct keeper *k, struct child *c, const struct guard_failure *why)
{
    c->failed = true;
    report(k, &(struct guard_report){.news = GUARD_FAILED,
                                     .id = c->id,
                                     .status = why->number,
                                     .stage = why->stage,
                                     .detail = why->detail});
}

/* The child's end of its status pipe is closed, by its program's start or by its end, or has said
 * why there will be none. */
static void conclude_start(struct keeper *k, struct child *c)
{
    struct guard_failure why;
    bool started = read(c->starting, &why, sizeof why) != (ssize_t)sizeof why;
    close(c->starting);
    c->starting = -1;
    if (started)
        report(k, &(struct guard_report){.news = GUARD_SPAWNED, .id = c->id, .pid = c->pid});
    else
        report_failure(k, c, &why);
}

static void give_up_start(struct keeper *k, struct child *c)
{
    kill(c->pid, SIGKILL);
    close(c->starting);
    c->starting = -1;
    report_failure(k, c, &(struct guard_failure){.stage = GUARD_AT_EXEC, .number = ETIMEDOUT});
}

static bool is_gone(struct keeper *k, const struct child *c, const struct pids *orphans)
{
    bool group_left = kill(-c->pid, 0) == 0;
    return (kill_leavings(k, c, orphans) == 0 && !group_left) || now_ms() >= c->give_up_ms;
}

static bool has_exited(const struct keeper *k)
{
    const struct child *c = k->children;
    while (c && !c->exited)
        c = c->next;
    return c != NULL;
}

/* Reports the children that are gone. Returns true if some have exited but left something. */
static bool settle(struct keeper *k)
{
    struct pids orphans = {0}; /* of all that have exited: they had them when they were reaped */
    bool unsettled = false;
    if (has_exited(k))
        find_orphans(k, &orphans);
    for (struct child **at = &k->children; *at;) {
        struct child *c = *at;
        if (c->exited && c->starting >= 0)
            conclude_start(k, c);
        if (!c->exited || !is_gone(k, c, &orphans)) {
            unsettled |= c->exited;
            at = &c->next;
            continue;
        }
        if (!c->failed)
            report(k, &(struct guard_report){
                          .news = GUARD_EXITED, .id = c->id, .pid = c->pid, .status = c->status});
        drop_child(k, at);
    }
    pids_free(&orphans);
    return unsettled;
}

/* ---- requests ---- */

static void close_fds(const int *fds, int count)
{
    for (int i = 0; i < count; i++)
        close(fds[i]);
}

static void spawn(struct keeper *k, const struct guard_request *r, const int fds[FDS])
{
    int status[2];
    struct child *c = xcalloc(1, sizeof *c);
    *c = (struct child){.id = r->id, .uid = r->uid, .signal = r->signal, .starting = -1};
    if (pipe2(status, O_CLOEXEC) < 0) {
        report_failure(k, c, &(struct guard_failure){.stage = GUARD_AT_FORK, .number = errno});
        free(c);
        return;
    }
    c->pid = _Fork(); /* no handlers of libraries: their descriptors are ours by now */
    if (c->pid == 0)
        guard_become(k->pid, fds, status[1]);
    int failure = errno;
    close(status[1]);
    if (c->pid < 0) {
        report_failure(k, c, &(struct guard_failure){.stage = GUARD_AT_FORK, .number = failure});
        close(status[0]);
        free(c);
        return;
    }
    c->starting = status[0];
    c->start_by_ms = now_ms() + EXEC_LIMIT_MS;
    add_child(k, c);
}

static void obey(struct keeper *k, const struct guard_request *r, const int *fds, int count)
{
    struct child *c = find_id(k, r->id);
    if (r->verb == GUARD_SPAWN && count == FDS)
        spawn(k, r, fds);
    else if (r->verb == GUARD_SIGNAL && c && !c->exited)
        kill(-c->pid, r->signal);
    else if (r->verb == GUARD_KILL && c)
        kill_child(k, c);
}

/* Copies the descriptors of a message. A cut-off list is closed, and counts as none. */
static int take_fds(struct msghdr *message, int fds[FDS])
{
    struct cmsghdr *c = CMSG_FIRSTHDR(message);
    if (!c || c->cmsg_type != SCM_RIGHTS)
        return 0;
    int count = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
    if (count > FDS)
        count = FDS;
    memcpy(fds, CMSG_DATA(c), (size_t)count * sizeof(int));
    return count;
}

static void receive(struct keeper *k)
{
    struct guard_request request;
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(FDS * sizeof(int))];
    } control;
    struct iovec body = {&request, sizeof request};
    struct msghdr message = {.msg_iov = &body,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    int fds[FDS];
    ssize_t n = recvmsg(k->fd, &message, MSG_CMSG_CLOEXEC);
    if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)) {
        k->closing = true;
        return;
    }
    int count = n > 0 ? take_fds(&message, fds) : 0;
    if (n == (ssize_t)sizeof request)
        obey(k, &request, fds, count);
    close_fds(fds, count);
}

/* ---- the end ---- */

static void ask_to_stop(pid_t target, int sig)
{
    kill(target, sig);
    kill(target, SIGCONT); /* a stopped process would not hear it */
}

static void begin_closing(struct keeper *k)
{
    struct pids pids = {0};
    close(k->fd);
    k->kill_at_ms = now_ms() + GUARD_GRACE_MS;
    for (struct child *c = k->children; c; c = c->next)
        if (!c->exited)
            ask_to_stop(-c->pid, c->signal);
    proc_children(k->pid, &pids);
    for (size_t i = 0; i < pids.count; i++)
        if (!find_pid(k, pids.list[i]) && !find_id(k, owner_of(k, pids.list[i])))
            ask_to_stop(pids.list[i], SIGTERM);
    pids_free(&pids);
}

static void drain_signals(int fd)
{
    struct signalfd_siginfo info[8];
    while (read(fd, info, sizeof info) > 0)
        ;
}

static bool has_children(void)
{
    siginfo_t info;
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

static void end(struct keeper *k)
{
    begin_closing(k);
    for (;;) {
        reap(k);
        settle(k);
        if (!has_children())
            return;
        uint64_t now = now_ms();
        if (now >= k->kill_at_ms)
            kill_all(k);
        struct pollfd poller = {.fd = k->signals, .events = POLLIN};
        poll(&poller, 1, RESCAN_MS);
        drain_signals(k->signals);
    }
}

/* The descriptors to wait for: the agent, SIGCHLD, and each child that is still starting. */
static size_t gather(struct keeper *k)
{
    size_t count = 2;
    for (const struct child *c = k->children; c; c = c->next)
        count += c->starting >= 0;
    if (count > k->room) {
        k->room = 2 * count;
        k->pollers = xreallocarray(k->pollers, k->room, sizeof *k->pollers);
    }
    k->pollers[0] = (struct pollfd){.fd = k->fd, .events = POLLIN};
    k->pollers[1] = (struct pollfd){.fd = k->signals, .events = POLLIN};
    count = 2;
    for (const struct child *c = k->children; c; c = c->next)
        if (c->starting >= 0)
            k->pollers[count++] = (struct pollfd){.fd = c->starting, .events = POLLIN};
    return count;
}

/* Tells what became of starts. `k->pollers` is as gather() filled it: no child came or went. */
static void conclude_starts(struct keeper *k, size_t count)
{
    uint64_t now = count > 2 ? now_ms() : 0;
    size_t at = 2;
    for (struct child *c = k->children; c && at < count; c = c->next) {
        if (c->starting < 0)
            continue;
        if (k->pollers[at++].revents)
            conclude_start(k, c);
        else if (now >= c->start_by_ms)
            give_up_start(k, c);
    }
}

static void serve(struct keeper *k)
{
    bool unsettled = false;
    while (!k->closing) {
        size_t count = gather(k);
        poll(k->pollers, (nfds_t)count, unsettled ? RESCAN_MS : count > 2 ? START_POLL_MS : -1);
        conclude_starts(k, count);
        bool died = k->pollers[1].revents != 0;
        if (k->pollers[0].revents)
            receive(k);
        if (died)
            drain_signals(k->signals);
        if (died || unsettled) {
            reap(k);
            unsettled = settle(k);
        }
    }
    end(k);
}

/* Only the agent's hanging up ends the guard: a signal meant for the agent's whole group must not
 * take away the one who stops the services. */
static int watch_signals(void)
{
    static const int deaf[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM,
                               SIGPIPE, SIGUSR1, SIGUSR2, SIGTSTP};
    sigset_t set;
    for (size_t i = 0; i < sizeof deaf / sizeof *deaf; i++)
        signal(deaf[i], SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_SETMASK, &set, NULL);
    return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

/* Keeps nothing open but the socket, which becomes descriptor 3. */
static int shed_files(int fd)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (fd < 3)
        fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (fd != 3)
        fd = dup3(fd, 3, O_CLOEXEC);
    for (int i = 0; i < 3; i++)
        dup2(null, i);
    if (syscall(SYS_close_range, 4u, ~0u, 0u) < 0)
        for (int i = 4; i < 65536; i++)
            close(i);
    return fd;
}

static void be_guard(int fd, const char *token) __attribute__((noreturn));

static void be_guard(int fd, const char *token)
{
    struct keeper k = {.pid = getpid(), .token = token};
    k.fd = shed_files(fd);
    k.signals = watch_signals();
    setsid();
    prctl(PR_SET_NAME, "orrery-guard");
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (chdir("/") == 0)
        serve(&k);
    _exit(0);
}

/* ---- the agent's end ---- */

static void make_token(char token[17])
{
    uint64_t number = 0;
    if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
        number = (uint64_t)getpid() << 32 ^ now_ms();
    snprintf(token, 17, "%016llx", (unsigned long long)number);
}

struct guard *guard_fork(struct err *err)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        err_errno(err, errno, "cannot make a socket for the guard process");
        return NULL;
    }
    struct guard *g = xcalloc(1, sizeof *g);
    make_token(g->token);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    g->fd = pair[0];
    g->pid = fork();
    if (g->pid == 0)
        be_guard(pair[1], g->token);
    close(pair[1]);
    if (g->pid > 0)
        return g;
    err_errno(err, errno, "cannot fork the guard process");
    close(g->fd);
    free(g);
    return NULL;
}

struct guard *guard_fork_embedded(struct err *err)
{
    struct guard *g = guard_fork(err);
    if (g)
        g->embedded = true;
    return g;
}

void guard_close(struct guard *g)
{
    if (!g)
        return;
    if (g->fd >= 0)
        close(g->fd);
    if (g->pid > 0)
        while (waitpid(g->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    free(g);
}

int guard_fd(const struct guard *g) { return g->fd; }

pid_t guard_pid(const struct guard *g) { return g->pid; }
