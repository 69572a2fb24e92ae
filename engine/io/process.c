#include "io/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "core/err.h"
#include "core/mem.h"
#include "guard.h"
#include "io/io.h"
#include "io/orphans.h"
#include "io/process_order.h"

#define MAX_UNANSWERED                                                                             \
    32 /* starts under way at once: each holds four descriptors in the socket                      \
        */

#define BUCKETS 256

enum process_state { PROCESS_QUEUED, PROCESS_STARTING, PROCESS_RUNNING };

struct process {
    struct process *next, **prev; /* processes.all, oldest first */
    struct process *next_id;      /* in its bucket */
    struct processes *owner;      /* borrowed */
    uint32_t id;
    enum process_state state;
    pid_t pid;
    bool kill_wanted;                  /* abandoned or killed before it had started */
    const struct process_calls *calls; /* borrowed; NULL once abandoned */
    void *data;
    struct process_order order; /* embedded; empty once it has started */
    int fds[3];                 /* owned while queued; -1: /dev/null */
};

/* A request that the socket could not take yet. */
struct request {
    struct request *next;
    struct guard_request body;
};

struct guard_watch {
    struct guard_watch *next, **prev;
    void (*lost)(void *data, const char *message);
    void *data;
    struct processes *owner;
};

struct processes {
    struct io *io;       /* borrowed */
    struct guard *guard; /* borrowed if main() forked it, else owned */
    bool owned, lost, closed;
    int null;    /* owned: /dev/null */
    int handles; /* not yet closed */
    uv_poll_t poll;
    int events; /* what it polls for */
    struct process *all, **tail;
    struct process *by_id[BUCKETS];
    struct process *queued; /* none before it waits to be started */
    uint32_t last_id;
    int unanswered;
    struct request *requests, **requests_tail; /* owned */
    struct guard_watch *watches;               /* owned by who watches */
    struct orphans orphans;
};

static void on_poll(uv_poll_t *poll, int status, int events);

/* ---- the table ---- */

/* While anything is pending the loop must stay alive. */
static void update_ref(struct processes *ps)
{
    if (ps->all || ps->watches)
        uv_ref((uv_handle_t *)&ps->poll);
    else
        uv_unref((uv_handle_t *)&ps->poll);
}

static void close_fds(struct process *p)
{
    for (int i = 0; i < 3; i++)
        if (p->fds[i] >= 0)
            close(p->fds[i]);
    for (int i = 0; i < 3; i++)
        p->fds[i] = -1;
}

static void process_free(struct process *p)
{
    struct processes *ps = p->owner;
    struct process **by_id = &ps->by_id[p->id % BUCKETS];
    while (*by_id != p)
        by_id = &(*by_id)->next_id;
    *by_id = p->next_id;
    *p->prev = p->next;
    if (p->next)
        p->next->prev = p->prev;
    else
        ps->tail = p->prev;
    if (ps->queued == p)
        ps->queued = p->next;
    close_fds(p);
    process_order_free(&p->order);
    free(p);
    update_ref(ps);
}

static void finish_start(struct process *p, const struct err *err)
{
    if (p->calls)
        p->calls->started(p->data, err);
    process_free(p);
}

static void finish_run(struct process *p, int status)
{
    if (p->calls)
        p->calls->exited(p->data, status);
    process_free(p);
}

static struct process *find(struct processes *ps, uint32_t id)
{
    struct process *p = ps->by_id[id % BUCKETS];
    while (p && p->id != id)
        p = p->next_id;
    return p;
}

static struct process *find_pid(struct processes *ps, pid_t pid)
{
    struct process *p = ps->all;
    while (p && (p->pid != pid || p->state != PROCESS_RUNNING))
        p = p->next;
    return p;
}

/* ---- losing the guard ---- */

static int known_child(void *data, pid_t pid)
{
    struct process *p = find_pid(data, pid);
    return p ? p->order.signal : 0;
}

static void child_reaped(void *data, pid_t pid, int status)
{
    struct process *p = find_pid(data, pid);
    if (p)
        finish_run(p, status);
}

static struct process *first_not_running(struct processes *ps)
{
    struct process *p = ps->all;
    while (p && p->state == PROCESS_RUNNING)
        p = p->next;
    return p;
}

