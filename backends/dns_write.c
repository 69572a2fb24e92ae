#include "dns_write.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <uv.h>

#include "core/err.h"
#include "core/instance.h"
#include "core/mem.h"
#include "dns_backend.h"
#include "dns_batch.h"
#include "dns_change.h"
#include "dns_names.h"
#include "dns_text.h"
#include "dns_update.h"
#include "io/dns_client.h"
#include "io/io.h"

#define MAX_LOOKS 5 /* others write to the same instance in between */
#define MAX_PROOFS 4
#define PAUSE_MS 150 /* before it looks again */

/* In this order, but for what is looked at again. */
enum step { STEP_ZONE, STEP_LOOK, STEP_CHANGE, STEP_PROVE, STEP_CLEAN };

/* Owned by the loop: freed when its timers have closed. */
struct dns_write {
    struct dns_backend *backend;      /* borrowed */
    struct dns_write_request request; /* its strings and record are owned */
    char *zone;                       /* owned; NULL: not known yet */
    struct dns_places places;
    struct dns_wanted wanted; /* register */
    struct buf text;          /* renew: what shall be there; deregister: what shall not */
    enum step step;
    int looks, proofs;
    struct dns_batch batch;
    struct dns_update update;
    struct dns_ask *ask; /* owned: the update under way */
    uv_timer_t deadline, pause;
    int open_timers;
    dns_written_fn *done;
    void *data; /* borrowed */
};

/* ---- its life ---- */

static void timer_closed(uv_handle_t *timer)
{
    struct dns_write *w = timer->data;
    if (--w->open_timers == 0)
        free(w);
}

void dns_write_cancel(struct dns_write *w)
{
    if (w->ask)
        dns_ask_cancel(w->ask);
    dns_batch_clear(&w->batch);
    dns_update_close(&w->update);
    dns_wanted_clear(&w->wanted);
    dns_places_clear(&w->places);
    buf_free(&w->text);
    instance_free((struct instance *)w->request.record);
    free((char *)w->request.service);
    free((char *)w->request.id);
    free(w->zone);
    uv_close((uv_handle_t *)&w->deadline, timer_closed);
    uv_close((uv_handle_t *)&w->pause, timer_closed);
}

static void finish(struct dns_write *w, const struct err *err)
{
    w->done(w->data, err);
    dns_write_cancel(w);
}

static void fail(struct dns_write *w, struct err *err)
{
    finish(w, err);
    err_clear(err);
}

static const char *server_of(const struct dns_write *w)
{
    return dns_client_servers(w->backend->writer);
}

static void deadline_passed(uv_timer_t *timer)
{
    struct dns_write *w = timer->data;
    struct err err = {0};
    err_set(&err, "timeout", "%s: no answer within %d s", server_of(w), DNS_DEADLINE_MS / 1000);
    fail(w, &err);
}

static void step_due(uv_timer_t *timer);

static void look_again(struct dns_write *w, enum step step)
{
    w->step = step;
    uv_timer_start(&w->pause, step_due, dns_jitter(PAUSE_MS), 0);
}

static struct dns_current current(const struct dns_write *w)
{
    return (struct dns_current){.srv = &w->batch.questions[0], .text = &w->batch.questions[1]};
}

static void ask_current(struct dns_write *w, dns_batch_fn *done)
{
    dns_batch_clear(&w->batch);
    dns_batch_init(&w->batch, w->backend->writer);
    dns_batch_add(&w->batch, xstrdup(w->places.instance), DNS_SRV);
    dns_batch_add(&w->batch, xstrdup(w->places.instance), DNS_TXT);
    if (w->request.verb == BACKEND_REGISTER && w->step == STEP_PROVE) {
        dns_batch_add(&w->batch, xstrdup(w->places.service), DNS_PTR);
        if (w->wanted.address_len)
            dns_batch_add(&w->batch, xstrdup(w->places.host),
                          w->wanted.address_len == 4 ? DNS_A : DNS_AAAA);
    }
    dns_batch_start(&w->batch, done, w);
}

/* ---- last: is it there? ---- */

static bool points_to(const struct dns_question *q, const char *target)
{
    const struct dns_record *r = NULL;
    while ((r = dns_question_next(q, r)))
        if (strcasecmp(r->target, target) == 0)
            return true;
    return false;
}

static bool is_text(const struct dns_record *text, const struct buf *bytes)
{
    return text && text->data_len == bytes->len && memcmp(text->data, bytes->data, bytes->len) == 0;
}

/* What another has registered in the meantime is not what was deregistered. */
static bool is_done(const struct dns_write *w)
{
    struct dns_current c = current(w);
    const struct dns_record *text = dns_question_next(c.text, NULL);
    if (w->request.verb == BACKEND_DEREGISTER)
        return text ? !is_text(text, &w->text) : !dns_question_next(c.srv, NULL);
    if (w->request.verb == BACKEND_RENEW)
        return is_text(text, &w->text);
    return dns_current_is_wanted(&c, &w->wanted) &&
           points_to(&w->batch.questions[2], w->places.instance) &&
           (!w->wanted.address_len || dns_question_next(&w->batch.questions[3], NULL));
}

