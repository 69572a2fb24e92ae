#include "io/check.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <uv.h>

#include "core/mem.h"
#include "io/check_spec.h"
#include "io/io.h"

#define ROOM 256         /* the cost of all tries that may run at once */
#define STALL_MS 1000    /* a loop that stood still for longer voids what ran meanwhile */
#define FIRST_MS 100     /* the first delay of the ramp, and the spread of first tries */
#define RAMP_JITTER 0.1  /* so that checks which fail together do not retry together */
#define MAX_MESSAGE 1024 /* bytes */
#define GRACE_MS 2000    /* for kinds that keep their deadline, before we do */
#define BUCKETS 8192u    /* of checks that are looked for by what they try */

/* ENDED: the try answered before its start() had returned, so the verdict waits for the loop. */
enum check_phase { WAITING, QUEUED, RUNNING, ENDED };

struct check {
    struct checks *all;      /* borrowed */
    struct check_spec *spec; /* owned */
    check_changed_fn *changed;
    void *data;
    uv_timer_t timer; /* the next try while waiting, the deadline while running */
    enum check_phase phase;
    bool starting;      /* within start() */
    bool referenced;    /* somebody waits for it */
    void *op;           /* while running: owned by its kind */
    struct check *next; /* checks.queue, while queued */
    uint64_t made_ms, due_ms, started_ns;
    unsigned attempt;        /* tries since the ramp began */
    bool arrived;            /* has been passing: the ramp is over */
    bool voided;             /* the try that ended spanned a stall */
    bool leans;              /* while waiting: it was its turn, and a twin was trying already */
    bool untold;             /* its health has changed with a twin's verdict */
    struct check *next_twin; /* of its bucket; borrowed */
    struct health health;
    struct check_verdict last; /* its message is owned */
    max_align_t room[];        /* of the kind */
};

/* The executor: one for each loop, made with the first check. */
struct checks {
    struct io *io;
    uv_prepare_t before_wait;
    uv_check_t after_wait;
    uv_timer_t soon;              /* ends a wait of unknown length */
    uint64_t mark_ms, allowed_ms; /* since then the loop may stand still for so long */
    uint64_t stalled_ms;          /* when it was last found to have stood still */
    unsigned room;
    struct check *queue, **queue_tail;
    struct check *buckets[BUCKETS]; /* of all checks but those that run once */
    uint64_t random;
    unsigned closing; /* handles */
};

/* ---- the executor ---- */

static uint64_t now_ms(void) { return uv_hrtime() / 1000000; }

static void look_for_stall(struct checks *all)
{
    uint64_t now = now_ms();
    if (now - all->mark_ms > all->allowed_ms + STALL_MS)
        all->stalled_ms = now;
}

static void mark(struct checks *all, uint64_t allowed_ms)
{
    look_for_stall(all);
    all->mark_ms = now_ms();
    all->allowed_ms = allowed_ms;
}

static void woken(uv_timer_t *timer) { (void)timer; }

/* While a descriptor waits to be handed to the kernel libuv says 0, and then may wait for long: by
 * the next turn it has been handed over. */
static void about_to_wait(uv_prepare_t *handle)
{
    struct checks *all = handle->data;
    int timeout = uv_backend_timeout(handle->loop);
    if (timeout == 0)
        uv_timer_start(&all->soon, woken, 1, 0);
    mark(all, timeout < 0 ? UINT32_MAX : (uint64_t)timeout);
}

static void has_waited(uv_check_t *handle) { mark(handle->data, 0); }

static struct checks *executor(struct io *io)
{
    if (io->checks)
        return io->checks;
    struct checks *all = xcalloc(1, sizeof *all);
    *all = (struct checks){
        .io = io, .room = ROOM, .mark_ms = now_ms(), .random = uv_hrtime() | 1, .closing = 3};
    all->queue_tail = &all->queue;
    uv_prepare_init(&io->loop, &all->before_wait);
    uv_check_init(&io->loop, &all->after_wait);
    uv_timer_init(&io->loop, &all->soon);
    all->before_wait.data = all->after_wait.data = all->soon.data = all;
    uv_prepare_start(&all->before_wait, about_to_wait);
    uv_check_start(&all->after_wait, has_waited);
    uv_unref((uv_handle_t *)&all->before_wait);
    uv_unref((uv_handle_t *)&all->after_wait);
    uv_unref((uv_handle_t *)&all->soon);
    return io->checks = all;
}

