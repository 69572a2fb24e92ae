#include "shelf.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <uv.h>

#include "core/instance.h"
#include "core/mem.h"
#include "io/file.h"
#include "io/io.h"

#define LOCK_WAIT_MS 5000
#define LOCK_RETRY_MS 3 /* plus up to three times as much, so that writers do not keep step */
#define SETTLE_MS 20    /* after an event: editors write in several steps */
#define POLL_MS 500     /* for what no event tells: a dead owner, or all if inotify is exhausted */
#define AT_ONCE 32      /* writings of one job: another process may wait for the lock meanwhile */

/* One request. Owned by the loop: freed when its timer has closed. */
struct op {
    uv_timer_t timer;
    struct shelf *shelf;            /* borrowed */
    struct backend_request request; /* its strings and record are owned */
    struct op *next, **prev;        /* in shelf.ready or shelf.resting; prev NULL: in neither */
    uint64_t need;                  /* the reading that answers it: see shelf.clock */
    uint64_t deadline_ms;
    backend_done_fn *done;
    void *data; /* borrowed */
};

struct shelf {
    struct io *io; /* borrowed */
    const struct store_kind *kind;
    void *store; /* owned, through kind */
    struct shelf_paths paths;
    struct index index;
    struct op *ready, **ready_end; /* in the order in which they came */
    struct op *resting;            /* lookups that wait for a change */
    struct file_watch *watch;      /* owned; while something rests */
    uint64_t clock;                /* counts the lookups begun and the changes heard of */
    uint64_t heard;                /* the clock at the last change */
    uint64_t fresh;                /* the clock when the last reading began */
    struct err fault;              /* why that failed */

    uv_work_t work;
    bool busy, closed;
    struct shelf_writing job[AT_ONCE]; /* what the job writes */
    struct op *writers[AT_ONCE];       /* borrowed: for whom; NULL once that was cancelled, and then
                                        * the strings of the request are owned */
    size_t writings;                   /* 0: the job is a reading */
    uint64_t reading;                  /* the clock when it began */
    struct err work_fault;             /* of the reading, or of taking the lock */
};

/* ---- life of an operation ---- */

static void request_clear(struct backend_request *r)
{
    instance_free((struct instance *)r->record);
    free((char *)r->service);
    free((char *)r->id);
    free((char *)r->cursor);
    *r = (struct backend_request){0};
}

static void op_free(uv_handle_t *timer)
{
    struct op *op = timer->data;
    request_clear(&op->request);
    free(op);
}

static void op_unlink(struct op *op)
{
    if (!op->prev)
        return;
    *op->prev = op->next;
    if (op->next)
        op->next->prev = op->prev;
    else if (op->shelf->ready_end == &op->next)
        op->shelf->ready_end = op->prev;
    op->prev = NULL;
    op->next = NULL;
}

static void op_rest(struct op *op)
{
    struct shelf *s = op->shelf;
    op->prev = &s->resting;
    op->next = s->resting;
    if (op->next)
        op->next->prev = &op->next;
    s->resting = op;
}

static void op_queue(struct op *op)
{
    struct shelf *s = op->shelf;
    op_unlink(op);
    op->prev = s->ready_end;
    *s->ready_end = op;
    s->ready_end = &op->next;
}

static void drop_watch(struct shelf *s)
{
    if (s->watch)
        file_watch_stop(s->watch);
    s->watch = NULL;
}

static void op_stop(struct op *op)
{
    struct shelf *s = op->shelf;
    op_unlink(op);
    uv_close((uv_handle_t *)&op->timer, op_free);
    if (!s->resting && !s->ready)
        drop_watch(s);
}

static void op_answer(struct op *op, const struct backend_answer *answer)
{
    op->done(op->data, answer);
    op_stop(op);
}

static void op_fail(struct op *op, const struct err *err)
{
    op_answer(op, &(struct backend_answer){.err = err});
}

static uint64_t op_left_ms(const struct op *op)
{
    uint64_t now = uv_now(&op->shelf->io->loop);
    return now < op->deadline_ms ? op->deadline_ms - now : 0;
}

static bool is_reader(const struct op *op)
{
    return op->request.verb == BACKEND_LOOKUP || op->request.verb == BACKEND_SERVICES;
}

static void watch(struct shelf *s);
static void pump(struct shelf *s);

static void op_due(uv_timer_t *timer)
{
    struct op *op = timer->data;
    struct shelf *s = op->shelf;
    if (is_reader(op) && !s->watch) {
        if (op->request.cursor)
            watch(s);          /* before the reading, so that no change is missed between */
        op->need = ++s->clock; /* nobody would have told of a change until now */
    }
    op_queue(op);
    pump(s);
}

/* ---- changes ---- */