static void fail_starting(struct processes *ps, const char *message)
{
    struct process *p;
    while ((p = first_not_running(ps))) {
        struct err err = {0};
        err_set(&err, "closed", "cannot start %s: %s", p->order.label, message);
        finish_start(p, &err);
        err_clear(&err);
    }
}

static void tell_watches(struct processes *ps, const char *message)
{
    while (ps->watches) {
        struct guard_watch *watch = ps->watches;
        void (*lost)(void *, const char *) = watch->lost;
        void *data = watch->data;
        process_guard_forget(watch);
        lost(data, message);
    }
}

static void lose_guard(struct processes *ps)
{
    char *message = xasprintf("the guard process (pid %d) has died; all services are being stopped",
                              (int)guard_pid(ps->guard));
    ps->lost = true;
    uv_poll_stop(&ps->poll); /* the socket stays open: the poll handle would take back its number */
    fail_starting(ps, message);
    ps->orphans.guard = ps->guard;
    ps->orphans.known = known_child;
    ps->orphans.reaped = child_reaped;
    ps->orphans.data = ps;
    orphans_start(&ps->orphans, &ps->io->loop);
    tell_watches(ps, message);
    free(message);
}

/* ---- talking ---- */

/* Sends one message without waiting. Returns 0, or the errno value. */
static int send_message(struct processes *ps, const struct guard_request *body, const int *fds,
                        size_t count)
{
    union {
        struct cmsghdr align;
        char space[CMSG_SPACE(4 * sizeof(int))];
    } control = {0};
    struct iovec part = {(void *)body, sizeof *body};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (count) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&message);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(c), fds, count * sizeof(int));
    }
    if (sendmsg(guard_fd(ps->guard), &message, MSG_NOSIGNAL | MSG_DONTWAIT) >= 0)
        return 0;
    return errno;
}

/* The specification as a file that the guard can open up. -1 with errno. */
static int make_file(const struct buf *spec)
{
    int fd = memfd_create("orrery-spec", MFD_CLOEXEC);
    if (fd >= 0 && write(fd, spec->data, spec->len) != (ssize_t)spec->len) {
        close(fd);
        errno = ENOSPC;
        return -1;
    }
    return fd;
}

/* Returns 0, EAGAIN if the socket is full, or the errno value of what failed. */
static int send_start(struct processes *ps, struct process *p)
{
    struct guard_request body = {
        .verb = GUARD_SPAWN, .id = p->id, .signal = p->order.signal, .uid = p->order.uid};
    int fds[4] = {make_file(&p->order.spec)};
    if (fds[0] < 0)
        return errno;
    for (int i = 0; i < 3; i++)
        fds[i + 1] = p->fds[i] < 0 ? ps->null : p->fds[i];
    int failure = send_message(ps, &body, fds, 4);
    close(fds[0]);
    return failure;
}

/* The same; what was sent needs nothing of it any more. */
static int hand_over(struct processes *ps, struct process *p)
{
    int failure = send_start(ps, p);
    if (failure)
        return failure;
    p->state = PROCESS_STARTING;
    ps->unanswered++;
    close_fds(p);
    buf_free(&p->order.spec);
    return 0;
}

static bool try_start(struct processes *ps, struct process *p)
{
    int failure = hand_over(ps, p);
    if (failure == EAGAIN || (failure == ETOOMANYREFS && ps->unanswered))
        return false;
    if (!failure)
        return true;
    struct err err = {0};
    err_errno(&err, failure, "cannot start %s: cannot hand it to the guard process",
              p->order.label);
    finish_start(p, &err);
    err_clear(&err);
    return true;
}

static bool send_requests(struct processes *ps)
{
    while (ps->requests) {
        struct request *r = ps->requests;
        if (send_message(ps, &r->body, NULL, 0) == EAGAIN)
            return false;
        ps->requests = r->next;
        if (!r->next)
            ps->requests_tail = &ps->requests;
        free(r);
    }
    return true;
}

static void listen_for(struct processes *ps, int events)
{
    if (ps->lost || ps->events == events)
        return;
    ps->events = events;
    uv_poll_start(&ps->poll, events, on_poll);
}

static struct process *first_queued(struct processes *ps)
{
    while (ps->queued && ps->queued->state != PROCESS_QUEUED)
        ps->queued = ps->queued->next;
    return ps->queued;
}

