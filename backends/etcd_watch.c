#include "etcd_watch.h"

#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/json_text.h"
#include "core/mem.h"
#include "etcd_client.h"
#include "etcd_wire.h"
#include "io/http.h"
#include "io/io.h"

#define OPEN_MS 2000 /* until the stream's first message */
/* A stream that was silent for a tick is probed; one without a waiter is closed. */
#define TICK_MS 5000
#define PROBE_BUDGET_MS 5000
#define STEADY_MS 1000 /* a stream that lived as long was a good one */
#define PAUSE_MS 100   /* before it is opened again, and longer with each failure */
#define MAX_FAILURES 4 /* in a row, then those who wait are told */
#define MAX_LINE (32u * 1024 * 1024)
#define MAX_CHANGES 20000 /* keys to remember */

/* Owned by the loop once it is freed: until its timer has closed. */
struct etcd_watch {
    struct etcd_client *client; /* borrowed */
    char *key, *end;            /* owned; end NULL: one key */
    enum etcd_watch_state state;
    struct etcd_wait *waits;
    struct etcd_call *probe;
    struct http_op *stream;
    size_t endpoint;  /* of the stream */
    uv_timer_t timer; /* the next probe, the next try, the end of lingering */
    uint64_t opened_ms;
    bool heard, joined; /* since the last tick */
    unsigned failures;
    int64_t floor;   /* every change after this revision is in `changes`, or will come */
    int64_t seen;    /* the last change that came */
    json_t *changes; /* owned: key -> the revision of its last change */
};

static void watch_open(struct etcd_watch *w);

/* ---- waking ---- */

void etcd_watch_leave(struct etcd_wait *wait)
{
    if (!wait->prev)
        return;
    *wait->prev = wait->next;
    if (wait->next)
        wait->next->prev = wait->prev;
    wait->prev = NULL;
}

static void wake(struct etcd_wait *wait, const struct err *err)
{
    etcd_watch_leave(wait);
    wait->woken(wait->data, err);
}

/* Who wakes may join again at once: those that are there now are taken out first. */
static void wake_all(struct etcd_watch *w, const struct err *err)
{
    struct etcd_wait *all = w->waits, *wait;
    w->waits = NULL;
    if (all)
        all->prev = &all;
    while ((wait = all))
        wake(wait, err);
}

/* What waiters call this key: its folder where a whole prefix is watched. The caller frees it. */
static char *group_of(const struct etcd_watch *w, const char *key)
{
    const char *slash = w->end ? strrchr(key, '/') : NULL;
    return slash ? xstrndup(key, (size_t)(slash - key) + 1) : xstrdup(key);
}

static void wake_group(struct etcd_watch *w, const char *group, int64_t mod)
{
    struct etcd_wait *next, *due = NULL, *wait;
    for (wait = w->waits; wait; wait = next) {
        next = wait->next;
        if (mod <= wait->since || strcmp(wait->key, group) != 0)
            continue;
        etcd_watch_leave(wait);
        wait->next = due;
        wait->prev = &due;
        if (due)
            due->prev = &wait->next;
        due = wait;
    }
    while ((wait = due))
        wake(wait, NULL);
}

/* ---- what has changed ---- */

/* From now on nothing is known of what was before. */
static void forget(struct etcd_watch *w, int64_t floor)
{
    json_object_clear(w->changes);
    w->floor = w->seen = floor;
    wake_all(w, NULL);
}

static void take_change(struct etcd_watch *w, const struct wire_change *change)
{
    char *group = group_of(w, change->key);
    json_object_set_new_nocheck(w->changes, group, json_integer(change->mod));
    if (change->mod > w->seen)
        w->seen = change->mod;
    etcd_client_note_revision(w->client, change->mod);
    wake_group(w, group, change->mod);
    free(group);
}

static void take_changes(struct etcd_watch *w, const struct wire_event *event)
{
    for (size_t i = 0; i < event->count; i++)
        take_change(w, &event->changes[i]);
    if (json_object_size(w->changes) > MAX_CHANGES)
        forget(w, w->seen);
}

/* ---- closing ---- */

static void drop_stream(struct etcd_watch *w)
{
    if (w->stream)
        http_stream_close(w->stream);
    w->stream = NULL;
}

static void drop_probe(struct etcd_watch *w)
{
    if (w->probe)
        etcd_call_cancel(w->probe);
    w->probe = NULL;
}

static void become_idle(struct etcd_watch *w)
{
    drop_stream(w);
    drop_probe(w);
    uv_timer_stop(&w->timer);
    w->failures = 0;
    w->state = WATCH_IDLE;
}

