/* file.c -- the file backend: a folder of JSON files, for one machine or a shared folder. The files
 * themselves are file_store.c; here is when they are read and written. */
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <uv.h>

#include "backend.h"
#include "core/err.h"
#include "core/instance.h"
#include "core/mem.h"
#include "file_store.h"
#include "io/file.h"
#include "io/io.h"

#define LOCK_WAIT_MS 5000
#define LOCK_RETRY_MS 15 /* plus up to as much again, so that writers do not keep step */
#define SETTLE_MS 20     /* after an event: editors write in several steps */
#define POLL_MS 500      /* for what no event tells: a dead owner, or all if inotify is exhausted */

struct file_backend {
    struct io *io; /* borrowed */
    struct store store;
    char *lock; /* owned; the path */
};

/* One request. Owned by the loop: freed when its timer has closed. */
struct file_op {
    uv_timer_t timer;
    struct file_backend *backend;   /* borrowed */
    struct backend_request request; /* its strings and record are owned */
    struct file_watch *watch;       /* owned; while a lookup waits */
    uint64_t deadline_ms;
    backend_done_fn *done;
    void *data; /* borrowed */
};

/* ---- life of an operation ---- */

static void op_free(uv_handle_t *timer)
{
    struct file_op *op = timer->data;
    instance_free((struct instance *)op->request.record);
    free((char *)op->request.service);
    free((char *)op->request.id);
    free((char *)op->request.cursor);
    free(op);
}

static void op_stop(struct file_op *op)
{
    if (op->watch)
        file_watch_stop(op->watch);
    op->watch = NULL;
    uv_close((uv_handle_t *)&op->timer, op_free);
}

static void op_answer(struct file_op *op, const struct backend_answer *answer)
{
    op->done(op->data, answer);
    op_stop(op);
}

/* Answers with the error and clears it. */
static void op_fail(struct file_op *op, struct err *err)
{
    op_answer(op, &(struct backend_answer){.err = err});
    err_clear(err);
}

static uint64_t op_left_ms(const struct file_op *op)
{
    uint64_t now = uv_now(&op->backend->io->loop);
    return now < op->deadline_ms ? op->deadline_ms - now : 0;
}

/* ---- writing: under the lock of the folder, for which it waits by trying again ---- */

static void op_write(uv_timer_t *timer);

static int perform(struct file_op *op, struct err *err)
{
    const struct backend_request *r = &op->request;
    const struct store *store = &op->backend->store;
    if (r->verb == BACKEND_REGISTER)
        return store_register(store, r->record, r->ttl_s, r->owned, err);
    if (r->verb == BACKEND_RENEW)
        return store_renew(store, r->service, r->id, err);
    return store_deregister(store, r->service, r->id, err);
}

static bool wait_for_lock(struct file_op *op, struct err *err)
{
    uint8_t jitter = 0;
    if (strcmp(err->code, "exists") != 0)
        return false;
    if (op_left_ms(op) == 0) {
        err_set(err, "timeout", "%s, for %d s now", err->message, LOCK_WAIT_MS / 1000);
        return false;
    }
    if (getrandom(&jitter, 1, GRND_NONBLOCK) < 0)
        jitter = 0;
    uv_timer_start(&op->timer, op_write, LOCK_RETRY_MS + jitter % LOCK_RETRY_MS, 0);
    return true;
}

/* A folder that has vanished is made again: whoever renews finds out that it must register. */
static int take_lock(const struct file_backend *b, struct err *err)
{
    int lock = file_lock(b->lock, err);
    if (lock >= 0 || strcmp(err->code, "not_found") != 0)
        return lock;
    err_clear(err);
    if (store_make_folder(&b->store, err) == 0)
        return file_lock(b->lock, err);
    struct err cause = *err;
    *err = (struct err){0};
    err_set(err, "io", "%s", cause.message); /* not "exists": that is a lock to wait for */
    err_clear(&cause);
    return -1;
}

static void op_write(uv_timer_t *timer)
{
    struct file_op *op = timer->data;
    struct err err = {0};
    int lock = take_lock(op->backend, &err);
    if (lock < 0) {
        if (wait_for_lock(op, &err))
            err_clear(&err);
        else
            op_fail(op, &err);
        return;
    }
    int result = perform(op, &err);
    file_unlock(lock);
    if (result < 0)
        op_fail(op, &err);
    else
        op_answer(op, &(struct backend_answer){0});
}

/* ---- reading ---- */

static void op_look(uv_timer_t *timer);