/* Sends what can be sent. A start that failed is told from here: only called from the loop. */
static void pump(struct processes *ps)
{
    struct process *p;
    bool room = send_requests(ps);
    while (room && ps->unanswered < MAX_UNANSWERED && (p = first_queued(ps)))
        room = try_start(ps, p);
    listen_for(ps, UV_READABLE | (room ? 0 : UV_WRITABLE));
}

static void request(struct process *p, enum guard_verb verb, int sig)
{
    struct processes *ps = p->owner;
    if (ps->lost || ps->closed)
        return;
    struct request *r = xcalloc(1, sizeof *r);
    r->body = (struct guard_request){.verb = verb, .id = p->id, .signal = sig};
    *ps->requests_tail = r;
    ps->requests_tail = &r->next;
    if (!send_requests(ps))
        listen_for(ps, UV_READABLE | UV_WRITABLE);
}

/* ---- hearing ---- */

static void hear_started(struct process *p, const struct guard_report *report)
{
    p->state = PROCESS_RUNNING;
    p->pid = report->pid;
    if (p->kill_wanted)
        request(p, GUARD_KILL, 0);
    if (p->calls)
        p->calls->started(p->data, NULL);
}

static void hear_failed(struct process *p, const struct guard_report *report)
{
    struct err err = {0};
    process_order_explain(&p->order, report, &err);
    finish_start(p, &err);
    err_clear(&err);
}

static void hear(struct processes *ps, const struct guard_report *report)
{
    struct process *p = find(ps, report->id);
    if (report->news != GUARD_EXITED)
        ps->unanswered--;
    if (!p)
        return;
    if (report->news == GUARD_SPAWNED)
        hear_started(p, report);
    else if (report->news == GUARD_FAILED)
        hear_failed(p, report);
    else
        finish_run(p, report->status);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct processes *ps = poll->data;
    struct guard_report report;
    (void)status;
    (void)events;
    for (;;) {
        ssize_t n = recv(guard_fd(ps->guard), &report, sizeof report, MSG_DONTWAIT);
        if (n == (ssize_t)sizeof report) {
            hear(ps, &report);
            continue;
        }
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        lose_guard(ps);
        return;
    }
    pump(ps);
}

/* ---- opening and closing ---- */

static struct processes *open_processes(struct io *io, struct err *err)
{
    if (io->processes)
        return io->processes;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0) {
        err_errno(err, errno, "cannot open /dev/null");
        return NULL;
    }
    struct guard *guard = io->guard ? io->guard : guard_fork_embedded(err);
    if (!guard) {
        close(null);
        return NULL;
    }
    struct processes *ps = xcalloc(1, sizeof *ps);
    ps->io = io;
    ps->guard = guard;
    ps->null = null;
    ps->owned = !io->guard;
    ps->tail = &ps->all;
    ps->requests_tail = &ps->requests;
    ps->poll.data = ps;
    ps->handles = 1;
    uv_poll_init(&io->loop, &ps->poll, guard_fd(guard));
    listen_for(ps, UV_READABLE);
    uv_unref((uv_handle_t *)&ps->poll);
    io->processes = ps;
    return ps;
}

static void handle_closed(struct processes *ps)
{
    if (--ps->handles)
        return;
    while (ps->requests) {
        struct request *r = ps->requests;
        ps->requests = r->next;
        free(r);
    }
    free(ps);
}

static void poll_closed(uv_handle_t *poll) { handle_closed(poll->data); }

static void orphans_closed(uv_handle_t *timer)
{
    struct orphans *o = timer->data;
    handle_closed(o->data);
}

void process_close(struct io *io)
{
    struct processes *ps = io->processes;
    if (!ps)
        return;
    ps->closed = true;
    fail_starting(ps, "the engine is closing");
    if (ps->lost) {
        orphans_finish(&ps->orphans);
        ps->handles++;
        uv_close((uv_handle_t *)&ps->orphans.timer, orphans_closed);
    }
    while (ps->all)
        finish_run(ps->all, PROCESS_UNKNOWN);
    tell_watches(ps, "the engine is closing");
    uv_close((uv_handle_t *)&ps->poll, poll_closed);
    if (ps->owned)
        guard_close(ps->guard);
    close(ps->null);
    io->processes = NULL;
}

