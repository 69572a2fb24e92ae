#include "io/notify.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#include "core/err.h"
#include "core/mem.h"
#include "core/proc.h"
#include "io/io.h"
#include "io/process.h"
#include "io/user.h"

#define MAX_FDS 64    /* that a message may carry; all are closed */
#define MAX_DEPTH 128 /* generations between a sender and the guard */

/* Freed when its poll handle has closed. */
struct notify {
    uv_poll_t poll;
    struct io *io; /* borrowed */
    int fd;
    char *path; /* owned */
    void (*told)(void *data, const struct notify_message *message);
    void *data;
    char text[NOTIFY_BYTES + 1];
};

/* ---- who it is ---- */

/* The ancestor of `pid` whose parent is the guard, or 0. A pid cannot be reused on this path while
 * the sender waits to be heard; one that has gone is nobody's. */
static pid_t root_of(pid_t pid, pid_t guard)
{
    struct proc_stat stat;
    for (int depth = 0; guard && depth < MAX_DEPTH && pid > 1; depth++) {
        if (!proc_stat(pid, &stat))
            return 0;
        if (stat.ppid == guard)
            return pid;
        pid = stat.ppid;
    }
    return 0;
}

static void tell(struct notify *n, size_t len, pid_t sender)
{
    struct notify_message message = {.text = n->text, .len = len, .pid = sender};
    message.root = root_of(sender, process_guard_pid(n->io));
    char *instance = message.root ? proc_env(message.root, "ORRERY_INSTANCE") : NULL;
    message.instance = instance;
    n->text[len] = '\0';
    n->told(n->data, &message);
    free(instance);
}

/* ---- reading ---- */

/* systemd-notify waits until the descriptor that it sends along has been closed. */
static void close_passed(const struct cmsghdr *part)
{
    size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; i++) {
        int fd;
        memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
        close(fd);
    }
}

/* The sender's pid, or 0. */
static pid_t read_control(struct msghdr *header)
{
    pid_t sender = 0;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(header); part; part = CMSG_NXTHDR(header, part)) {
        struct ucred who;
        if (part->cmsg_level != SOL_SOCKET)
            continue;
        if (part->cmsg_type == SCM_RIGHTS)
            close_passed(part);
        if (part->cmsg_type == SCM_CREDENTIALS && part->cmsg_len == CMSG_LEN(sizeof who)) {
            memcpy(&who, CMSG_DATA(part), sizeof who);
            sender = who.pid;
        }
    }
    return sender;
}

/* One message for each time that the socket is readable: the loop says so again while there is
 * more, and told() may stop the reading or close us. */
static void readable(uv_poll_t *poll, int status, int events)
{
    struct notify *n = poll->data;
    union {
        struct cmsghdr aligned;
        char bytes[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(MAX_FDS * sizeof(int))];
    } control;
    struct iovec text = {n->text, NOTIFY_BYTES};
    struct msghdr header = {.msg_iov = &text,
                            .msg_iovlen = 1,
                            .msg_control = &control,
                            .msg_controllen = sizeof control};
    (void)status;
    (void)events;
    ssize_t len = recvmsg(n->fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (len < 0)
        return;
    pid_t sender = read_control(&header);
    if (len > 0 && sender > 0 && !(header.msg_flags & MSG_TRUNC))
        tell(n, (size_t)len, sender);
}

void notify_hold(struct notify *n, int hold)
{
    if (hold)
        uv_poll_stop(&n->poll);
    else if (!uv_is_active((uv_handle_t *)&n->poll))
        uv_poll_start(&n->poll, UV_READABLE, readable);
}

/* ---- opening and closing ---- */

static int give_to(const char *path, const char *owner, struct err *err)
{
    struct user user;
    if (!owner)
        return 0;
    if (user_find(owner, &user, err) < 0)
        return -1;
    int result = 0;
    if (user.uid != geteuid() && lchown(path, user.uid, user.gid) < 0)
        result = err_errno(err, errno, "cannot give the socket %s to %s", path, owner);
    user_free(&user);
    return result;
}

/* Its mode is set before it has a name, so nobody else can ever write to it. */
static int bind_to(int fd, const char *path, const char *owner, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int on = 1;
    if (strlen(path) >= sizeof address.sun_path)
        return err_set(err, "invalid",
                       "%s: the path of a socket may have %zu bytes at most: set stateDir to a "
                       "shorter one",
                       path, sizeof address.sun_path - 1);
    memcpy(address.sun_path, path, strlen(path) + 1);
    unlink(path);
    if (setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) < 0 || fchmod(fd, 0600) < 0 ||
        bind(fd, (const struct sockaddr *)&address, sizeof address) < 0)
        return err_errno(err, errno, "cannot make the socket %s", path);
    if (chmod(path, 0600) == 0 && give_to(path, owner, err) == 0)
        return 0;
    if (!err->message)
        err_errno(err, errno, "cannot set the mode of the socket %s", path);
    unlink(path);
    return -1;
}

struct notify *notify_open(struct io *io, const char *path, const char *owner,
                           void (*told)(void *data, const struct notify_message *message),
                           void *data, struct err *err)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        err_errno(err, errno, "%s: cannot make a socket", path);
        return NULL;
    }
    if (bind_to(fd, path, owner, err) < 0) {
        close(fd);
        return NULL;
    }
    struct notify *n = xcalloc(1, sizeof *n);
    n->io = io;
    n->fd = fd;
    n->path = xstrdup(path);
    n->told = told;
    n->data = data;
    n->poll.data = n;
    uv_poll_init(&io->loop, &n->poll, fd);
    notify_hold(n, 0);
    return n;
}

static void closed(uv_handle_t *handle)
{
    struct notify *n = handle->data;
    close(n->fd);
    free(n->path);
    free(n);
}

void notify_close(struct notify *n)
{
    unlink(n->path);
    uv_close((uv_handle_t *)&n->poll, closed);
}

int notify_send(const char *path, const char *text, size_t len, struct err *err)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t path_len = strlen(path);
    if ((*path != '/' && *path != '@') || path_len < 2 || path_len >= sizeof to.sun_path)
        return err_set(err, "invalid", "NOTIFY_SOCKET %s: is no path of a socket", path);
    memcpy(to.sun_path, path, path_len);
    if (*path == '@')
        to.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_set(err, "io", "NOTIFY_SOCKET %s: %s", path, strerror(errno));
    socklen_t to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_len);
    ssize_t sent = sendto(fd, text, len, MSG_NOSIGNAL, (const struct sockaddr *)&to, to_len);
    int failure = errno;
    close(fd);
    if (sent >= 0)
        return 0;
    return err_set(err, "io", "NOTIFY_SOCKET %s: %s", path, strerror(failure));
}