/* The lookups that rest look again soon. */
static void changed(struct shelf *s, uint64_t in_ms)
{
    s->heard = ++s->clock;
    for (struct op *op = s->resting; op; op = op->next) {
        op->need = s->clock;
        if (uv_timer_get_due_in(&op->timer) > in_ms)
            uv_timer_start(&op->timer, op_due, in_ms, 0);
    }
}

static void folder_changed(void *data, const char *name, const struct err *err)
{
    struct shelf *s = data;
    if (err)
        drop_watch(s); /* whoever looks next begins a new one */
    else if (name[0] == '.' && strcmp(name, strrchr(s->paths.watched, '/') + 1) != 0)
        return; /* the lock, or a temporary file */
    changed(s, SETTLE_MS);
}

static void watch(struct shelf *s)
{
    if (!s->watch && s->paths.watched)
        s->watch = file_watch_start(s->io, s->paths.watched, folder_changed, s, NULL);
}

/* ---- writing: under the lock, for which it waits by trying again ---- */

/* A folder that has vanished is made again: whoever renews finds out that it must register. */
static int take_lock(const struct shelf *s, struct err *err)
{
    int lock = file_lock(s->paths.lock, err);
    if (lock >= 0 || strcmp(err->code, "not_found") != 0)
        return lock;
    err_clear(err);
    if (s->kind->make_folder(s->store, err) == 0)
        return file_lock(s->paths.lock, err);
    struct err cause = *err;
    *err = (struct err){0};
    err_set(err, "io", "%s", cause.message); /* not "exists": that is a lock to wait for */
    err_clear(&cause);
    return -1;
}

static void sweep(struct shelf *s)
{
    const char *services[AT_ONCE];
    for (size_t i = 0; i < s->writings; i++)
        services[i] = s->job[i].request.service;
    if (s->kind->sweep)
        s->kind->sweep(s->store, services, s->writings);
}

static void write_locked(struct shelf *s)
{
    int lock = s->paths.lock ? take_lock(s, &s->work_fault) : -1;
    if (s->paths.lock && lock < 0)
        return;
    sweep(s);
    s->kind->write(s->store, s->job, s->writings);
    if (lock >= 0)
        file_unlock(lock);
}

static bool wait_for_lock(struct op *op, struct err *err)
{
    uint8_t jitter = 0;
    if (!err->code || strcmp(err->code, "exists") != 0)
        return false;
    if (op_left_ms(op) == 0) {
        struct err cause = *err;
        *err = (struct err){0};
        err_set(err, "timeout", "%s, for %d s now", cause.message, LOCK_WAIT_MS / 1000);
        err_clear(&cause);
        return false;
    }
    if (getrandom(&jitter, 1, GRND_NONBLOCK) < 0)
        jitter = 0;
    uv_timer_start(&op->timer, op_due, LOCK_RETRY_MS + jitter % (3 * LOCK_RETRY_MS), 0);
    return true;
}

static void end_writing(struct shelf_writing *w, struct op *op)
{
    if (!op)
        request_clear(&w->request);
    else if (!wait_for_lock(op, &w->fault))
        op_answer(op, &(struct backend_answer){.err = w->fault.code ? &w->fault : NULL});
    err_clear(&w->fault);
}

static void wrote(struct shelf *s)
{
    struct err away = s->work_fault; /* nothing was written */
    size_t count = s->writings;
    s->work_fault = (struct err){0};
    s->writings = 0;
    if (!s->paths.watched && !away.code)
        changed(s, 0);
    for (size_t i = 0; i < count; i++) {
        if (away.code)
            err_set(&s->job[i].fault, away.code, "%s", away.message);
        end_writing(&s->job[i], s->writers[i]);
    }
    err_clear(&away);
}

/* ---- reading ---- */

static uint64_t ms_until(int64_t second)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t ms = (second - now.tv_sec) * 1000 - now.tv_nsec / 1000000;
    return ms > 0 ? (uint64_t)ms + 1 : 1;
}

/* Looks again when the deadline, the next expiry or the next look at the owners is due. */
static void rest(struct op *op, const struct index_answer *found)
{
    struct shelf *s = op->shelf;
    uint64_t ms = op_left_ms(op);
    if (found->next_expiry && ms_until(found->next_expiry) < ms)
        ms = ms_until(found->next_expiry);
    bool blind = s->paths.watched && !s->watch;
    if ((found->has_owners || blind) && ms > POLL_MS)
        ms = POLL_MS;
    if (s->heard > s->fresh) { /* while the files were being read */
        op->need = s->heard;
        ms = SETTLE_MS;
    }
    op_unlink(op);
    op_rest(op);
    uv_timer_start(&op->timer, op_due, ms ? ms : 1, 0);
}

