/* http_multi.h -- libcurl's multi handle on the event loop: sockets under the poller, one timer.
 *
 * Made at the first transfer. Nothing is called from within libcurl: `done` and `touched` run after
 * it has returned, so they may start and stop transfers. */
#pragma once
#include <stdbool.h>

#include "io/libcurl.h"

struct err;
struct http_multi;
struct io;

/* Embedded in what transfers. */
struct http_transfer {
    CURL *easy;                                           /* owned by the embedding operation */
    void (*done)(struct http_transfer *t, CURLcode code); /* no longer added by then */
    void (*touched)(struct http_transfer *t);             /* after http_multi_touch() */
    struct http_multi *multi;                             /* borrowed; NULL while not added */
    bool stays;                                           /* added even when it is done */
    struct http_transfer *next, **prev;                   /* multi->touched; prev NULL: not in it */
};

/* Tells t->easy what every transfer needs: once, and again when it has been reset. */
void http_multi_configure(struct io *io, struct http_transfer *t);

int http_multi_add(struct io *io, struct http_transfer *t, struct err *err);
void http_multi_remove(struct http_transfer *t); /* also forgets a touch; may be called twice */

/* Leaves a socket to somebody else, until libcurl closes it. */
void http_multi_unwatch(struct io *io, int fd);

/* Has t->touched called soon. May be called from within libcurl's callbacks. */
void http_multi_touch(struct io *io, struct http_transfer *t);

/* For http_close(). No transfer is added by then. */
void http_multi_close(struct io *io);