/* ---- the public face ---- */

static int copy_fds(struct process *p, const struct process_spec *spec)
{
    const int from[3] = {spec->in_fd, spec->out_fd, spec->err_fd};
    for (int i = 0; i < 3; i++) {
        p->fds[i] = from[i] < 0 ? -1 : fcntl(from[i], F_DUPFD_CLOEXEC, 3);
        if (p->fds[i] < 0 && from[i] >= 0)
            return -1;
    }
    return 0;
}

static struct process *add(struct processes *ps)
{
    struct process *p = xcalloc(1, sizeof *p);
    p->owner = ps;
    p->id = ++ps->last_id;
    p->fds[0] = p->fds[1] = p->fds[2] = -1;
    p->prev = ps->tail;
    *ps->tail = p;
    ps->tail = &p->next;
    p->next_id = ps->by_id[p->id % BUCKETS];
    ps->by_id[p->id % BUCKETS] = p;
    if (!ps->queued)
        ps->queued = p;
    update_ref(ps);
    return p;
}

struct process *process_start(struct io *io, const struct process_spec *spec,
                              const struct process_calls *calls, void *data, struct err *err)
{
    struct processes *ps = open_processes(io, err);
    if (!ps)
        return NULL;
    if (ps->lost || ps->closed) {
        err_set(err, "closed", "cannot start %s: the guard process has died; start again",
                spec->argv[0] ? spec->argv[0] : "a program");
        return NULL;
    }
    struct process *p = add(ps);
    char *mark = xasprintf("%s.%u", ps->guard->token, p->id);
    int made = process_order_init(&p->order, spec, mark, err);
    free(mark);
    if (made == 0 && copy_fds(p, spec) < 0)
        made = err_errno(err, errno, "cannot start %s: cannot open its files", p->order.label);
    if (made < 0) {
        process_free(p);
        return NULL;
    }
    p->calls = calls;
    p->data = data;
    bool is_next = !ps->requests && ps->unanswered < MAX_UNANSWERED && first_queued(ps) == p;
    if (!is_next || hand_over(ps, p) != 0)
        listen_for(ps, UV_READABLE | UV_WRITABLE); /* the loop sends it, or tells why it cannot */
    return p;
}

pid_t process_pid(const struct process *p) { return p->pid; }

void process_signal(struct process *p, int sig)
{
    if (p->state == PROCESS_RUNNING && p->owner->lost)
        kill(-p->pid, sig); /* nobody but us reaps it now */
    else if (p->state == PROCESS_RUNNING)
        request(p, GUARD_SIGNAL, sig);
}

void process_kill_tree(struct process *p)
{
    p->kill_wanted = true;
    if (p->state == PROCESS_RUNNING && p->owner->lost)
        kill(-p->pid, SIGKILL);
    else if (p->state == PROCESS_RUNNING)
        request(p, GUARD_KILL, 0);
}

void process_abandon(struct process *p)
{
    p->calls = NULL;
    if (p->state == PROCESS_QUEUED)
        process_free(p);
    else
        process_kill_tree(p);
}

struct guard_watch *process_guard_watch(struct io *io,
                                        void (*lost)(void *data, const char *message), void *data,
                                        struct err *err)
{
    struct processes *ps = open_processes(io, err);
    if (!ps)
        return NULL;
    if (ps->lost) {
        err_set(err, "closed", "the guard process has died; all services were stopped");
        return NULL;
    }
    struct guard_watch *w = xcalloc(1, sizeof *w);
    *w = (struct guard_watch){
        .next = ps->watches, .prev = &ps->watches, .lost = lost, .data = data, .owner = ps};
    if (w->next)
        w->next->prev = &w->next;
    ps->watches = w;
    update_ref(ps);
    return w;
}

void process_guard_forget(struct guard_watch *w)
{
    struct processes *ps = w->owner;
    *w->prev = w->next;
    if (w->next)
        w->next->prev = w->prev;
    free(w);
    update_ref(ps);
}

const char *process_token(const struct io *io)
{
    if (io->processes)
        return io->processes->guard->token;
    return io->guard ? io->guard->token : NULL;
}

pid_t process_guard_pid(const struct io *io)
{
    if (io->processes)
        return guard_pid(io->processes->guard);
    return io->guard ? guard_pid(io->guard) : 0;
}
