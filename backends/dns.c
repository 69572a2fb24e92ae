/* dns.c -- the dns backend: records of RFC 6763 below a domain, read by any resolver and written by
 * updates (RFC 2136) that a key signs. Here is how it is opened and which request goes where. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <uv.h>

#include "backend.h"
#include "core/buf.h"
#include "core/err.h"
#include "core/mem.h"
#include "dns_backend.h"
#include "dns_read.h"
#include "dns_sketch.h"
#include "dns_write.h"
#include "io/dns.h"
#include "io/dns_client.h"
#include "io/dns_name.h"
#include "io/io.h"

#define DEFAULT_TTL_S 5
#define MAX_TTL_S 86400
#define MAX_DOMAIN 120 /* leaves room for the names below it */
#define MIN_WAIT_MS 1000
#define MAX_WAIT_MS 3600000

/* One request. Owned by the loop: freed when its timer has closed. */
struct dns_request {
    uv_timer_t timer; /* the deadline of a look, or the next look */
    struct dns_backend *backend;
    enum backend_verb verb;
    char *service, *cursor; /* owned */
    uint64_t end_ms;        /* lookup: until when it waits */
    struct dns_read *read;
    struct dns_services *services;
    struct dns_write *write;
    struct err err; /* why it cannot be done at all */
    backend_done_fn *done;
    void *data; /* borrowed */
};

uint64_t dns_jitter(uint64_t ms)
{
    uint16_t random = 0;
    if (getrandom(&random, sizeof random, GRND_NONBLOCK) < 0)
        random = 0;
    return ms + ms / 10 * random / UINT16_MAX;
}

/* ---- the life of a request ---- */

static void request_free(uv_handle_t *timer)
{
    struct dns_request *r = timer->data;
    err_clear(&r->err);
    free(r->service);
    free(r->cursor);
    free(r);
}

static void request_stop(struct dns_request *r)
{
    if (r->read)
        dns_read_cancel(r->read);
    if (r->services)
        dns_services_cancel(r->services);
    if (r->write)
        dns_write_cancel(r->write);
    uv_close((uv_handle_t *)&r->timer, request_free);
}

static void answer(struct dns_request *r, const struct backend_answer *answer)
{
    r->done(r->data, answer);
    request_stop(r);
}

static void fail(struct dns_request *r, const struct err *err)
{
    answer(r, &(struct backend_answer){.err = err});
}

static void refuse(uv_timer_t *timer)
{
    struct dns_request *r = timer->data;
    fail(r, &r->err);
}

static void look_is_late(uv_timer_t *timer)
{
    struct dns_request *r = timer->data;
    struct err err = {0};
    err_set(&err, "timeout", "%s: no answer within %d s", dns_client_servers(r->backend->reader),
            DNS_DEADLINE_MS / 1000);
    fail(r, &err);
    err_clear(&err);
}

/* ---- reading ---- */

static void look(uv_timer_t *timer);

static uint64_t left_ms(const struct dns_request *r)
{
    uint64_t now = uv_now(&r->backend->io->loop);
    return now < r->end_ms ? r->end_ms - now : 0;
}

/* Looks again when the answer has outlived its lifetime, an instance its lease, or at the end. */
static void rest(struct dns_request *r, const struct dns_found *found)
{
    uint64_t ms = (uint64_t)found->ttl_s * 1000;
    int64_t expires_s = found->next_expiry - (int64_t)time(NULL);
    ms = ms < MIN_WAIT_MS ? MIN_WAIT_MS : ms > MAX_WAIT_MS ? MAX_WAIT_MS : ms;
    ms = dns_jitter(ms);
    if (found->next_expiry && expires_s >= 0 && (uint64_t)expires_s * 1000 + 10 < ms)
        ms = (uint64_t)expires_s * 1000 + 10;
    if (left_ms(r) < ms)
        ms = left_ms(r);
    uv_timer_start(&r->timer, look, ms, 0);
}

static void looked(void *data, const struct dns_found *found, const struct err *err)
{
    struct dns_request *r = data;
    r->read = NULL;
    if (err)
        fail(r, err);
    else if (r->cursor && strcmp(r->cursor, found->cursor) == 0 && left_ms(r) > 0)
        rest(r, found);
    else
        answer(r, &(struct backend_answer){.instances = found->instances,
                                           .instance_count = found->count,
                                           .cursor = found->cursor});
}

static void look(uv_timer_t *timer)
{
    struct dns_request *r = timer->data;
    uv_timer_start(&r->timer, look_is_late, DNS_DEADLINE_MS, 0);
    r->read = dns_read_start(r->backend, r->backend->reader, r->service, looked, r);
}

