#include "io/systemd.h"

#include <stddef.h>

#include "core/err.h"

#ifdef ORRERY_SYSTEMD

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/poll.h>
#include <uv.h>

#include "core/mem.h"
#include "io/io.h"
#include "io/libsystemd.h"

#define DEFAULT_ADDRESS "unix:path=/run/dbus/system_bus_socket"
#define DESTINATION "org.freedesktop.systemd1"
#define MESSAGES_A_TURN 64 /* then other handles of the loop have theirs */

struct systemd_query {
    struct systemd_query *next, **prev; /* in link->waiting, then in link->answered */
    struct systemd_link *link;          /* borrowed */
    sd_bus_slot *slot;                  /* owned */
    char *load, *active, *sub;          /* owned: the answer, or err */
    struct err err;
    systemd_unit_fn *done;
    void *data; /* borrowed */
};

/* The connection. Owned by the loop: freed when its two handles have closed. Nothing is called from
 * within libsystemd: answers are kept until it has returned, so `done` may ask and cancel. */
struct systemd_link {
    struct io *io; /* borrowed; io->systemd is this link until it is lost */
    struct io_closer closer;
    char *address; /* owned */
    sd_bus *bus;   /* owned */
    uv_poll_t poll;
    uv_timer_t timer; /* when libsystemd wants to be called, whatever comes */
    struct systemd_query *waiting, *answered;
    unsigned open; /* handles */
};

/* ---- queries ---- */

static void unlink_query(struct systemd_query *q)
{
    *q->prev = q->next;
    if (q->next)
        q->next->prev = q->prev;
}

static void link_query(struct systemd_query *q, struct systemd_query **list)
{
    q->next = *list;
    q->prev = list;
    if (q->next)
        q->next->prev = &q->next;
    *list = q;
}

static void free_query(struct systemd_query *q)
{
    libsystemd.bus_slot_unref(q->slot); /* no reply comes any more */
    free(q->load);
    free(q->active);
    free(q->sub);
    err_clear(&q->err);
    free(q);
}

void systemd_cancel(struct systemd_query *q)
{
    unlink_query(q);
    free_query(q);
}

static void answered(struct systemd_query *q)
{
    unlink_query(q);
    link_query(q, &q->link->answered);
}

static void tell_answers(struct systemd_link *link)
{
    while (link->answered) {
        struct systemd_query *q = link->answered;
        struct systemd_unit unit = {.load = q->load, .active = q->active, .sub = q->sub};
        unlink_query(q);
        q->done(q->data, q->err.code ? NULL : &unit, q->err.code ? &q->err : NULL);
        free_query(q);
    }
}

/* ---- the answer ---- */

static void explain(struct systemd_query *q, const sd_bus_error *e)
{
    const char *said = e->message ? e->message : e->name, *address = q->link->address;
    if (strcmp(e->name, SD_BUS_ERROR_NAME_HAS_NO_OWNER) == 0 ||
        strcmp(e->name, SD_BUS_ERROR_SERVICE_UNKNOWN) == 0)
        err_set(&q->err, "not_found",
                "systemd is not on the system bus at %s (%s); is it the init of this machine?",
                address, said);
    else if (strcmp(e->name, SD_BUS_ERROR_NO_REPLY) == 0 ||
             strcmp(e->name, SD_BUS_ERROR_DISCONNECTED) == 0)
        err_set(&q->err, "closed", "the system bus at %s was lost before systemd answered: %s",
                address, said);
    else
        err_set(&q->err, "bad_reply", "systemd refused to answer: %s", said);
}

static void read_unit(struct systemd_query *q, sd_bus_message *reply)
{
    const char *id, *description, *load, *active, *sub, *following, *path, *job_type, *job_path;
    unsigned job;
    int found = libsystemd.bus_message_enter_container(reply, SD_BUS_TYPE_ARRAY, "(ssssssouso)");
    if (found >= 0)
        found =
            libsystemd.bus_message_read(reply, "(ssssssouso)", &id, &description, &load, &active,
                                        &sub, &following, &path, &job, &job_type, &job_path);
    if (found < 0) {
        err_errno(&q->err, -found, "cannot read the answer of systemd");
    } else if (found == 0) {
        err_set(&q->err, "invalid", "systemd takes this for no name of a unit");
    } else {
        q->load = xstrdup(load);
        q->active = xstrdup(active);
        q->sub = xstrdup(sub);
    }
}