static bool is_same_id(const struct dns_write *w, const struct dns_text *text)
{
    const char *id = json_string_value(json_object_get(text->record, "id"));
    return text->ours && id && strcmp(id, w->request.id) == 0;
}

static void unproved(struct dns_write *w)
{
    struct dns_current c = current(w);
    struct dns_text text;
    struct err err = {0};
    dns_text_read(&c.text->answer, &text);
    bool by_another = w->request.verb == BACKEND_REGISTER && is_same_id(w, &text) &&
                      !is_text(dns_question_next(c.text, NULL), &w->wanted.text);
    dns_text_clear(&text);
    if (by_another)
        err_set(&err, "exists",
                "%s: %s is registered by another at the same time: give one of them another id",
                server_of(w), w->places.instance);
    else
        err_set(&err, "bad_reply",
                "%s: says that it has updated zone %s, but %s is not what was asked for: set "
                "dnsServer to the zone's primary, and look for a CNAME at that name or at %s",
                server_of(w), w->zone, w->places.instance, w->places.service);
    fail(w, &err);
}

static void clean(struct dns_write *w);

static void proof_told(void *data, const struct err *told)
{
    struct dns_write *w = data;
    if (told)
        finish(w, told);
    else if (!is_done(w) && ++w->proofs < MAX_PROOFS)
        look_again(w, STEP_PROVE);
    else if (!is_done(w))
        unproved(w);
    else if (w->request.verb == BACKEND_DEREGISTER)
        clean(w);
    else
        finish(w, NULL);
}

/* ---- the update ---- */

static void update_told(void *data, struct dns_message *message, const struct err *told);

static void send_update(struct dns_write *w)
{
    struct dns_backend *b = w->backend;
    struct buf message = {0};
    struct err err = {0};
    if (dns_update_finish(&w->update, b->has_key ? &b->key : NULL, &message, &err) < 0)
        fail(w, &err);
    else
        w->ask = dns_ask_raw(b->writer, (unsigned char *)message.data, message.len, update_told, w);
    buf_free(&message);
}

static void new_update(struct dns_write *w)
{
    dns_update_close(&w->update);
    dns_update_init(&w->update, w->zone);
}

/* The service itself, if that was its last instance. If not, the server says so, and all is well:
 * the instance is gone in any case. */
static void clean(struct dns_write *w)
{
    w->step = STEP_CLEAN;
    new_update(w);
    dns_change_drop_service(&w->update, &w->places);
    send_update(w);
}

static void unmet(struct dns_write *w)
{
    struct err err = {0};
    if (++w->looks < MAX_LOOKS) {
        look_again(w, STEP_LOOK);
        return;
    }
    err_set(&err, "exists",
            "%s: %s is used by other records, or by others who write to it all the time: remove "
            "them, or register with another id",
            server_of(w), w->places.instance);
    fail(w, &err);
}

static void update_told(void *data, struct dns_message *message, const struct err *told)
{
    struct dns_write *w = data;
    struct dns_backend *b = w->backend;
    struct dns_update_context context = {.server = server_of(w),
                                         .zone = w->zone,
                                         .key_file = b->key_file,
                                         .key = b->has_key ? &b->key : NULL};
    struct err err = {0};
    enum dns_update_result result = DNS_FAILED;
    w->ask = NULL;
    if (message)
        result = dns_update_judge(&w->update, message, &context, &err);
    if (result == DNS_FAILED) {
        if (strcmp(told ? told->code : err.code, "denied") == 0) {
            free(b->zone); /* it may be another server's by now */
            b->zone = NULL;
        }
        finish(w, told ? told : &err);
        err_clear(&err);
    } else if (w->step == STEP_CLEAN) {
        finish(w, NULL);
    } else if (result == DNS_UNMET) {
        unmet(w);
    } else {
        w->step = STEP_PROVE;
        ask_current(w, proof_told);
    }
}

/* ---- what shall be changed ---- */

static int lost(const struct dns_write *w, struct err *err)
{
    return err_set(err, "not_found", "%s: %s has expired or was removed: register it again",
                   server_of(w), w->places.instance);
}

static int others(const struct dns_write *w, struct err *err)
{
    return err_set(err, w->request.verb == BACKEND_REGISTER ? "exists" : "denied",
                   "%s: %s was not registered by orrery: remove it, or register with another id",
                   server_of(w), w->places.instance);
}

/* Each: 1, the update is ready; 0, nothing is to be done; -1, `err` says why not. */

static int plan_register(struct dns_write *w, const struct dns_current *c,
                         const struct dns_text *text, struct err *err)
{
    bool is_used = text->found || dns_question_next(c->srv, NULL);
    if (is_used && !is_same_id(w, text))
        return others(w, err);
    dns_wanted_clear(&w->wanted);
    if (dns_wanted_init(&w->wanted, &w->places, w->backend, &w->request, c->text, err) < 0)
        return -1;
    dns_change_register(&w->update, &w->places, w->backend, c, &w->wanted, w->request.service);
    return 1;
}