static void listed(void *data, char *const *names, size_t count, const struct err *err)
{
    struct dns_request *r = data;
    r->services = NULL;
    if (err)
        fail(r, err);
    else
        answer(r, &(struct backend_answer){.names = names, .name_count = count});
}

static void list(uv_timer_t *timer)
{
    struct dns_request *r = timer->data;
    uv_timer_start(&r->timer, look_is_late, DNS_DEADLINE_MS, 0);
    r->services = dns_services_start(r->backend, listed, r);
}

/* ---- writing ---- */

static void written(void *data, const struct err *err)
{
    struct dns_request *r = data;
    r->write = NULL;
    if (!err && r->verb != BACKEND_DEREGISTER)
        dns_sweep_start(r->backend, r->service);
    answer(r, &(struct backend_answer){.err = err});
}

static int may_write(const struct dns_backend *b, struct err *err)
{
    if (!b->may_update)
        return err_set(err, "denied",
                       "%s: is only read: dnsUpdate is false, and so nothing can be registered",
                       dns_client_servers(b->reader));
    if (!b->writer)
        return err_set(err, "invalid",
                       "nothing can be registered: set dnsServer to the address of the server that "
                       "updates %s, and dnsKeyFile to its key",
                       b->domain);
    return 0;
}

static void write_record(struct dns_request *r, const struct backend_request *request)
{
    if (may_write(r->backend, &r->err) < 0) {
        uv_timer_start(&r->timer, refuse, 0, 0);
        return;
    }
    struct dns_write_request wanted = {.verb = request->verb,
                                       .record = request->record,
                                       .ttl_s = request->ttl_s,
                                       .service = request->service,
                                       .id = request->id};
    r->write = dns_write_start(r->backend, &wanted, written, r);
}

/* ---- the interface ---- */

static void *dns_start(void *self, const struct backend_request *request, backend_done_fn *done,
                       void *data)
{
    struct dns_backend *b = self;
    struct dns_request *r = xcalloc(1, sizeof *r);
    *r = (struct dns_request){.backend = b,
                              .verb = request->verb,
                              .service = xstrdup(request->service),
                              .cursor = xstrdup(request->cursor),
                              .done = done,
                              .data = data};
    r->timer.data = r;
    uv_update_time(&b->io->loop);
    uv_timer_init(&b->io->loop, &r->timer);
    r->end_ms = uv_now(&b->io->loop) + request->timeout_ms;
    if (request->verb == BACKEND_LOOKUP)
        uv_timer_start(&r->timer, look, 0, 0);
    else if (request->verb == BACKEND_SERVICES)
        uv_timer_start(&r->timer, list, 0, 0);
    else
        write_record(r, request);
    return r;
}

static void dns_cancel_request(void *self, void *op)
{
    (void)self;
    request_stop(op);
}

static void dns_close(void *self)
{
    struct dns_backend *b = self;
    dns_sweep_stop(b);
    if (b->reader)
        dns_client_free(b->reader);
    if (b->writer)
        dns_client_free(b->writer);
    dns_key_clear(&b->key);
    free(b->key_file);
    free(b->domain);
    free(b->zone);
    free(b);
}

/* ---- opening ---- */