static void executor_closed(uv_handle_t *handle)
{
    struct checks *all = handle->data;
    if (--all->closing == 0)
        free(all);
}

void checks_close(struct io *io)
{
    struct checks *all = io->checks;
    if (!all)
        return;
    io->checks = NULL;
    uv_close((uv_handle_t *)&all->before_wait, executor_closed);
    uv_close((uv_handle_t *)&all->after_wait, executor_closed);
    uv_close((uv_handle_t *)&all->soon, executor_closed);
}

/* From 0 to below 1. Chance only spreads load here: xorshift is good enough. */
static double chance(struct checks *all)
{
    all->random ^= all->random << 13;
    all->random ^= all->random >> 7;
    all->random ^= all->random << 17;
    return (double)(all->random >> 11) / (double)(1ull << 53);
}

static uint64_t spread(struct checks *all, uint64_t ms)
{
    return (uint64_t)((double)ms * chance(all));
}

/* ---- twins: checks that try the same ---- */

static struct check **bucket_of(const struct check *c)
{
    return &c->all->buckets[c->spec->same[0] % BUCKETS];
}

static bool are_twins(const struct check *a, const struct check *b)
{
    return a != b && a->spec->same[0] == b->spec->same[0] && a->spec->same[1] == b->spec->same[1];
}

static void join_twins(struct check *c)
{
    if (c->spec->once)
        return;
    c->next_twin = *bucket_of(c);
    *bucket_of(c) = c;
}

static void leave_twins(struct check *c)
{
    if (c->spec->once)
        return;
    struct check **at = bucket_of(c);
    while (*at != c)
        at = &(*at)->next_twin;
    *at = c->next_twin;
}

/* The next twin of `c` from `at` on; NULL if there is none. */
static struct check *twin_from(const struct check *c, struct check *at)
{
    while (at && !are_twins(c, at))
        at = at->next_twin;
    return at;
}

static struct check *first_twin(const struct check *c)
{
    return c->spec->once ? NULL : twin_from(c, *bucket_of(c));
}

static bool is_tried_by_twin(const struct check *c)
{
    struct check *twin = first_twin(c);
    while (twin && twin->phase == WAITING)
        twin = twin_from(c, twin->next_twin);
    return twin != NULL;
}

/* ---- one check ---- */

static void timer_fired(uv_timer_t *timer);

/* A running try keeps the loop alive, a waiting check only while somebody waits for it. */
static void arm(struct check *c, enum check_phase phase, uint64_t delay_ms)
{
    uv_handle_t *handle = (uv_handle_t *)&c->timer;
    c->phase = phase;
    if (phase == RUNNING || c->referenced)
        uv_ref(handle);
    else
        uv_unref(handle);
    uv_update_time(&c->all->io->loop);
    uv_timer_start(&c->timer, timer_fired, delay_ms, 0);
}

static void begin_try(struct check *c)
{
    const struct check_kind *kind = c->spec->kind;
    c->all->room -= kind->cost;
    c->started_ns = uv_hrtime();
    c->voided = false;
    arm(c, RUNNING, c->spec->timeout_ms + (kind->keeps_deadline ? GRACE_MS : 0));
    c->starting = true;
    void *op = kind->start(c->all->io, c->spec->prepared, c);
    c->starting = false;
    c->op = op;
}

static void push_queue(struct check *c)
{
    c->phase = QUEUED;
    c->next = NULL;
    *c->all->queue_tail = c;
    c->all->queue_tail = &c->next;
}

static void drop_from_queue(struct check *c)
{
    struct check **at = &c->all->queue;
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    if (!c->next)
        c->all->queue_tail = at;
}

