#include "io/dns_client.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/mem.h"
#include "io/dns_channel.h"
#include "io/dns_name.h"
#include "io/io.h"

#define TRY_MS 1500
#define TRIES 3
#define MAX_FLYING 64 /* more at once would overflow a server's socket */
#define CLASS_IN 1

/* In the order of their lives; each is in one list of its client. */
enum ask_state { ASK_WAITING, ASK_FLYING, ASK_ANSWERED, ASK_STATES };

struct dns_ask {
    struct dns_client *client; /* borrowed */
    struct dns_ask *next, **prev;
    enum ask_state state;   /* written only by move() */
    unsigned char *message; /* owned */
    size_t len;
    unsigned char *answer; /* owned; NULL: `err` says why */
    size_t answer_len;
    struct err err;
    bool has_id;       /* else it gets one when it is sent */
    bool to_any;       /* what one server has against it is the answer */
    dns_told_fn *done; /* NULL: cancelled */
    void *data;        /* borrowed */
};

struct ask_list {
    struct dns_ask *first, **last;
};

/* Owned by the loop: freed when its timer has closed. */
struct dns_client {
    struct io *io;
    char *servers;              /* owned; NULL: the system's */
    struct dns_channel *choosy; /* owned: asks the next server when one cannot or will not */
    struct dns_channel *any;    /* owned: takes that for an answer */
    struct ask_list lists[ASK_STATES];
    int flying;
    uv_timer_t deliver; /* due at once when there are answers */
    bool pumping;
};

/* ---- lists ---- */

static void unlink_ask(struct dns_ask *a)
{
    *a->prev = a->next;
    if (a->next)
        a->next->prev = a->prev;
    else
        a->client->lists[a->state].last = a->prev;
    a->client->flying -= a->state == ASK_FLYING;
}

static void append_ask(struct dns_ask *a, enum ask_state state)
{
    struct ask_list *list = &a->client->lists[state];
    a->state = state;
    a->next = NULL;
    a->prev = list->last;
    *list->last = a;
    list->last = &a->next;
    a->client->flying += state == ASK_FLYING;
}

static void move(struct dns_ask *a, enum ask_state state)
{
    unlink_ask(a);
    append_ask(a, state);
}

static void ask_free(struct dns_ask *a)
{
    unlink_ask(a);
    err_clear(&a->err);
    free(a->message);
    free(a->answer);
    free(a);
}

/* ---- answers ---- */

const char *dns_client_servers(const struct dns_client *c)
{
    return c->servers ? c->servers : "the system's name servers";
}

static void set_failure(struct dns_ask *a, int status)
{
    const char *servers = dns_client_servers(a->client);
    if (status == ARES_ECONNREFUSED)
        err_set(&a->err, "refused", "%s: connection refused", servers);
    else if (status == ARES_ETIMEOUT)
        err_set(&a->err, "timeout", "%s: no answer", servers);
    else
        err_set(&a->err, "io", "%s: %s", servers, ares_strerror(status));
}

static void tell(struct dns_ask *a)
{
    struct dns_message message = {0};
    struct err err = {0};
    if (a->answer && dns_message_parse(a->answer, a->answer_len, &message, &err) < 0) {
        err_set(&a->err, err.code, "%s: %s", dns_client_servers(a->client), err.message);
        err_clear(&err);
    }
    a->done(a->data, a->err.code ? NULL : &message, a->err.code ? &a->err : NULL);
    dns_message_free(&message);
}

static void deliver(uv_timer_t *timer)
{
    struct dns_client *c = timer->data;
    struct dns_ask *a;
    while ((a = c->lists[ASK_ANSWERED].first)) {
        /* Out of the list first: `done` may cancel others. */
        struct dns_ask told = *a;
        a->answer = NULL;
        a->err = (struct err){0};
        ask_free(a);
        tell(&told);
        err_clear(&told.err);
        free(told.answer);
    }
}

static void answer_soon(struct dns_ask *a)
{
    move(a, ASK_ANSWERED);
    uv_timer_start(&a->client->deliver, deliver, 0, 0);
}

static void pump(struct dns_client *c);

static void answered(void *data, int status, int timeouts, unsigned char *bytes, int len)
{
    struct dns_ask *a = data;
    struct dns_client *c = a->client;
    (void)timeouts;
    if (!a->done || status == ARES_EDESTRUCTION) {
        ask_free(a);
    } else if (status == ARES_ECONNREFUSED && !a->to_any) {
        a->to_any = true; /* none is there, or all refuse: which, the other channel tells */
        move(a, ASK_WAITING);
    } else {
        if (status == ARES_SUCCESS) {
            a->answer_len = (size_t)len;
            a->answer = xmalloc(a->answer_len + 1);
            memcpy(a->answer, bytes, a->answer_len);
        } else {
            set_failure(a, status);
        }
        answer_soon(a);
    }
    if (status != ARES_EDESTRUCTION)
        pump(c);
}