static int read_domain(struct dns_backend *b, const json_t *options, struct err *err)
{
    const char *text = json_string_value(json_object_get(options, "dnsDomain"));
    struct buf wire = {0};
    if (!text || !*text)
        return err_set(err, "invalid",
                       "the dns backend needs dnsDomain, the domain of its records");
    b->domain = xstrdup(text);
    size_t len = strlen(b->domain);
    if (b->domain[len - 1] == '.')
        b->domain[len - 1] = '\0';
    for (char *c = b->domain; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    int result = dns_name_write(b->domain, &wire);
    buf_free(&wire);
    if (result < 0 || !*b->domain || len > MAX_DOMAIN || strchr(b->domain, '\\'))
        return err_set(err, "invalid",
                       "dnsDomain: must be a domain name of at most %d bytes, not \"%.130s\"",
                       MAX_DOMAIN, text);
    return 0;
}

/* host[:port] or [host]:port, which it takes apart. */
static bool is_server(char *text)
{
    union dns_address numeric;
    char *port = NULL, *end;
    if (*text == '[') {
        end = strchr(++text, ']');
        if (!end || (end[1] && end[1] != ':'))
            return false;
        port = end[1] ? end + 2 : NULL;
        *end = '\0';
    } else if ((end = strchr(text, ':')) && !strchr(end + 1, ':')) {
        port = end + 1;
        *end = '\0';
    }
    if (port) {
        long number = isdigit((unsigned char)*port) ? strtol(port, &end, 10) : 0;
        if (number < 1 || number > 65535 || *end)
            return false;
    }
    return dns_numeric(text, &numeric);
}

/* Appends the servers of one text. c-ares takes numbers only, and does not say what it skips. */
static int add_servers(struct buf *servers, const char *key, const char *text, struct err *err)
{
    const char *at = text;
    for (;;) {
        at += strspn(at, " \t");
        size_t len = strcspn(at, ", \t"), local = strncmp(at, "localhost", 9) == 0 ? 9 : 0;
        char *server =
            xasprintf("%s%.*s", local ? "127.0.0.1" : "", (int)(len - local), at + local);
        buf_printf(servers, servers->len ? ",%s" : "%s", server);
        bool ok = is_server(server);
        free(server);
        at += len;
        at += strspn(at, " \t");
        if (!ok || (*at && *at != ','))
            return err_set(err, "invalid",
                           "%s: must be the address of a name server, such as 192.0.2.1:53, not "
                           "\"%.80s\"",
                           key, text);
        if (!*at++)
            return 0;
    }
}

/* One or more addresses, as a list or with commas: NULL in *ret_servers if there are none. */
static int read_servers(const json_t *options, const char *key, char **ret_servers, struct err *err)
{
    const json_t *value = json_object_get(options, key), *item;
    struct buf servers = {0};
    size_t index;
    int result = 0;
    *ret_servers = NULL;
    if (!value || json_is_null(value))
        return 0;
    if (json_is_string(value))
        result = add_servers(&servers, key, json_string_value(value), err);
    else if (!json_is_array(value) || json_array_size(value) > 16)
        result = err_set(err, "invalid", "%s: must be an address, or a list of up to 16", key);
    json_array_foreach((json_t *)value, index, item)
    {
        const char *text = json_string_value(item);
        result = result < 0 ? -1 : add_servers(&servers, key, text ? text : "", err);
    }
    if (result == 0 && servers.len)
        *ret_servers = buf_take(&servers);
    buf_free(&servers);
    return result;
}

/* Updates go to dnsServer; by default to the first resolver, which is often the very server. */
static int open_clients(struct dns_backend *b, const json_t *options, struct err *err)
{
    char *resolvers = NULL, *server = NULL;
    int result = -1;
    if (read_servers(options, "dnsResolver", &resolvers, err) < 0 ||
        read_servers(options, "dnsServer", &server, err) < 0)
        goto out;
    if (!server && resolvers)
        server = xstrndup(resolvers, strcspn(resolvers, ","));
    b->reader = dns_client_new(b->io, resolvers, err);
    if (b->reader && server)
        b->writer = dns_client_new(b->io, server, err);
    result = b->reader && (b->writer || !server) ? 0 : -1;
out:
    free(resolvers);
    free(server);
    return result;
}

static int read_key(struct dns_backend *b, const json_t *options, struct err *err)
{
    const json_t *update = json_object_get(options, "dnsUpdate");
    const char *path = json_string_value(json_object_get(options, "dnsKeyFile"));
    b->may_update = !json_is_false(update);
    if (!b->may_update || !path || !*path)
        return 0;
    if (dns_key_read(path, &b->key, err) < 0)
        return -1;
    b->has_key = true;
    b->key_file = xstrdup(path);
    if (b->key.exposed)
        io_log(b->io, IO_LOG_WARNING,
               "%s: others than its owner may read this key, and so update the zone: chmod 600 it",
               path);
    return 0;
}

static int read_ttl(struct dns_backend *b, const json_t *options, struct err *err)
{
    const json_t *ttl = json_object_get(options, "dnsTtl");
    double seconds = json_number_value(ttl);
    b->ttl_s = DEFAULT_TTL_S;
    if (!ttl || json_is_null(ttl))
        return 0;
    if (!json_is_number(ttl) || !(seconds >= 1 && seconds <= MAX_TTL_S))
        return err_set(err, "invalid", "dnsTtl: must be from 1 to %d seconds", MAX_TTL_S);
    b->ttl_s = (uint32_t)seconds;
    return 0;
}

static void *dns_open(struct io *io, const json_t *options, struct err *err)
{
    struct dns_backend *b = xcalloc(1, sizeof *b);
    b->io = io;
    if (read_domain(b, options, err) == 0 && read_ttl(b, options, err) == 0 &&
        read_key(b, options, err) == 0 && open_clients(b, options, err) == 0)
        return b;
    dns_close(b);
    return NULL;
}

static const char *const options[] = {"dnsDomain",  "dnsResolver", "dnsServer", "dnsTtl",
                                      "dnsKeyFile", "dnsUpdate",   NULL};

const struct backend backend_dns = {.name = "dns",
                                    .can_watch = true,
                                    .options = options,
                                    .open = dns_open,
                                    .start = dns_start,
                                    .cancel = dns_cancel_request,
                                    .close = dns_close,
                                    .sketch = dns_sketch};
