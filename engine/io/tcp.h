/* tcp.h -- connecting to known addresses, one after the other until one answers. For net.h and for
 * checks: it allocates nothing, and sets no deadline. */
#pragma once
#include <stdint.h>

#include "io/dns.h"
#include "io/poller.h"

struct tcp_dial;

/* From the loop: 0, and then tcp_dial_take() the socket or cancel; or the last failure as an errno
 * value, and then nothing is left to cancel. */
typedef void tcp_dialled_fn(struct tcp_dial *d, int number);

/* Embedded in its owner, who fills it in. */
struct tcp_dial {
    struct poller_socket poll; /* first: the dial is what is polled; fd -1: no address is tried */
    struct io *io;             /* borrowed */
    const struct dns_addresses *addresses; /* borrowed */
    size_t tried;
    int failure; /* the last one */
    uint16_t port;
    tcp_dialled_fn *done;
    void *data;
};

/* Starts with the next address. 0: `done` will come; else no address is left, and it will not. */
int tcp_dial_next(struct tcp_dial *d);
int tcp_dial_take(struct tcp_dial *d); /* the connected, non-blocking descriptor */
void tcp_dial_cancel(struct tcp_dial *d);
