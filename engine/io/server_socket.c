#include "io/server_socket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/err.h"
#include "core/mem.h"

#define BACKLOG 64

static int fill_address(struct sockaddr_un *address, const char *path, struct err *err)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address->sun_path)
        return err_set(err, "invalid", "%s: the path of a socket may have %zu bytes at most", path,
                       sizeof address->sun_path - 1);
    memcpy(address->sun_path, path, strlen(path) + 1);
    return 0;
}

static int unix_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* Refused means nobody listens. Anything else (answered, its queue is full, denied) is not ours to
 * replace. */
static bool is_stale(const struct sockaddr_un *address)
{
    int fd = unix_socket();
    if (fd < 0)
        return false;
    int failure = connect(fd, (const struct sockaddr *)address, sizeof *address) < 0 ? errno : 0;
    close(fd);
    return failure == ECONNREFUSED || failure == ENOENT;
}

/* The mode is set on the socket before it has a name, so that the file is made with it whatever the
 * umask; the second call gives back what the umask took. */
static int bind_to(int fd, const char *path, mode_t mode, struct err *err)
{
    struct sockaddr_un address;
    if (fill_address(&address, path, err) < 0)
        return -1;
    if (fchmod(fd, mode) < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) < 0)
        return err_errno(err, errno, "cannot make the socket %s", path);
    if (chmod(path, mode) < 0)
        return err_errno(err, errno, "cannot set the mode of the socket %s", path);
    return 0;
}

/* A new socket under a name of its own, moved over the stale one. */
static int bind_over(int fd, const char *path, mode_t mode, struct err *err)
{
    char *temporary = xasprintf("%s.%d", path, (int)getpid());
    unlink(temporary);
    int result = bind_to(fd, temporary, mode, err);
    if (result == 0 && rename(temporary, path) < 0)
        result = err_errno(err, errno, "cannot replace the socket %s", path);
    if (result < 0)
        unlink(temporary);
    free(temporary);
    return result;
}

static int bind_at(int fd, const char *path, mode_t mode, struct err *err)
{
    struct sockaddr_un address;
    struct stat file;
    if (fill_address(&address, path, err) < 0)
        return -1;
    if (lstat(path, &file) < 0)
        return bind_to(fd, path, mode, err);
    if (!S_ISSOCK(file.st_mode))
        return err_set(err, "exists", "%s: is no socket, so it is not replaced by one", path);
    if (!is_stale(&address))
        return err_set(err, "exists", "%s: another server listens here", path);
    return bind_over(fd, path, mode, err);
}

int server_socket_open(struct server_socket *s, const char *path, mode_t mode, struct err *err)
{
    *s = (struct server_socket){.fd = unix_socket()};
    if (s->fd < 0)
        return err_errno(err, errno, "%s: cannot make a socket", path);
    if (bind_at(s->fd, path, mode, err) < 0) {
        close(s->fd);
        return -1;
    }
    s->path = xstrdup(path);
    lstat(path, &s->file);
    if (listen(s->fd, BACKLOG) == 0)
        return 0;
    err_errno(err, errno, "%s: cannot listen", path);
    server_socket_close(s);
    return -1;
}

void server_socket_unlink(struct server_socket *s)
{
    struct stat now;
    if (lstat(s->path, &now) == 0 && now.st_dev == s->file.st_dev && now.st_ino == s->file.st_ino)
        unlink(s->path);
    free(s->path);
    s->path = NULL;
}

void server_socket_close(struct server_socket *s)
{
    server_socket_unlink(s);
    close(s->fd);
    s->fd = -1;
}