static void begin_queued(struct checks *all)
{
    while (all->queue && all->room >= all->queue->spec->kind->cost) {
        struct check *c = all->queue;
        drop_from_queue(c);
        begin_try(c);
    }
}

static uint64_t ramp_ms(struct check *c)
{
    struct backoff ramp = {.kind = c->spec->backoff,
                           .first_ms = FIRST_MS,
                           .max_ms = c->spec->interval_ms,
                           .jitter = RAMP_JITTER};
    if (ramp.kind == BACKOFF_CONSTANT)
        ramp.first_ms = c->spec->interval_ms;
    return backoff_ms(&ramp, c->attempt++, chance(c->all));
}

/* Tries start one interval apart; one that took longer is followed at once, and none is made up
 * for. */
static uint64_t regular_ms(struct check *c)
{
    uint64_t now = now_ms();
    c->due_ms += c->spec->interval_ms;
    if (c->due_ms < now)
        c->due_ms = now;
    return c->due_ms - now;
}

static uint64_t next_delay_ms(struct check *c)
{
    if (c->voided)
        return spread(c->all, FIRST_MS);
    if (c->arrived)
        return regular_ms(c);
    if (c->health.side != HEALTH_PASSING)
        return ramp_ms(c);
    c->arrived = true;
    c->due_ms = now_ms() - spread(c->all, c->spec->interval_ms / 2);
    return regular_ms(c);
}

static bool excused(const struct check *c)
{
    return now_ms() - c->made_ms < c->spec->start_period_ms;
}

static void keep_message(struct check *c, const char *text)
{
    if (c->last.message && strcmp(c->last.message, text) == 0)
        return; /* the usual case: nothing is allocated for a check that stays as it is */
    free((char *)c->last.message);
    c->last.message = xstrdup(text);
}

/* Whether a twin's verdict counts for `c`: it leans on it, or would try within half an interval. */
static bool takes_verdict(const struct check *c)
{
    return c->phase == WAITING && c->arrived &&
           (c->leans || c->due_ms < now_ms() + c->spec->interval_ms / 2);
}

static void take_verdict(struct check *c, const struct check_verdict *verdict)
{
    keep_message(c, verdict->message);
    const char *message = c->last.message;
    c->last = *verdict;
    c->last.message = message;
    c->leans = false;
    c->untold = health_feed(&c->health, verdict->ok, excused(c));
    c->due_ms = now_ms();
    arm(c, WAITING, regular_ms(c));
}

/* Whether a twin's health has changed by it. */
static bool share_verdict(struct check *c)
{
    bool changed = false;
    for (struct check *twin = first_twin(c); twin; twin = twin_from(c, twin->next_twin))
        if (takes_verdict(twin)) {
            take_verdict(twin, &c->last);
            changed = changed || twin->untold;
        }
    return changed;
}

/* Tells who has changed by it. Anybody may be stopped meanwhile, so each time from the start. */
static void tell_twins(struct checks *all, const uint64_t same[2])
{
    struct check *c = all->buckets[same[0] % BUCKETS];
    while (c) {
        bool told = c->untold && c->spec->same[0] == same[0] && c->spec->same[1] == same[1];
        if (told) {
            c->untold = false;
            c->changed(c->data, c);
        }
        c = told ? all->buckets[same[0] % BUCKETS] : c->next_twin;
    }
}

/* The try is over, its verdict in c->last. What happens to `c` in changed() is not ours to know. */
static void conclude(struct check *c)
{
    struct checks *all = c->all;
    uint64_t same[2] = {c->spec->same[0], c->spec->same[1]};
    all->room += c->spec->kind->cost;
    bool changed = !c->voided && health_feed(&c->health, c->last.ok, excused(c));
    if (c->spec->once && !c->voided)
        c->phase = WAITING; /* who is told of the one verdict stops it */
    else
        arm(c, WAITING, next_delay_ms(c));
    bool shared = !c->voided && share_verdict(c);
    begin_queued(all);
    if (changed)
        c->changed(c->data, c);
    if (shared)
        tell_twins(all, same);
}