static void look(struct op *op)
{
    const char *cursor = op->request.cursor;
    struct index_answer found;
    struct err err = {0};
    if (index_lookup(&op->shelf->index, op->request.service, &found, &err) < 0) {
        op_fail(op, &err);
        err_clear(&err);
        return;
    }
    if (cursor && strcmp(cursor, found.cursor) == 0 && op_left_ms(op) > 0)
        rest(op, &found);
    else
        op_answer(op, &(struct backend_answer){.instances = found.instances,
                                               .instance_count = found.count,
                                               .cursor = found.cursor});
    free(found.instances);
}

static void list(struct op *op)
{
    struct err err = {0};
    size_t count = 0;
    char **names = index_services(&op->shelf->index, &count, &err);
    if (names)
        op_answer(op, &(struct backend_answer){.names = names, .name_count = count});
    else
        op_fail(op, &err);
    err_clear(&err);
    free(names);
}

static void answer_reader(struct op *op)
{
    if (op->shelf->fault.code)
        op_fail(op, &op->shelf->fault);
    else if (op->request.verb == BACKEND_SERVICES)
        list(op);
    else
        look(op);
}

/* ---- jobs ---- */

static void work(uv_work_t *request)
{
    struct shelf *s = request->data;
    if (s->writings)
        write_locked(s);
    else
        s->kind->read(s->store, &s->index, &s->work_fault);
}

static void shelf_free(struct shelf *s)
{
    s->kind->close(s->store);
    free(s->paths.lock);
    free(s->paths.watched);
    err_clear(&s->fault);
    free(s);
}

static void worked(uv_work_t *request, int status)
{
    struct shelf *s = request->data;
    (void)status;
    s->busy = false;
    uv_update_time(&s->io->loop);
    if (s->writings) {
        wrote(s);
    } else {
        err_clear(&s->fault);
        err_move(&s->fault, &s->work_fault);
        s->fresh = s->reading;
    }
    if (s->closed)
        shelf_free(s);
    else
        pump(s);
}

/* A reading, or the writings that come before the next lookup. */
static void start_job(struct shelf *s)
{
    s->busy = true;
    s->reading = s->clock;
    while (s->ready && !is_reader(s->ready) && s->writings < AT_ONCE) {
        struct op *op = s->ready;
        op_unlink(op);
        s->writers[s->writings] = op;
        s->job[s->writings++] = (struct shelf_writing){.request = op->request};
    }
    uv_queue_work(&s->io->loop, &s->work, work, worked);
}

/* Answers the lookups that a reading has been done for, then does what is next. */
static void pump(struct shelf *s)
{
    if (s->busy)
        return;
    for (struct op *op = s->ready, *next; op; op = next) {
        next = op->next;
        if (is_reader(op) && op->need <= s->fresh)
            answer_reader(op);
    }
    if (s->ready)
        start_job(s);
}

/* ---- the interface ---- */

struct shelf *shelf_new(struct io *io, const struct store_kind *kind, void *store,
                        struct shelf_paths paths)
{
    struct shelf *s = xcalloc(1, sizeof *s);
    *s = (struct shelf){.io = io, .kind = kind, .store = store, .paths = paths};
    s->ready_end = &s->ready;
    s->work.data = s;
    return s;
}

static struct op *op_new(struct shelf *s, const struct backend_request *request)
{
    struct op *op = xcalloc(1, sizeof *op);
    op->shelf = s;
    op->request = *request;
    op->request.record = instance_copy(request->record);
    op->request.service = xstrdup(request->service);
    op->request.id = xstrdup(request->id);
    op->request.cursor = xstrdup(request->cursor);
    op->timer.data = op;
    uv_update_time(&s->io->loop);
    uv_timer_init(&s->io->loop, &op->timer);
    return op;
}

void *shelf_start(void *self, const struct backend_request *request, backend_done_fn *done,
                  void *data)
{
    struct shelf *s = self;
    struct op *op = op_new(s, request);
    op->done = done;
    op->data = data;
    op->need = ++s->clock; /* what is read from now on */
    op->deadline_ms =
        uv_now(&s->io->loop) + (is_reader(op) ? op->request.timeout_ms : LOCK_WAIT_MS);
    uv_timer_start(&op->timer, op_due, 0, 0);
    return op;
}

void shelf_cancel(void *self, void *data)
{
    struct shelf *s = self;
    struct op *op = data;
    for (size_t i = 0; i < s->writings; i++)
        if (op == s->writers[i]) { /* the job goes on without it, unless it has not come to it */
            atomic_store(&s->job[i].given_up, true);
            s->writers[i] = NULL;
            op->request = (struct backend_request){0};
        }
    op_stop(op);
}

void shelf_close(void *self)
{
    struct shelf *s = self;
    s->closed = true;
    if (!s->busy)
        shelf_free(s);
}
