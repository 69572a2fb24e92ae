#include "io/poller.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#include "core/mem.h"
#include "io/io.h"

#define AT_ONCE 128

/* Owned by the loop: freed when its handle has closed. */
struct poller {
    uv_poll_t poll; /* of the epoll */
    int epoll;      /* owned */
    struct epoll_event batch[AT_ONCE];
    int next, count; /* those of the batch that are still to be told */
};

static void tell_next(struct poller *p)
{
    struct epoll_event *e = &p->batch[p->next++];
    struct poller_socket *s = e->data.ptr;
    if (s)
        s->ready(s, e->events);
}

static void some_ready(uv_poll_t *poll, int status, int events)
{
    struct poller *p = poll->data;
    (void)status;
    (void)events;
    p->count = epoll_wait(p->epoll, p->batch, AT_ONCE, 0);
    p->next = 0;
    while (p->next < p->count)
        tell_next(p);
}

static struct poller *poller_of(struct io *io)
{
    if (io->poller)
        return io->poller;
    struct poller *p = xcalloc(1, sizeof *p);
    p->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (p->epoll < 0 || uv_poll_init(&io->loop, &p->poll, p->epoll) < 0) {
        if (p->epoll >= 0)
            close(p->epoll);
        free(p);
        return NULL;
    }
    p->poll.data = p;
    uv_poll_start(&p->poll, UV_READABLE, some_ready);
    uv_unref((uv_handle_t *)&p->poll);
    return io->poller = p;
}

int poller_watch(struct io *io, struct poller_socket *s, unsigned events)
{
    struct poller *p = poller_of(io);
    struct epoll_event event = {.events = events, .data.ptr = s};
    if (!p)
        return EMFILE;
    if (s->events == events)
        return 0;
    if (epoll_ctl(p->epoll, s->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, s->fd, &event) < 0)
        return errno;
    s->events = events;
    return 0;
}

/* What the kernel has told of it already is not told on. */
static void drop_told(struct poller *p, const struct poller_socket *s)
{
    for (int i = p->next; i < p->count; i++)
        if (p->batch[i].data.ptr == s)
            p->batch[i].data.ptr = NULL;
}

void poller_forget(struct io *io, struct poller_socket *s)
{
    if (!s->events)
        return;
    epoll_ctl(io->poller->epoll, EPOLL_CTL_DEL, s->fd, NULL);
    drop_told(io->poller, s);
    s->events = 0;
}

/* Closing alone would do, if no process could have been forked meanwhile. */
void poller_close_socket(struct io *io, struct poller_socket *s)
{
    poller_forget(io, s);
    close(s->fd);
    s->fd = -1;
}

static void free_poller(uv_handle_t *poll)
{
    struct poller *p = poll->data;
    close(p->epoll);
    free(p);
}

void poller_close(struct io *io)
{
    if (io->poller)
        uv_close((uv_handle_t *)&io->poller->poll, free_poller);
    io->poller = NULL;
}
