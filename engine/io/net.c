#include "io/net.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/err.h"
#include "core/mem.h"
#include "io/dns.h"

#define TCP_LISTEN 10    /* the state's number in /proc/net/tcp */
#define MAX_LISTENERS 16 /* sockets of one port that are looked for */

/* ---- binding ---- */

static int set_target(union dns_address *address, const char *text, uint16_t port, struct err *err)
{
    if (!dns_numeric(text, address))
        return err_set(err, "invalid", "%s: expected an IP address", text);
    if (address->any.sa_family == AF_INET)
        address->v4.sin_port = htons(port);
    else
        address->v6.sin6_port = htons(port);
    return 0;
}

/* A bound socket, or -1. */
static int bound_socket(const char *text, uint16_t port, struct err *err)
{
    union dns_address address;
    int one = 1;
    if (set_target(&address, text, port, err) < 0)
        return -1;
    int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_errno(err, errno, "cannot make a socket for %s", text);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one); /* as servers do: skips TIME_WAIT */
    if (bind(fd, &address.any, dns_length(&address)) == 0)
        return fd;
    err_errno(err, errno, "cannot bind %s port %u", text, port);
    close(fd);
    return -1;
}

int net_can_bind(const char *address, uint16_t port, struct err *err)
{
    int fd = bound_socket(address, port, err);
    if (fd < 0)
        return -1;
    close(fd);
    return 0;
}

int net_free_port(const char *address, struct err *err)
{
    union dns_address bound = {0};
    socklen_t len = sizeof bound;
    int fd = bound_socket(address, 0, err);
    if (fd < 0)
        return -1;
    getsockname(fd, &bound.any, &len);
    close(fd);
    return ntohs(bound.any.sa_family == AF_INET ? bound.v4.sin_port : bound.v6.sin6_port);
}

/* ---- who listens ---- */

struct found {
    size_t count;
    uint64_t inodes[MAX_LISTENERS];
    uid_t uid;
};

static void read_socket_line(const char *line, uint16_t port, struct found *found)
{
    unsigned local_port, state, uid;
    uint64_t inode;
    int n = sscanf(line, " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %u %*u %" SCNu64,
                   &local_port, &state, &uid, &inode);
    if (n != 4 || local_port != port || state != TCP_LISTEN || found->count == MAX_LISTENERS)
        return;
    found->inodes[found->count++] = inode;
    found->uid = uid;
}

static void read_sockets(const char *path, uint16_t port, struct found *found)
{
    FILE *file = fopen(path, "re");
    char *line = NULL;
    size_t size = 0;
    if (!file)
        return; /* no IPv6 here */
    while (getline(&line, &size, file) > 0)
        read_socket_line(line, port, found);
    free(line);
    fclose(file);
}

static bool is_one_of(const char *link, const struct found *found)
{
    uint64_t inode;
    if (sscanf(link, "socket:[%" SCNu64 "]", &inode) != 1)
        return false;
    for (size_t i = 0; i < found->count; i++)
        if (found->inodes[i] == inode)
            return true;
    return false;
}

static bool holds_socket(const char *pid, const struct found *found)
{
    char path[64], link[64];
    snprintf(path, sizeof path, "/proc/%.16s/fd", pid);
    DIR *dir = opendir(path);
    bool holds = false;
    if (!dir)
        return false;
    for (struct dirent *d; !holds && (d = readdir(dir));) {
        ssize_t len = readlinkat(dirfd(dir), d->d_name, link, sizeof link - 1);
        link[len > 0 ? len : 0] = '\0';
        holds = is_one_of(link, found);
    }
    closedir(dir);
    return holds;
}

static char *command_name(const char *pid)
{
    char path[64], name[64] = "";
    snprintf(path, sizeof path, "/proc/%.16s/comm", pid);
    FILE *file = fopen(path, "re");
    if (file && fgets(name, sizeof name, file))
        name[strcspn(name, "\n")] = '\0';
    if (file)
        fclose(file);
    return xstrdup(name);
}

/* A socket may be held by several processes (a forking server): the one with the least pid is told,
 * which is most often their parent. */
static void find_holder(DIR *proc, const struct found *found, struct net_listener *ret)
{
    for (struct dirent *d; (d = readdir(proc));) {
        pid_t pid = isdigit((unsigned char)*d->d_name) ? (pid_t)atoi(d->d_name) : 0;
        if (pid && (!ret->pid || pid < ret->pid) && holds_socket(d->d_name, found)) {
            free(ret->name);
            ret->pid = pid;
            ret->name = command_name(d->d_name);
        }
    }
}

int net_listener(uint16_t port, struct net_listener *ret, struct err *err)
{
    struct found found = {0};
    *ret = (struct net_listener){0};
    read_sockets("/proc/net/tcp", port, &found);
    read_sockets("/proc/net/tcp6", port, &found);
    if (!found.count)
        return 0;
    DIR *proc = opendir("/proc");
    if (!proc)
        return err_errno(err, errno, "cannot read /proc");
    ret->uid = found.uid;
    find_holder(proc, &found, ret);
    closedir(proc);
    return 1;
}
