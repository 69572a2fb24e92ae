/* bare_tcp.c -- bare_tcp PORT SECONDS: connects to 127.0.0.1 and resets, 64 at once, in an epoll
 * loop with nothing around it. Prints how many connections came about, and the seconds of processor
 * that this took. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "usage.h"

#define AT_ONCE 64

static void start(int epoll, const struct sockaddr_in *to)
{
    struct linger none = {.l_onoff = 1};
    struct epoll_event event = {.events = EPOLLOUT};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    connect(fd, (const struct sockaddr *)to, sizeof *to);
    event.data.fd = fd;
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[1]))};
    struct epoll_event events[AT_ONCE];
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    long connected = 0;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    double end = now() + atof(argv[2]), before = used();
    for (int i = 0; i < AT_ONCE; i++)
        start(epoll, &to);
    while (now() < end) {
        int count = epoll_wait(epoll, events, AT_ONCE, 100);
        for (int i = 0; i < count; i++) {
            int error = 0;
            socklen_t len = sizeof error;
            getsockopt(events[i].data.fd, SOL_SOCKET, SO_ERROR, &error, &len);
            connected += error == 0;
            close(events[i].data.fd);
            start(epoll, &to);
        }
    }
    printf("%ld %.3f\n", connected, used() - before);
    return 0;
}
