/* consul_watch.c -- where a blocking query stands: what to ask next, and whether an answer is news.
 *
 * A cursor is "<epoch>-<index>-<hash>". The index is what Consul lets us wait for; the hash tells
 * whether what came is news, since Consul also answers when something else has changed. The epoch
 * tells whether the index can be relied on: after a failed call, or in another process, the cluster
 * may be another, and to wait for an index that it has not reached is to miss what happens. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "consul.h"
#include "core/err.h"
#include "core/mem.h"
#include "io/io.h"

#define FEW 8      /* quick answers in a row that need no rest */
#define REST_MS 25 /* for each of the others */
#define MAX_REST_MS 1000

void consul_watch_init(struct consul_watch *watch, const struct consul_op *op)
{
    const char *cursor = op->request.cursor;
    uint32_t epoch = 0;
    int used = 0;
    *watch = (struct consul_watch){0};
    if (!cursor)
        return;
    watch->cursor = cursor;
    if (sscanf(cursor, "%8" SCNx32 "-%20" SCNu64 "-%16" SCNx64 "%n", &epoch, &watch->index,
               &watch->hash, &used) != 3 ||
        cursor[used] != '\0')
        watch->cursor = NULL; /* another backend's: whatever comes is news */
    if (epoch != op->consul->epoch)
        watch->index = 0;
}

/* Consul adds up to a sixteenth. */
static uint64_t wait_ms(const struct consul_op *op)
{
    uint64_t left = consul_op_left_ms(op), wait = left - left / 17;
    uint64_t most = op->turn.brief ? CONSUL_BRIEF_MS : CONSUL_WAIT_MS;
    return wait > most ? most : wait ? wait : 1; /* 0 would mean five minutes */
}

bool consul_watch_waits(const struct consul_watch *watch, const struct consul_op *op)
{
    return watch->cursor && watch->index && consul_op_left_ms(op) > 0;
}

char *consul_watch_query(struct consul_watch *watch, const struct consul_op *op,
                         uint64_t *ret_wait_ms)
{
    bool waits = consul_watch_waits(watch, op);
    watch->asked = waits ? watch->index : 0;
    watch->asked_at_ms = uv_now(&op->consul->io->loop);
    *ret_wait_ms = waits ? wait_ms(op) : 0;
    return waits ? xasprintf("index=%" PRIu64 "&wait=%" PRIu64 "ms", watch->asked, *ret_wait_ms)
                 : NULL;
}

static void count_quick(struct consul_watch *watch, const struct consul_op *op)
{
    uint64_t took_ms = uv_now(&op->consul->io->loop) - watch->asked_at_ms;
    watch->quick = took_ms < MAX_REST_MS ? watch->quick + 1 : 0;
}

void consul_watch_is_same(struct consul_watch *watch, const struct consul_op *op)
{
    count_quick(watch, op);
}

bool consul_watch_is_over(struct consul_watch *watch, const struct consul_op *op, uint64_t index,
                          uint64_t hash)
{
    bool news = !watch->cursor || hash != watch->hash;
    count_quick(watch, op);
    watch->hash = hash;
    watch->index = index < watch->asked ? 0 : index;
    if (news)
        watch->cursor = NULL;
    return news || consul_op_left_ms(op) == 0;
}

/* A frozen server that is the only one would only be waited for once more. */
bool consul_watch_restart(struct consul_watch *watch, const struct consul_op *op,
                          const struct err *err)
{
    bool waited = watch->asked != 0;
    bool frozen = err && strcmp(err->code, "timeout") == 0 && op->consul->address_count == 1;
    watch->index = watch->asked = 0;
    return waited && !frozen;
}

uint64_t consul_watch_pause_ms(const struct consul_watch *watch)
{
    uint64_t rest = watch->quick > FEW ? (watch->quick - FEW) * (uint64_t)REST_MS : 0;
    return rest < MAX_REST_MS ? rest : MAX_REST_MS;
}

char *consul_watch_cursor(const struct consul_watch *watch, const struct consul *c)
{
    if (watch->cursor)
        return xstrdup(watch->cursor);
    return xasprintf("%08" PRIx32 "-%" PRIu64 "-%016" PRIx64, c->epoch, watch->index, watch->hash);
}
