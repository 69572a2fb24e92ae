/* notify.h -- the socket on which a service says that it is ready: the sd_notify protocol.
 *
 * A datagram socket that only its owner may write to. With each message comes who sent it, as the
 * kernel vouches for it, and the process that the guard started which the sender descends from. */
#pragma once
#include <stddef.h>
#include <sys/types.h>

struct err;
struct io;
struct notify;

#define NOTIFY_BYTES 4096 /* longer messages are dropped */

struct notify_message {
    const char *text; /* as sent, with a zero byte after it; valid during the call */
    size_t len;
    pid_t pid;  /* the sender */
    pid_t root; /* its ancestor (or itself) that the guard started; 0: it is none of the guard's */
    const char *instance; /* the ORRERY_INSTANCE that root was started with; NULL: not readable */
};

/* Calls told(data, message) from the loop for every message. `owner` (a user's name or number;
 * NULL: we) may write, nobody else. A socket that is there already is replaced. NULL with `err` set
 * if it cannot be made. */
struct notify *notify_open(struct io *io, const char *path, const char *owner,
                           void (*told)(void *data, const struct notify_message *message),
                           void *data, struct err *err);

/* Stops reading, or goes on; senders wait meanwhile. */
void notify_hold(struct notify *n, int hold);

/* Sends a message to the socket at `path` (abstract with an @ at its front), as sd_notify() does.
 * -1 with `err` set if it cannot be sent now. */
int notify_send(const char *path, const char *text, size_t len, struct err *err);

/* Removes the socket; told() is not called any more. */
void notify_close(struct notify *n);