static void watch_fail(struct etcd_watch *w, const struct err *err)
{
    become_idle(w);
    wake_all(w, err);
}

static void try_again(uv_timer_t *timer) { watch_open(timer->data); }

/* There may be a probe of the stream that is lost: it is not the one that opens the next. */
static void try_later(struct etcd_watch *w, uint64_t ms)
{
    drop_stream(w);
    drop_probe(w);
    w->state = WATCH_PROBING;
    uv_timer_start(&w->timer, try_again, ms, 0);
}

/* The stream has ended: it is opened again where it was, unless that goes on and on. */
static void watch_lost(struct etcd_watch *w, const struct err *err)
{
    bool steady = w->state == WATCH_OPEN && uv_now(&w->client->io->loop) - w->opened_ms > STEADY_MS;
    w->failures = steady ? 0 : w->failures + 1;
    if (!w->waits) {
        become_idle(w);
    } else if (w->failures > MAX_FAILURES) {
        watch_fail(w, err);
    } else {
        try_later(w, w->failures ? (uint64_t)PAUSE_MS << w->failures : 0);
    }
}

/* ---- reading ---- */

static const char *address_of(const struct etcd_watch *w)
{
    return w->client->endpoints[w->endpoint].address;
}

static void watch_refused(struct etcd_watch *w, int code, const char *reason)
{
    struct err err = {0};
    bool denied = strstr(reason, "permission denied") != NULL;
    char *line = wire_line(reason, w->client->token);
    err_set(&err, denied ? "denied" : "bad_reply", "%s: etcd refuses the watch: %s", address_of(w),
            line);
    free(line);
    if (w->client->user && etcd_wants_login(code, reason))
        etcd_client_forget_token(w->client);
    if (denied)
        watch_fail(w, &err);
    else
        watch_lost(w, &err);
    err_clear(&err);
}

/* A cancelled watch leaves its stream open. */
static void watch_canceled(struct etcd_watch *w, const struct wire_event *event)
{
    if (!event->compacted) {
        watch_refused(w, 0, event->cancel_reason ? event->cancel_reason : "no reason given");
        return;
    }
    try_later(w, 0);
    forget(w, event->compacted);
}

static void tick(uv_timer_t *timer);

static void take_event(struct etcd_watch *w, const struct wire_event *event)
{
    if (event->canceled) {
        watch_canceled(w, event);
        return;
    }
    if (w->state == WATCH_OPENING) {
        w->state = WATCH_OPEN;
        w->opened_ms = uv_now(&w->client->io->loop);
        uv_timer_start(&w->timer, tick, TICK_MS, TICK_MS);
    }
    w->heard = true;
    take_changes(w, event);
}

static void take_line(struct etcd_watch *w, const char *line, size_t len)
{
    struct wire_failure failure;
    struct wire_event event;
    struct err reason = {0}, err = {0};
    json_t *json = json_text_read(line, len, 0);
    if (json && wire_read_failure(json, &failure)) {
        watch_refused(w, failure.code, failure.message);
    } else if (wire_read_event(json, &event, &reason) < 0) {
        err_set(&err, reason.code, "%s: %s", address_of(w), reason.message);
        watch_lost(w, &err);
    } else {
        take_event(w, &event);
        wire_event_free(&event);
    }
    err_clear(&reason);
    err_clear(&err);
    json_decref(json);
}

static void stream_ended(struct etcd_watch *w)
{
    const struct err *why = http_stream_error(w->stream);
    struct err err = {0};
    err_set(&err, why ? why->code : "io", "%s: the watch broke off: %s", address_of(w),
            why ? why->message : "etcd ended it");
    watch_lost(w, &err);
    err_clear(&err);
}

static void stream_changed(void *data)
{
    struct etcd_watch *w = data;
    struct http_op *stream = w->stream;
    struct http_response head;
    const char *line;
    size_t len;
    enum http_stream_state state = http_stream_head(stream, &head);
    while (w->stream == stream && state == HTTP_STREAM_READY) {
        state = http_stream_line(stream, &line, &len);
        if (state == HTTP_STREAM_READY && len)
            take_line(w, line, len);
    }
    if (w->stream == stream && state == HTTP_STREAM_ENDED)
        stream_ended(w);
}

/* ---- opening ---- */

/* Again from the last change that came: one revision may come in two parts. */
static int64_t first_revision(const struct etcd_watch *w)
{
    return w->seen > w->floor ? w->seen : w->floor + 1;
}

