/* server_socket.h -- a listening Unix socket whose file is never open to others, not for a moment.
 */
#pragma once
#include <stdbool.h>
#include <sys/stat.h>

struct err;

struct server_socket {
    int fd;           /* owned, until a server takes it over */
    char *path;       /* owned */
    struct stat file; /* to recognise our own socket file when it is time to remove it */
};

/* Replaces a socket file that nobody answers; "exists" if somebody does or it is no socket. */
int server_socket_open(struct server_socket *s, const char *path, mode_t mode, struct err *err);

/* Removes the file, if it is still ours, and frees the path; leaves the descriptor. */
void server_socket_unlink(struct server_socket *s);
void server_socket_close(struct server_socket *s); /* all of it */