/* Looks again when the deadline, the next expiry or the next look at the owners is due. */
static void rest(struct file_op *op, const struct store_answer *found)
{
    uint64_t ms = op_left_ms(op);
    int64_t expires_in = found->next_expiry - (int64_t)time(NULL);
    if (found->next_expiry && expires_in >= 0 && (uint64_t)expires_in * 1000 + 10 < ms)
        ms = (uint64_t)expires_in * 1000 + 10;
    if ((found->has_owners || !op->watch) && ms > POLL_MS)
        ms = POLL_MS;
    uv_timer_start(&op->timer, op_look, ms ? ms : 1, 0);
}

static void op_look(uv_timer_t *timer)
{
    struct file_op *op = timer->data;
    const char *cursor = op->request.cursor;
    struct store_answer found;
    struct err err = {0};
    if (store_lookup(&op->backend->store, op->request.service, &found, &err) < 0) {
        op_fail(op, &err);
        return;
    }
    if (cursor && strcmp(cursor, found.cursor) == 0 && op_left_ms(op) > 0)
        rest(op, &found);
    else
        op_answer(op, &(struct backend_answer){.instances = found.instances,
                                               .instance_count = found.count,
                                               .cursor = found.cursor});
    store_answer_free(&found);
}

static void op_list(uv_timer_t *timer)
{
    struct file_op *op = timer->data;
    struct err err = {0};
    size_t count = 0;
    char **names = store_services(&op->backend->store, &count, &err);
    if (names)
        op_answer(op, &(struct backend_answer){.names = names, .name_count = count});
    else
        op_fail(op, &err);
    free(names);
}

static void folder_changed(void *data, const char *name, const struct err *err)
{
    struct file_op *op = data;
    bool matters = err || name[0] != '.'; /* not the lock, nor a temporary file */
    if (matters && uv_timer_get_due_in(&op->timer) > SETTLE_MS)
        uv_timer_start(&op->timer, op_look, SETTLE_MS, 0);
}

/* ---- the interface ---- */

static void *file_open(struct io *io, const json_t *options, struct err *err)
{
    const char *folder = json_string_value(json_object_get(options, "filePath"));
    if (!folder || !*folder) {
        err_set(err, "invalid", "the file backend needs filePath, the folder of its files");
        return NULL;
    }
    struct file_backend *b = xcalloc(1, sizeof *b);
    b->io = io;
    if (store_init(&b->store, folder, err) < 0) {
        free(b);
        return NULL;
    }
    b->lock = xasprintf("%s/.lock", folder);
    return b;
}

static void file_close(void *self)
{
    struct file_backend *b = self;
    store_close(&b->store);
    free(b->lock);
    free(b);
}

static struct instance *copy_record(const struct instance *record)
{
    if (!record)
        return NULL;
    json_t *json = instance_dump(record);
    struct instance *copy = instance_parse(json, NULL, NULL);
    json_decref(json);
    return copy;
}

static struct file_op *op_new(struct file_backend *b, const struct backend_request *request)
{
    struct file_op *op = xcalloc(1, sizeof *op);
    op->backend = b;
    op->request = *request;
    op->request.record = copy_record(request->record);
    op->request.service = xstrdup(request->service);
    op->request.id = xstrdup(request->id);
    op->request.cursor = xstrdup(request->cursor);
    op->timer.data = op;
    uv_update_time(&b->io->loop);
    uv_timer_init(&b->io->loop, &op->timer);
    return op;
}

static void start_lookup(struct file_op *op)
{
    struct file_backend *b = op->backend;
    op->deadline_ms = uv_now(&b->io->loop) + op->request.timeout_ms;
    if (op->request.cursor) /* before the first look, so that no change is missed between */
        op->watch = file_watch_start(b->io, b->store.folder, folder_changed, op, NULL);
    uv_timer_start(&op->timer, op_look, 0, 0);
}

static void *file_start(void *self, const struct backend_request *request, backend_done_fn *done,
                        void *data)
{
    struct file_backend *b = self;
    struct file_op *op = op_new(b, request);
    op->done = done;
    op->data = data;
    if (request->verb == BACKEND_LOOKUP) {
        start_lookup(op);
    } else if (request->verb == BACKEND_SERVICES) {
        uv_timer_start(&op->timer, op_list, 0, 0);
    } else {
        op->deadline_ms = uv_now(&b->io->loop) + LOCK_WAIT_MS;
        uv_timer_start(&op->timer, op_write, 0, 0);
    }
    return op;
}

static void file_cancel(void *self, void *op)
{
    (void)self;
    op_stop(op);
}

static const char *const options[] = {"filePath", NULL};

const struct backend backend_file = {.name = "file",
                                     .can_watch = true,
                                     .options = options,
                                     .open = file_open,
                                     .start = file_start,
                                     .cancel = file_cancel,
                                     .close = file_close};