static void end_try(struct check *c, bool ok, const char *format, va_list args)
{
    struct timespec now;
    look_for_stall(c->all);
    c->voided = c->all->stalled_ms >= c->started_ns / 1000000;
    if (!c->voided) {
        char text[MAX_MESSAGE];
        clock_gettime(CLOCK_REALTIME, &now);
        vsnprintf(text, sizeof text, format, args);
        keep_message(c, text);
        c->last.ok = ok;
        c->last.latency_us = (uv_hrtime() - c->started_ns) / 1000;
        c->last.at_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    }
    if (c->starting) {
        arm(c, RUNNING, 0);
        c->phase = ENDED;
    } else {
        conclude(c);
    }
}

void check_pass(struct check *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    end_try(c, true, format, args);
    va_end(args);
}

void check_fail(struct check *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    end_try(c, false, format, args);
    va_end(args);
}

void *check_room(struct check *c) { return c->room; }

static void deadline(struct check *c)
{
    const struct check_spec *spec = c->spec;
    const char *awaited = spec->kind->awaits ? spec->kind->awaits(c->op) : NULL;
    spec->kind->cancel(c->op);
    check_fail(c, "%s: timed out after %g s%s%s", spec->kind->subject(spec->prepared),
               (double)spec->timeout_ms / 1000, awaited ? ": " : "", awaited ? awaited : "");
}

/* It is its turn, and a twin tries already: it takes that verdict, or its next turn. */
static void lean(struct check *c)
{
    c->leans = true;
    arm(c, WAITING, regular_ms(c));
}

static void timer_fired(uv_timer_t *timer)
{
    struct check *c = timer->data;
    if (c->phase == RUNNING)
        deadline(c);
    else if (c->phase == ENDED)
        conclude(c);
    else if (c->arrived && is_tried_by_twin(c))
        lean(c);
    else {
        c->leans = false;
        push_queue(c);
        begin_queued(c->all);
    }
}

struct check *check_start(struct io *io, struct check_spec *spec, check_changed_fn *changed,
                          void *data)
{
    struct check *c = xcalloc(1, sizeof *c + spec->kind->room);
    *c = (struct check){
        .all = executor(io), .spec = spec, .changed = changed, .data = data, .made_ms = now_ms()};
    health_init(&c->health, spec->rise, spec->fall);
    uv_timer_init(&io->loop, &c->timer);
    c->timer.data = c;
    join_twins(c);
    arm(c, WAITING, spec->once ? 0 : spread(c->all, FIRST_MS));
    return c;
}

static void check_closed(uv_handle_t *timer)
{
    struct check *c = timer->data;
    if (c->spec->kind->leave)
        c->spec->kind->leave(c->room);
    check_spec_free(c->spec);
    free((char *)c->last.message);
    free(c);
}

/* Who leans on a try that will have no verdict tries itself. */
static void let_down(struct check *c)
{
    for (struct check *twin = first_twin(c); twin; twin = twin_from(c, twin->next_twin))
        if (twin->leans) {
            twin->leans = false;
            arm(twin, WAITING, 0);
        }
}

void check_stop(struct check *c)
{
    struct checks *all = c->all;
    leave_twins(c);
    if (c->phase != WAITING)
        let_down(c);
    if (c->phase == QUEUED)
        drop_from_queue(c);
    if (c->phase == RUNNING)
        c->spec->kind->cancel(c->op);
    if (c->phase == RUNNING || c->phase == ENDED)
        all->room += c->spec->kind->cost;
    uv_close((uv_handle_t *)&c->timer, check_closed);
    begin_queued(all);
}

enum health_state check_state(const struct check *c) { return c->health.state; }

const struct check_verdict *check_last(const struct check *c) { return &c->last; }

void check_ref(struct check *c, bool ref)
{
    c->referenced = ref;
    if (ref)
        uv_ref((uv_handle_t *)&c->timer);
    else if (c->phase == WAITING)
        uv_unref((uv_handle_t *)&c->timer);
}