static void open_stream(struct etcd_watch *w, size_t endpoint)
{
    struct etcd_headers headers;
    char *url = xasprintf("%s/v3/watch", w->client->endpoints[endpoint].url);
    char *body = wire_watch(w->key, w->end, first_revision(w));
    struct http_request request = {.url = url,
                                   .body = body,
                                   .body_len = strlen(body),
                                   .timeout_ms = OPEN_MS,
                                   .max_bytes = MAX_LINE};
    w->endpoint = endpoint;
    w->state = WATCH_OPENING;
    etcd_client_prepare(w->client, false, &request, &headers);
    w->stream = http_stream_start(w->client->io, &request, stream_changed, w);
    etcd_headers_free(&headers);
    free(body);
    free(url);
}

/* The revision went backwards: this is another cluster, or one restored from a copy. */
static void take_probe(struct etcd_watch *w, const struct wire_answer *answer, size_t endpoint)
{
    if (answer->revision < w->seen)
        forget(w, answer->revision);
    if (w->state == WATCH_OPEN && endpoint == w->endpoint)
        return;
    drop_stream(w);
    if (w->waits)
        open_stream(w, endpoint);
    else
        become_idle(w);
}

static void probed(void *data, const struct etcd_reply *reply)
{
    struct etcd_watch *w = data;
    struct wire_answer answer;
    struct err reason = {0}, err = {0};
    w->probe = NULL;
    if (reply->err) {
        watch_fail(w, reply->err);
    } else if (wire_read_answer(reply->json, &answer, &reason) < 0) {
        err_set(&err, reason.code, "%s: %s", w->client->endpoints[reply->endpoint].address,
                reason.message);
        watch_fail(w, &err);
    } else {
        take_probe(w, &answer, reply->endpoint);
        wire_answer_free(&answer);
    }
    err_clear(&reason);
    err_clear(&err);
}

static void start_probe(struct etcd_watch *w)
{
    char *body = wire_range(w->key, NULL, WIRE_KEYS_ONLY);
    struct etcd_request request = {.path = "kv/range", .body = body, .budget_ms = PROBE_BUDGET_MS};
    w->heard = false;
    w->probe = etcd_call_start(w->client, &request, probed, w);
}

static void watch_open(struct etcd_watch *w)
{
    w->state = WATCH_PROBING;
    start_probe(w);
}

static void tick(uv_timer_t *timer)
{
    struct etcd_watch *w = timer->data;
    if (!w->waits && !w->joined)
        become_idle(w);
    else if (!w->heard && !w->probe)
        start_probe(w);
    w->heard = w->joined = false;
}

/* ---- the interface ---- */

struct etcd_watch *etcd_watch_new(struct etcd_client *client, const char *key, const char *end)
{
    struct etcd_watch *w = xcalloc(1, sizeof *w);
    w->client = client;
    w->key = xstrdup(key);
    w->end = xstrdup(end);
    w->changes = json_object();
    w->timer.data = w;
    uv_timer_init(&client->io->loop, &w->timer);
    return w;
}

static void watch_closed(uv_handle_t *timer)
{
    struct etcd_watch *w = timer->data;
    json_decref(w->changes);
    free(w->key);
    free(w->end);
    free(w);
}

void etcd_watch_free(struct etcd_watch *watch)
{
    become_idle(watch);
    uv_close((uv_handle_t *)&watch->timer, watch_closed);
}

bool etcd_watch_is(const struct etcd_watch *watch, const char *key, const char *end)
{
    bool same_end = watch->end && end ? strcmp(watch->end, end) == 0 : !watch->end && !end;
    return same_end && strcmp(watch->key, key) == 0;
}

bool etcd_watch_is_idle(const struct etcd_watch *watch) { return watch->state == WATCH_IDLE; }

/* Whether what the waiter asks for may have come before it did. */
static bool is_due(struct etcd_watch *w, const struct etcd_wait *wait)
{
    json_int_t last = json_integer_value(json_object_get(w->changes, wait->key));
    bool not_open_yet = w->state == WATCH_PROBING && w->seen == w->floor;
    if (not_open_yet && wait->since < w->floor)
        w->floor = w->seen = wait->since;
    return wait->since < w->floor || last > wait->since;
}

static void start_watching(struct etcd_watch *w, int64_t since)
{
    json_object_clear(w->changes);
    w->floor = w->seen = since;
    watch_open(w);
}

void etcd_watch_join(struct etcd_watch *watch, struct etcd_wait *wait)
{
    wait->watch = watch;
    wait->prev = &watch->waits;
    wait->next = watch->waits;
    if (wait->next)
        wait->next->prev = &wait->next;
    watch->waits = wait;
    watch->joined = true;
    if (watch->state == WATCH_IDLE)
        start_watching(watch, wait->since);
    else if (is_due(watch, wait))
        wake(wait, NULL);
}
