/* poller.h -- many short-lived sockets on the loop: one epoll of our own, itself a descriptor of
 * the loop.
 *
 * A uv_poll_t costs four system calls and outlives its socket by a turn of the loop. A socket here
 * costs one, and is forgotten at once. None keeps the loop alive: a timer of the operation does. */
#pragma once
#include <stdbool.h>
#include <sys/epoll.h>

struct io;
struct poller_socket;

/* From the loop, with EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP. May watch, forget and close any. */
typedef void poller_ready_fn(struct poller_socket *s, unsigned events);

/* Embedded in what waits for the socket. */
struct poller_socket {
    poller_ready_fn *ready;
    int fd;          /* owned by whoever opened it */
    unsigned events; /* those that the kernel watches for; 0: it is not watched */
};

/* Watches for those events (not none) instead of those before. 0, or an errno value. */
int poller_watch(struct io *io, struct poller_socket *s, unsigned events);

/* No call comes after either; the second one closes the descriptor too. Both may be called when it
 * is not watched. */
void poller_forget(struct io *io, struct poller_socket *s);
void poller_close_socket(struct io *io, struct poller_socket *s);

void poller_close(struct io *io); /* for io_close() */