static int got_reply(sd_bus_message *reply, void *data, sd_bus_error *unused)
{
    struct systemd_query *q = data;
    const sd_bus_error *problem = libsystemd.bus_message_get_error(reply);
    (void)unused;
    if (problem)
        explain(q, problem);
    else
        read_unit(q, reply);
    answered(q);
    return 1;
}

/* ---- the connection ---- */

static void freed_handle(uv_handle_t *handle)
{
    struct systemd_link *link = handle->data;
    if (--link->open)
        return;
    free(link->address);
    free(link);
}

static void leave_io(struct systemd_link *link)
{
    if (link->io->systemd == link)
        link->io->systemd = NULL;
}

static void close_link(struct io_closer *closer)
{
    struct systemd_link *link =
        (struct systemd_link *)((char *)closer - offsetof(struct systemd_link, closer));
    leave_io(link);
    uv_close((uv_handle_t *)&link->poll, freed_handle);
    uv_close((uv_handle_t *)&link->timer, freed_handle);
    libsystemd.bus_close_unref(link->bus);
}

static void end_link(struct systemd_link *link)
{
    io_remove_closer(&link->closer);
    close_link(&link->closer);
}

/* Fails what still waits for it. */
static void lose_link(struct systemd_link *link)
{
    leave_io(link);
    while (link->waiting) {
        struct systemd_query *q = link->waiting;
        err_set(&q->err, "closed", "the system bus at %s was lost before systemd answered",
                link->address);
        answered(q);
    }
}

static uint64_t wanted_in_ms(struct systemd_link *link)
{
    uint64_t at_us, now_us = uv_hrtime() / 1000; /* both are CLOCK_MONOTONIC */
    if (libsystemd.bus_get_timeout(link->bus, &at_us) < 0 || at_us == UINT64_MAX)
        return UINT64_MAX;
    return at_us <= now_us ? 0 : (at_us - now_us + 999) / 1000;
}

static void bus_ready(uv_poll_t *poll, int status, int events);
static void bus_due(uv_timer_t *timer);

static void arm(struct systemd_link *link)
{
    int wanted = libsystemd.bus_get_events(link->bus);
    int events = UV_READABLE | (wanted > 0 && (wanted & POLLOUT) ? UV_WRITABLE : 0);
    uv_poll_start(&link->poll, events, bus_ready);
    uint64_t delay_ms = wanted_in_ms(link);
    uv_update_time(&link->io->loop);
    if (delay_ms == UINT64_MAX)
        uv_timer_stop(&link->timer);
    else
        uv_timer_start(&link->timer, bus_due, delay_ms, 0);
}

static bool is_lost(struct systemd_link *link)
{
    return link->io->systemd != link || libsystemd.bus_is_open(link->bus) <= 0;
}

/* Lets libsystemd read, write and dispatch, then tells what it brought. A lost connection is closed
 * before: who asks again when told gets a new one, perhaps with the descriptor of this one. */
static void take_turn(struct systemd_link *link)
{
    int more = 1;
    for (int i = 0; more > 0 && i < MESSAGES_A_TURN; i++)
        more = libsystemd.bus_process(link->bus, NULL);
    bool lost = more < 0 || is_lost(link);
    if (lost) {
        lose_link(link);
        end_link(link);
    }
    tell_answers(link); /* the link itself is freed later, by the loop */
    if (!lost && !is_lost(link))
        arm(link);
}

static void bus_ready(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    take_turn(poll->data);
}

static void bus_due(uv_timer_t *timer) { take_turn(timer->data); }