/* ---- asking ---- */

static bool id_flies(const struct dns_client *c, const unsigned char id[2])
{
    for (const struct dns_ask *a = c->lists[ASK_FLYING].first; a; a = a->next)
        if (memcmp(a->message, id, 2) == 0)
            return true;
    return false;
}

static void put_id(struct dns_ask *a)
{
    unsigned char id[2];
    int tries = 0;
    do {
        if (getrandom(id, 2, 0) != 2)
            abort(); /* a question whose id can be guessed is not to be asked */
    } while (id_flies(a->client, id) && ++tries < 100);
    memcpy(a->message, id, sizeof id);
}

/* c-ares may answer from within ares_send(), and then pump() is already at work. */
static void pump(struct dns_client *c)
{
    if (c->pumping)
        return;
    c->pumping = true;
    while (c->flying < MAX_FLYING && c->lists[ASK_WAITING].first) {
        struct dns_ask *a = c->lists[ASK_WAITING].first;
        if (!a->has_id)
            put_id(a);
        move(a, ASK_FLYING);
        ares_send((a->to_any ? c->any : c->choosy)->ares, a->message, (int)a->len, answered, a);
    }
    c->pumping = false;
    dns_channel_started(c->choosy);
    dns_channel_started(c->any);
}

static bool is_single(const struct dns_client *c) { return c->servers && !strchr(c->servers, ','); }

/* Takes the bytes of *message. */
static struct dns_ask *ask_new(struct dns_client *c, struct buf *message, dns_told_fn *done,
                               void *data)
{
    struct dns_ask *a = xcalloc(1, sizeof *a);
    *a = (struct dns_ask){
        .client = c, .len = message->len, .to_any = is_single(c), .done = done, .data = data};
    a->message = (unsigned char *)buf_take(message);
    append_ask(a, ASK_WAITING);
    return a;
}

struct dns_ask *dns_ask_raw(struct dns_client *c, const unsigned char *message, size_t len,
                            dns_told_fn *done, void *data)
{
    struct buf copy = {0};
    buf_append(&copy, message, len);
    struct dns_ask *a = ask_new(c, &copy, done, data);
    a->has_id = true;
    pump(c);
    return a;
}

struct dns_ask *dns_ask(struct dns_client *c, const char *name, enum dns_type type,
                        dns_told_fn *done, void *data)
{
    const unsigned char head[12] = {0, 0, 1 /* recursion, please */, 0, 0, 1};
    const unsigned char tail[4] = {(unsigned char)(type >> 8), (unsigned char)type, 0, CLASS_IN};
    struct buf message = {0};
    buf_append(&message, head, sizeof head);
    int result = dns_name_write(name, &message);
    buf_append(&message, tail, sizeof tail);
    struct dns_ask *a = ask_new(c, &message, done, data);
    if (result == 0) {
        pump(c);
        return a;
    }
    err_set(&a->err, "invalid", "%s: is not a domain name", name);
    answer_soon(a);
    return a;
}

/* What flies is freed when c-ares gives it back. */
void dns_ask_cancel(struct dns_ask *a)
{
    if (a->state == ASK_FLYING)
        a->done = NULL;
    else
        ask_free(a);
}

/* ---- the client ---- */

static void client_freed(uv_handle_t *timer)
{
    struct dns_client *c = timer->data;
    free(c->servers);
    free(c);
}

struct dns_client *dns_client_new(struct io *io, const char *servers, struct err *err)
{
    struct dns_channel_options options = {.servers = servers, .try_ms = TRY_MS, .tries = TRIES};
    struct dns_channel *choosy = dns_channel_new(io, &options, err);
    if (!choosy)
        return NULL;
    options.flags = ARES_FLAG_NOCHECKRESP;
    struct dns_channel *any = dns_channel_new(io, &options, err);
    if (!any) {
        dns_channel_free(choosy);
        return NULL;
    }
    struct dns_client *c = xcalloc(1, sizeof *c);
    *c = (struct dns_client){.io = io, .servers = xstrdup(servers), .choosy = choosy, .any = any};
    for (int i = 0; i < ASK_STATES; i++)
        c->lists[i].last = &c->lists[i].first;
    c->deliver.data = c;
    uv_timer_init(&io->loop, &c->deliver);
    return c;
}

/* Cancelled questions may still fly: c-ares gives them back here. */
void dns_client_free(struct dns_client *c)
{
    dns_channel_free(c->choosy);
    dns_channel_free(c->any);
    uv_close((uv_handle_t *)&c->deliver, client_freed);
}
