/* dns_channel.h -- a c-ares resolver on the event loop.
 *
 * It does nothing by itself: whoever has started a question through `ares` calls
 * dns_channel_started(). Owned by the loop: freed after dns_channel_free(). */
#pragma once
#include <ares.h>
#include <uv.h>

struct err;
struct io;

struct dns_channel {
    ares_channel ares;
    struct io *io;    /* borrowed */
    uv_timer_t retry; /* when c-ares wants to be called again */
    struct dns_socket *sockets;
};

struct dns_channel_options {
    const char *servers; /* addresses, with or without a port, and commas; NULL: the system's */
    int flags;           /* of c-ares */
    int try_ms, tries;   /* for one try of one server, doubled each time; how often each is tried */
};

struct dns_channel *dns_channel_new(struct io *io, const struct dns_channel_options *options,
                                    struct err *err);

/* Questions that are pending are called back, with ARES_EDESTRUCTION, before it returns. */
void dns_channel_free(struct dns_channel *c);

void dns_channel_started(struct dns_channel *c);
