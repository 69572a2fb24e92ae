/* consul_lookup.c -- the instances of a service, and the names of all.
 *
 * Consul shows an empty list to whom may not read, so before an empty list is told, the token's
 * rights are asked for. */
#include <stdlib.h>
#include <string.h>

#include "consul.h"
#include "consul_record.h"
#include "core/buf.h"
#include "core/err.h"
#include "core/mem.h"
#include "core/texts.h"
#include "io/io.h"

#define MAX_ANSWER (64 * 1024 * 1024)
#define OPEN_ACCESS_MS 60000  /* so long a Consul that had no ACLs is taken to have none */
#define MAX_CONTACT_MS 300000 /* without its leader for longer, a server may know nothing */

struct lookup {
    struct consul_watch watch;
    struct consul_found found;
    char **names; /* owned: of services */
    size_t name_count;
    bool has_consul;
};

static void lookup_free(void *data)
{
    struct lookup *l = data;
    consul_found_free(&l->found);
    texts_free(l->names, l->name_count);
    free(l);
}

static struct lookup *lookup_new(struct consul_op *op)
{
    struct lookup *l = xcalloc(1, sizeof *l);
    op->more = l;
    op->free_more = lookup_free;
    return l;
}

/* ---- the answer ---- */

static void tell(struct consul_op *op)
{
    struct lookup *l = op->more;
    char *cursor = consul_watch_cursor(&l->watch, op->consul);
    consul_op_answer(op, &(struct backend_answer){.instances = l->found.instances,
                                                  .instance_count = l->found.count,
                                                  .cursor = cursor,
                                                  .names = l->names,
                                                  .name_count = l->name_count});
    free(cursor);
}

/* ---- is it empty, or may we not see? ---- */

static void deny(struct consul_op *op, const struct consul_reply *reply, const char *right,
                 const char *name)
{
    struct err err = {0};
    char *text = xasprintf("the answer is empty because %s may not read %s%s%s",
                           reply->token ? "the token" : "no token was sent and anybody", right,
                           *name ? " " : "", name);
    const char *remedy = reply->token
                             ? "; its policy needs service_prefix \"\" { policy = \"read\" } and "
                               "node_prefix \"\" { policy = \"read\" }, or the names that matter"
                             : ": set consulToken or consulTokenFile";
    consul_fail("denied", reply, text, remedy, &err);
    free(text);
    consul_op_fail(op, &err);
}

/* What may not be read on any node is still in the list of names. */
static void listed(void *data, const struct consul_reply *reply, const struct err *err)
{
    struct consul_op *op = data;
    if (consul_op_failed(op, reply, err))
        return;
    if (json_object_get(reply->json, op->request.service))
        deny(op, reply, "its nodes", "");
    else
        tell(op);
}

static void ask_whether_listed(struct consul_op *op)
{
    op->call = consul_ask(op->consul,
                          &(struct consul_question){.path = "/v1/catalog/services",
                                                    .expects = CONSUL_OBJECT,
                                                    .read = true,
                                                    .max_bytes = MAX_ANSWER},
                          listed, op);
}

static bool has_no_acls(const struct consul_reply *reply)
{
    return reply->status == 401 ||
           (reply->status != 403 && strcasestr(reply->body, "ACL support disabled"));
}

static void authorized(void *data, const struct consul_reply *reply, const struct err *err)
{
    struct consul_op *op = data;
    struct consul *c = op->consul;
    const char *name = op->request.service ? op->request.service : "";
    if (reply && (has_no_acls(reply) || reply->status == 404 || reply->status == 405)) {
        op->call = NULL;
        c->open_access_until_ms = uv_now(&c->io->loop) + OPEN_ACCESS_MS;
        tell(op);
    } else if (consul_op_failed(op, reply, err)) {
        return;
    } else if (!json_is_array(reply->json)) {
        tell(op);
    } else if (!consul_read_allowed(reply->json, 0)) {
        deny(op, reply, *name ? "the service" : "all services", name);
    } else if (*name && !consul_read_allowed(reply->json, 1)) {
        ask_whether_listed(op);
    } else {
        tell(op);
    }
}

