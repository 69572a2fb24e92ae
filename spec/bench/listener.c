/* listener.c -- listener PORT: listens at 127.0.0.1 and takes every connection only to close it. */
#include <arpa/inet.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one;
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    at.sin_port = htons((uint16_t)atoi(argc > 1 ? argv[1] : "0"));
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(fd, 4096) < 0)
        return 1;
    while (poll(&wait, 1, -1) > 0)
        while ((one = accept(fd, NULL, NULL)) >= 0)
            close(one);
    return 0;
}