static int open_bus(struct systemd_link *link, struct err *err)
{
    int result = libsystemd.bus_new(&link->bus);
    if (result >= 0)
        result = libsystemd.bus_set_address(link->bus, link->address);
    if (result >= 0)
        result = libsystemd.bus_set_bus_client(link->bus, true);
    if (result >= 0)
        result = libsystemd.bus_start(link->bus);
    if (result >= 0)
        result = uv_poll_init(&link->io->loop, &link->poll, libsystemd.bus_get_fd(link->bus));
    if (result >= 0)
        return 0;
    libsystemd.bus_close_unref(link->bus);
    return err_set(err, "refused",
                   "there is no D-Bus system bus at %s to reach systemd by (%s); start systemd and "
                   "dbus, or say in $DBUS_SYSTEM_BUS_ADDRESS where the bus is",
                   link->address, strerror(-result));
}

static void adopt(struct systemd_link *link)
{
    uv_timer_init(&link->io->loop, &link->timer);
    link->poll.data = link->timer.data = link;
    uv_unref((uv_handle_t *)&link->poll);
    uv_unref((uv_handle_t *)&link->timer);
    link->open = 2;
    io_add_closer(link->io, &link->closer, close_link);
    link->io->systemd = link;
}

static int make_link(struct io *io, struct err *err)
{
    const char *given = getenv("DBUS_SYSTEM_BUS_ADDRESS");
    if (libsystemd_load(err) < 0)
        return -1;
    struct systemd_link *link = xcalloc(1, sizeof *link);
    link->io = io;
    link->address = xstrdup(given && *given ? given : DEFAULT_ADDRESS);
    if (open_bus(link, err) < 0) {
        free(link->address);
        free(link);
        return -1;
    }
    adopt(link);
    return 0;
}

/* One call for all we want to know, so that it is of one moment. Like LoadUnit, and unlike GetUnit,
 * it finds units that systemd has not loaded. */
static int send_question(struct systemd_query *q, const char *unit)
{
    sd_bus_message *call = NULL;
    int result = libsystemd.bus_message_new_method_call(
        q->link->bus, &call, DESTINATION, "/org/freedesktop/systemd1",
        "org.freedesktop.systemd1.Manager", "ListUnitsByNames");
    if (result >= 0)
        result = libsystemd.bus_message_set_auto_start(call, false);
    if (result >= 0)
        result = libsystemd.bus_message_append(call, "as", 1, unit);
    if (result >= 0)
        result = libsystemd.bus_call_async(q->link->bus, &q->slot, call, got_reply, q, UINT64_MAX);
    libsystemd.bus_message_unref(call);
    return result;
}

/* The others on a connection that proved dead are told from the loop. */
static void give_up(struct systemd_link *link)
{
    lose_link(link);
    uv_poll_stop(&link->poll);
    uv_timer_start(&link->timer, bus_due, 0, 0);
}

struct systemd_query *systemd_ask(struct io *io, const char *unit, systemd_unit_fn *done,
                                  void *data, struct err *err)
{
    struct systemd_query *q = xcalloc(1, sizeof *q);
    int result = -1;
    for (int tries = 0; result < 0 && tries < 2; tries++) { /* the kept one may just have died */
        if (!io->systemd && make_link(io, err) < 0)
            break;
        *q = (struct systemd_query){.link = io->systemd, .done = done, .data = data};
        result = send_question(q, unit);
        if (result < 0) {
            err_errno(err, -result, "cannot ask systemd on the system bus at %s", q->link->address);
            give_up(q->link);
        }
    }
    if (result < 0) {
        free(q);
        return NULL;
    }
    err_clear(err);
    link_query(q, &q->link->waiting);
    arm(q->link);
    return q;
}

#else

struct systemd_query *systemd_ask(struct io *io, const char *unit, systemd_unit_fn *done,
                                  void *data, struct err *err)
{
    (void)io;
    (void)unit;
    (void)done;
    (void)data;
    err_set(err, "not_found",
            "this orrery was built without systemd support (install libsystemd-dev, then build "
            "it again)");
    return NULL;
}

void systemd_cancel(struct systemd_query *query) { (void)query; }

#endif
