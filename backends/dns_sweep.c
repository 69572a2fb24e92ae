/* dns_sweep.c -- removes the instances of a service that nobody renews any more. */
#include <stdlib.h>

#include "core/err.h"
#include "core/mem.h"
#include "dns_backend.h"
#include "dns_read.h"
#include "dns_write.h"
#include "io/io.h"

#define EVERY_MS 60000
#define MAX_AT_ONCE 16

/* Owned by the backend while it is under way. What fails is left to the next. */
struct dns_sweep {
    struct dns_backend *backend; /* borrowed */
    char *service;               /* owned */
    struct dns_read *read;       /* owned; NULL once it has answered */
    struct dns_write *write;     /* owned; NULL between two */
    char *ids[MAX_AT_ONCE];      /* owned */
    int count, next;
};

void dns_sweep_stop(struct dns_backend *b)
{
    struct dns_sweep *s = b->sweep;
    if (!s)
        return;
    b->sweep = NULL;
    if (s->read)
        dns_read_cancel(s->read);
    if (s->write)
        dns_write_cancel(s->write);
    for (int i = 0; i < s->count; i++)
        free(s->ids[i]);
    free(s->service);
    free(s);
}

static void remove_next(struct dns_sweep *s);

static void removed(void *data, const struct err *err)
{
    struct dns_sweep *s = data;
    s->write = NULL;
    if (err)
        dns_sweep_stop(s->backend);
    else
        remove_next(s);
}

static void remove_next(struct dns_sweep *s)
{
    if (s->next == s->count) {
        dns_sweep_stop(s->backend);
        return;
    }
    struct dns_write_request request = {.verb = BACKEND_DEREGISTER,
                                        .service = s->service,
                                        .id = s->ids[s->next++],
                                        .only_expired = true};
    s->write = dns_write_start(s->backend, &request, removed, s);
}

static void found_expired(void *data, const struct dns_found *found, const struct err *err)
{
    struct dns_sweep *s = data;
    s->read = NULL;
    for (; !err && s->count < MAX_AT_ONCE && found->expired[s->count]; s->count++)
        s->ids[s->count] = xstrdup(found->expired[s->count]);
    remove_next(s);
}

void dns_sweep_start(struct dns_backend *b, const char *service)
{
    uint64_t now = uv_now(&b->io->loop);
    if (b->sweep || (b->swept_ms && now - b->swept_ms < EVERY_MS))
        return;
    b->swept_ms = now;
    b->sweep = xcalloc(1, sizeof *b->sweep);
    b->sweep->backend = b;
    b->sweep->service = xstrdup(service);
    b->sweep->read = dns_read_start(b, b->writer, service, found_expired, b->sweep);
}