static int plan_renew(struct dns_write *w, const struct dns_current *c, const struct dns_text *text,
                      struct err *err)
{
    int64_t now = (int64_t)time(NULL), expires = dns_expiry(text->lease.ttl_s);
    if (!is_same_id(w, text) || !dns_question_next(c->srv, NULL))
        return lost(w, err);
    if (!text->lease.ttl_s)
        return 0;
    if (text->lease.expires <= now)
        return lost(w, err);
    buf_free(&w->text);
    dns_change_renew(&w->update, &w->places, w->backend, c, expires, text->lease.ttl_s, &w->text);
    return 1;
}

static int plan_deregister(struct dns_write *w, const struct dns_current *c,
                           const struct dns_text *text, struct err *err)
{
    if (!text->found && !dns_question_next(c->srv, NULL))
        return 0;
    if (!is_same_id(w, text))
        return others(w, err);
    if (w->request.only_expired &&
        (!text->lease.expires || text->lease.expires > (int64_t)time(NULL)))
        return 0;
    const struct dns_record *seen = dns_question_next(c->text, NULL);
    buf_free(&w->text);
    buf_append(&w->text, seen->data, seen->data_len);
    dns_change_deregister(&w->update, &w->places, c);
    return 1;
}

static int plan(struct dns_write *w, struct err *err)
{
    struct dns_current c = current(w);
    struct dns_text text;
    int result;
    dns_text_read(&c.text->answer, &text);
    new_update(w);
    if (w->request.verb == BACKEND_REGISTER)
        result = plan_register(w, &c, &text, err);
    else if (w->request.verb == BACKEND_RENEW)
        result = plan_renew(w, &c, &text, err);
    else
        result = plan_deregister(w, &c, &text, err);
    dns_text_clear(&text);
    return result;
}

static void look_told(void *data, const struct err *told)
{
    struct dns_write *w = data;
    struct err err = {0};
    if (told) {
        finish(w, told);
        return;
    }
    int result = plan(w, &err);
    if (result < 0) {
        fail(w, &err);
    } else if (result == 0) {
        finish(w, NULL);
    } else {
        w->step = STEP_CHANGE;
        send_update(w);
    }
}

/* ---- first: the zone ---- */

static int find_zone(struct dns_write *w, struct err *err)
{
    struct dns_backend *b = w->backend;
    const struct dns_message *m = &w->batch.questions[0].answer;
    for (size_t i = 0; i < m->count; i++) {
        const struct dns_record *r = &m->list[i];
        if (r->type != DNS_SOA || !dns_is_within(r->owner, b->domain))
            continue;
        free(b->zone);
        b->zone = xstrdup(r->owner);
        w->zone = xstrdup(r->owner);
        return 0;
    }
    return err_set(err, "invalid",
                   "%s: has no zone that %s lies in: create the zone there, or set dnsServer to "
                   "the server that has it",
                   server_of(w), b->domain);
}

static void zone_told(void *data, const struct err *told)
{
    struct dns_write *w = data;
    struct err err = {0};
    if (told && strcmp(told->code, "denied") == 0) {
        find_zone(w, &err);
        fail(w, &err);
    } else if (told) {
        finish(w, told);
    } else if (find_zone(w, &err) < 0) {
        fail(w, &err);
    } else {
        w->step = STEP_LOOK;
        ask_current(w, look_told);
    }
}

static void ask_zone(struct dns_write *w)
{
    dns_batch_clear(&w->batch);
    dns_batch_init(&w->batch, w->backend->writer);
    dns_batch_add(&w->batch, xstrdup(w->backend->domain), DNS_SOA);
    dns_batch_start(&w->batch, zone_told, w);
}

static void step_due(uv_timer_t *timer)
{
    struct dns_write *w = timer->data;
    if (!w->zone)
        ask_zone(w);
    else if (w->step == STEP_PROVE)
        ask_current(w, proof_told);
    else
        ask_current(w, look_told);
}

/* ---- the interface ---- */

struct dns_write *dns_write_start(struct dns_backend *b, const struct dns_write_request *request,
                                  dns_written_fn *done, void *data)
{
    struct dns_write *w = xcalloc(1, sizeof *w);
    *w = (struct dns_write){.backend = b, .request = *request, .done = done, .data = data};
    w->request.record = instance_copy(request->record);
    w->request.service = xstrdup(request->service);
    w->request.id = xstrdup(request->id);
    dns_places_init(&w->places, b->domain, request->service, request->id);
    w->zone = xstrdup(b->zone);
    w->step = w->zone ? STEP_LOOK : STEP_ZONE;
    w->open_timers = 2;
    w->deadline.data = w->pause.data = w;
    uv_update_time(&b->io->loop);
    uv_timer_init(&b->io->loop, &w->deadline);
    uv_timer_init(&b->io->loop, &w->pause);
    uv_timer_start(&w->deadline, deadline_passed, DNS_DEADLINE_MS, 0);
    uv_timer_start(&w->pause, step_due, 0, 0);
    return w;
}
