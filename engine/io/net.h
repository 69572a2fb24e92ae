/* net.h -- TCP: connecting without blocking the loop, and what this machine's ports are used for.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct err;
struct io;
struct tcp_connect;

/* Called exactly once, always later and from the loop, unless the operation is cancelled first. The
 * connected, non-blocking `fd` is the callee's to close; it is -1 exactly when `err` is set. */
typedef void tcp_connected_fn(void *data, int fd, const struct err *err);

/* Connects to a host (name or address), trying its addresses in turn until the deadline. */
struct tcp_connect *tcp_connect_start(struct io *io, const char *host, uint16_t port,
                                      uint64_t timeout_ms, tcp_connected_fn *done, void *data);
void tcp_connect_cancel(struct tcp_connect *op);
bool tcp_connect_resolves(const struct tcp_connect *op); /* the host's address is not known yet */

/* 0 if a server could listen there now; -1 with why not ("exists": somebody does). */
int net_can_bind(const char *address, uint16_t port, struct err *err);

/* A port at `address` that the kernel says is free; -1 with `err` set. */
int net_free_port(const char *address, struct err *err);

struct net_listener {
    pid_t pid;  /* 0: a process that we may not look into */
    char *name; /* owned: its command name; NULL while pid is 0 */
    uid_t uid;
};

/* Who listens on a TCP port, at whatever address: 1 and *ret (free its name), 0 if nobody does, -1
 * with `err` set. */
int net_listener(uint16_t port, struct net_listener *ret, struct err *err);