/* The names of services are safe in JSON as they are. */
static void tell_if_allowed(struct consul_op *op)
{
    struct consul *c = op->consul;
    if (uv_now(&c->io->loop) < c->open_access_until_ms) {
        tell(op);
        return;
    }
    char *body = xasprintf("[{\"Resource\":\"service\",\"Segment\":\"%s\",\"Access\":\"read\"},"
                           "{\"Resource\":\"node\",\"Segment\":\"\",\"Access\":\"read\"}]",
                           op->request.service ? op->request.service : "");
    op->call = consul_ask(c,
                          &(struct consul_question){.method = "POST",
                                                    .path = "/v1/internal/acl/authorize",
                                                    .body = body,
                                                    .expects = CONSUL_ARRAY},
                          authorized, op);
    free(body);
}

/* ---- the instances of a service ---- */

/* A server that has just begun knows nothing yet. */
static void doubt(struct consul_op *op, const struct consul_reply *reply)
{
    struct err err = {0};
    consul_fail("io", reply,
                "the server's list is empty, and it has no leader to ask whether that "
                "is so",
                "; it can tell once a majority of the Consul servers runs", &err);
    consul_op_fail(op, &err);
}

static void ask_instances(uv_timer_t *timer);

static void again(struct consul_op *op)
{
    struct lookup *l = op->more;
    uint64_t pause = consul_watch_pause_ms(&l->watch), left = consul_op_left_ms(op);
    uv_timer_start(&op->timer, ask_instances, pause < left ? pause : left, 0);
}

static void instances_found(void *data, const struct consul_reply *reply, const struct err *err)
{
    struct consul_op *op = data;
    struct lookup *l = op->more;
    consul_turn_end(op);
    bool failed = err || reply->status != 200;
    if (failed && consul_watch_restart(&l->watch, op, err)) {
        op->call = NULL;
        again(op);
        return;
    }
    if (consul_op_failed(op, reply, err))
        return;
    if (reply->same) {
        consul_watch_is_same(&l->watch, op);
        again(op);
        return;
    }
    consul_found_free(&l->found);
    consul_read_instances(reply->json, op->request.service, &l->found);
    if (!consul_watch_is_over(&l->watch, op, reply->stale ? 0 : reply->index, l->found.hash))
        again(op);
    else if (l->found.count == 0 && reply->filtered)
        deny(op, reply, "the service", op->request.service);
    else if (l->found.count == 0 && (reply->stale || reply->contact_ms > MAX_CONTACT_MS))
        doubt(op, reply);
    else if (l->found.count == 0)
        tell_if_allowed(op);
    else
        tell(op);
}

static void ask_instances(uv_timer_t *timer)
{
    struct consul_op *op = timer->data;
    struct lookup *l = op->more;
    uint64_t wait_ms = 0;
    if (!consul_turn_take(op, consul_watch_waits(&l->watch, op), ask_instances))
        return;
    char *path = xasprintf("/v1/health/service/%s", op->request.service);
    char *query = consul_watch_query(&l->watch, op, &wait_ms);
    op->call = consul_ask(op->consul,
                          &(struct consul_question){.path = path,
                                                    .query = query,
                                                    .wait_ms = wait_ms,
                                                    .known_index = l->watch.asked,
                                                    .expects = CONSUL_ARRAY,
                                                    .read = true,
                                                    .last_known = !op->request.cursor,
                                                    .max_bytes = MAX_ANSWER},
                          instances_found, op);
    free(query);
    free(path);
}

void consul_start_lookup(struct consul_op *op)
{
    struct lookup *l = lookup_new(op);
    consul_watch_init(&l->watch, op);
    ask_instances(&op->timer);
}

/* ---- the names of all services ---- */

static void names_found(void *data, const struct consul_reply *reply, const struct err *err)
{
    struct consul_op *op = data;
    struct lookup *l = op->more;
    if (consul_op_failed(op, reply, err))
        return;
    l->names = consul_read_names(reply->json, &l->name_count, &l->has_consul);
    if (l->name_count == 0 && !l->has_consul)
        tell_if_allowed(op); /* Consul itself is in the list of whom may read all */
    else
        tell(op);
}

void consul_start_services(struct consul_op *op)
{
    lookup_new(op);
    op->call = consul_ask(op->consul,
                          &(struct consul_question){.path = "/v1/catalog/services",
                                                    .expects = CONSUL_OBJECT,
                                                    .read = true,
                                                    .last_known = true,
                                                    .max_bytes = MAX_ANSWER},
                          names_found, op);
}
