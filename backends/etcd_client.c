#include "etcd_client.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "core/err.h"
#include "core/json_text.h"
#include "core/mem.h"
#include "etcd_wire.h"
#include "io/http.h"
#include "io/io.h"

#define MAX_ACTIVE 6 /* calls at a time: libcurl keeps eight connections */
#define FIRST_TRY_MS 1000
#define LONGEST_TRY_MS 4000
#define FIRST_READ_MS 2000 /* a range may be long */
#define PAUSE_MS 100       /* between two rounds, and longer with each */
#define LONGEST_PAUSE_MS 500
#define MAX_ANSWER (64u * 1024 * 1024)
#define TROUBLE_FORGOTTEN_MS 30000
#define MAX_LOGINS 3 /* for one call */

/* Owned by the loop: freed when its timer has closed. */
struct etcd_call {
    struct etcd_call *next, **prev; /* client->calls */
    struct etcd_call *next_queued;
    struct etcd_client *client; /* borrowed */
    const char *path;
    char *body; /* owned */
    uint64_t budget_ms, deadline_ms;
    bool stale, queued, running; /* running: counted in client->active */
    bool wants_token;            /* it waits for client->login */
    bool again;                  /* an earlier try may have reached a server */
    bool hopeful;                /* this round met trouble that passes */
    bool doomed;                 /* there was no token to get */
    unsigned rounds, logins;
    size_t endpoint, first; /* being tried; where this round began */
    struct http_op *http;   /* the try */
    uv_timer_t timer;       /* the pause between rounds */
    struct err err;         /* of the last try */
    etcd_reply_fn *done;
    void *data; /* borrowed */
};

static struct etcd_call *call_new(struct etcd_client *client, const struct etcd_request *request,
                                  etcd_reply_fn *done, void *data);
static void call_run(struct etcd_call *call);
static void call_try(struct etcd_call *call);
static void start_queued(struct etcd_client *client);

/* ---- life ---- */

static void call_free(uv_handle_t *timer)
{
    struct etcd_call *call = timer->data;
    free(call->body);
    err_clear(&call->err);
    free(call);
}

static void leave_queue(struct etcd_call *call)
{
    struct etcd_client *client = call->client;
    struct etcd_call **at = &client->queue;
    while (*at != call)
        at = &(*at)->next_queued;
    *at = call->next_queued;
    if (client->queue_end == &call->next_queued)
        client->queue_end = at;
    call->queued = false;
}

/* The one way out. */
static void call_stop(struct etcd_call *call)
{
    struct etcd_client *client = call->client;
    if (call->http)
        http_cancel(call->http);
    call->http = NULL;
    if (call->queued)
        leave_queue(call);
    if (call->running)
        client->active--;
    *call->prev = call->next;
    if (call->next)
        call->next->prev = call->prev;
    uv_close((uv_handle_t *)&call->timer, call_free);
}

void etcd_call_cancel(struct etcd_call *call)
{
    struct etcd_client *client = call->client;
    call_stop(call);
    start_queued(client);
}

static void call_finish(struct etcd_call *call, const json_t *json)
{
    struct etcd_client *client = call->client;
    struct etcd_reply reply = {.json = json,
                               .err = json ? NULL : &call->err,
                               .endpoint = call->endpoint,
                               .again = call->again};
    if (call->done)
        call->done(call->data, &reply);
    call_stop(call);
    start_queued(client);
}

/* ---- trouble ---- */

static uint64_t now_ms(const struct etcd_client *client) { return uv_now(&client->io->loop); }

static void note_trouble(struct etcd_client *client)
{
    uint64_t now = now_ms(client);
    if (!client->trouble_since_ms || now - client->trouble_last_ms > TROUBLE_FORGOTTEN_MS)
        client->trouble_since_ms = now;
    client->trouble_last_ms = now;
}

/* The budget counts from the begin of the trouble: while it lasts longer, a call is tried at every
 * endpoint once and fails. */
static uint64_t call_left_ms(const struct etcd_call *call)
{
    uint64_t now = now_ms(call->client), end = call->deadline_ms;
    uint64_t since = call->client->trouble_since_ms;
    if (since && since + call->budget_ms < end)
        end = since + call->budget_ms;
    return now < end ? end - now : 0;
}

static void pause_over(uv_timer_t *timer)
{
    struct etcd_call *call = timer->data;
    if (call->doomed)
        call_finish(call, NULL);
    else
        call_try(call);
}

/* Goes on at the next endpoint; after the last one it rests a little, or gives up. */
static void try_elsewhere(struct etcd_call *call)
{
    struct etcd_client *client = call->client;
    size_t next = (call->endpoint + 1) % client->endpoint_count;
    if (client->current == call->endpoint)
        client->current = next;
    if (next != call->first) {
        call->endpoint = next;
        call_try(call);
        return;
    }
    if (!call->hopeful || call_left_ms(call) == 0) {
        call_finish(call, NULL);
        return;
    }
    uint64_t pause = (uint64_t)PAUSE_MS << (call->rounds < 3 ? call->rounds : 3);
    call->rounds++;
    call->hopeful = false;
    call->first = call->endpoint = client->current;
    uv_timer_start(&call->timer, pause_over, pause < LONGEST_PAUSE_MS ? pause : LONGEST_PAUSE_MS,
                   0);
}

/* ---- logging in ---- */

static void logged_in(void *data, const struct etcd_reply *reply);

static void doom(struct etcd_call *call, const struct err *err)
{
    err_set(&call->err, err->code, "%s", err->message);
    call->doomed = true;
}

static void start_login(struct etcd_client *client, uint64_t budget_ms)
{
    struct err err = {0};
    char *password = etcd_client_password(client, &err);
    struct etcd_request request = {.path = "auth/authenticate", .budget_ms = budget_ms};
    request.body = password ? wire_authenticate(client->user, password) : xstrdup("");
    client->login = call_new(client, &request, logged_in, client);
    if (!password)
        doom(client->login, &err);
    call_run(client->login);
    free(password);
    err_clear(&err);
}

/* Whoever waits for the token has it now, or will never have it. */
static void pass_on(struct etcd_client *client, const struct err *err)
{
    for (struct etcd_call *call = client->calls; call; call = call->next) {
        if (!call->wants_token)
            continue;
        call->wants_token = false;
        if (err)
            doom(call, err);
        uv_timer_start(&call->timer, pause_over, 0, 0);
    }
}

static void logged_in(void *data, const struct etcd_reply *reply)
{
    struct etcd_client *client = data;
    client->login = NULL;
    const char *token = json_string_value(json_object_get(reply->json, "token"));
    bool none_wanted = reply->err && strstr(reply->err->message, "authentication is not enabled");
    struct err err = {0};
    if (token && *token && !strpbrk(token, "\r\n")) {
        free(client->token);
        client->token = xstrdup(token);
    } else if (none_wanted) {
        client->no_auth = true;
    } else if (!reply->err) {
        err_set(&err, "bad_reply", "%s: the answer to the login has no token",
                client->endpoints[reply->endpoint].address);
    }
    pass_on(client, err.code ? &err : none_wanted ? NULL : reply->err);
    err_clear(&err);
}

void etcd_client_forget_token(struct etcd_client *client)
{
    free(client->token);
    client->token = NULL;
    client->no_auth = false;
}

bool etcd_wants_login(int code, const char *message)
{
    return code == 16 || strstr(message, "invalid auth token") ||
           strstr(message, "user name is empty") ||
           strstr(message, "revision of auth store is old");
}

static bool login_again(struct etcd_call *call, const struct wire_failure *failure)
{
    struct etcd_client *client = call->client;
    if (!client->user || call == client->login || call->logins == MAX_LOGINS ||
        !etcd_wants_login(failure->code, failure->message))
        return false;
    call->logins++;
    if (!client->login)
        etcd_client_forget_token(client);
    call_try(call);
    return true;
}

/* ---- what went wrong ---- */

struct known_failure {
    const char *part; /* of the message */
    const char *code, *sentence;
    bool passes;
};

static const struct known_failure known_failures[] = {
    {"no leader", "timeout", "etcd has no leader: are more than half of its servers up?", true},
    {"leader changed", "timeout", "etcd is choosing a new leader", true},
    {"timed out", "timeout", "etcd did not agree in time: are more than half of its servers up?",
     true},
    {"deadline exceeded", "timeout",
     "etcd did not agree in time: are more than half of its servers up?", true},
    {"server stopped", "refused", "etcd is stopping", true},
    {"not capable", "timeout", "etcd is still starting", true},
    {"too many requests", "timeout", "etcd has too much to do", true},
    {"requested lease not found", "not_found", "there is no such lease", false},
    {"lease already exists", "exists", "the lease exists", false},
    {"permission denied", "denied", "this user of etcd may not do that (etcdUser)", false},
    {"user name is empty", "denied", "etcd wants a user: set etcdUser and etcdPassword", false},
    {"invalid user ID or password", "denied",
     "etcd does not know this user or password (etcdUser, etcdPassword)", false},
    {"authentication is not enabled", "invalid", "authentication is not enabled", false},
    {"invalid auth token", "denied", "etcd does not accept the token that it gave", false},
    {"database space exceeded", "io",
     "etcd's database is full: compact and defragment it, then disarm its alarm", false},
    {"too large", "invalid", "etcd refuses it as too large", false},
};

static const struct known_failure *find_failure(const char *message)
{
    for (size_t i = 0; i < sizeof known_failures / sizeof *known_failures; i++)
        if (strstr(message, known_failures[i].part))
            return &known_failures[i];
    return NULL;
}

static const char *address_of(const struct etcd_call *call)
{
    return call->client->endpoints[call->endpoint].address;
}

/* etcd answered with a failure: decided by its code and message, not by the HTTP status, which
 * differ between the versions. */
static void failed_by_etcd(struct etcd_call *call, const struct wire_failure *failure)
{
    const struct known_failure *known = find_failure(failure->message);
    if (login_again(call, failure))
        return;
    char *line = wire_line(failure->message, call->client->token);
    if (known)
        err_set(&call->err, known->code, "%s: %s", address_of(call), known->sentence);
    else if (call == call->client->login) /* it may repeat the password */
        err_set(&call->err, "bad_reply", "%s: etcd refuses the login", address_of(call));
    else
        err_set(&call->err, "bad_reply", "%s: etcd refuses it: %s", address_of(call), line);
    free(line);
    bool passes = known ? known->passes : failure->code == 14;
    if (!passes) {
        call_finish(call, NULL);
        return;
    }
    note_trouble(call->client);
    call->hopeful = call->again = true;
    try_elsewhere(call);
}

/* "http://host:port/v3/kv/range: connection refused" is to begin with the address only. */
static const char *reason_of(const struct etcd_call *call, const char *message)
{
    const char *url = call->client->endpoints[call->endpoint].url;
    size_t len = strlen(url);
    const char *reason = strncmp(message, url, len) == 0 ? strstr(message + len, ": ") : NULL;
    return reason ? reason + 2 : message;
}

/* A server that hangs may be one that has lost the others. */
static void failed_to_reach(struct etcd_call *call, const struct err *err)
{
    bool timed_out = strcmp(err->code, "timeout") == 0;
    if (!call->hopeful || timed_out) /* that there is no leader says more than who is down */
        err_set(&call->err, err->code, "%s: %s", address_of(call),
                timed_out ? "no answer in time" : reason_of(call, err->message));
    call->again = call->again || strcmp(err->code, "refused") != 0;
    if (strcmp(err->code, "invalid") == 0) { /* no other endpoint will like the certificate */
        call_finish(call, NULL);
        return;
    }
    if (timed_out) {
        note_trouble(call->client);
        call->hopeful = true;
    }
    try_elsewhere(call);
}

static void failed_to_read(struct etcd_call *call, int status)
{
    if (status == 404)
        err_set(&call->err, "bad_reply",
                "%s: there is no v3 gateway of etcd: etcd 3.4 or later is needed",
                address_of(call));
    else
        err_set(&call->err, "bad_reply", "%s: the answer (status %d) is not etcd's",
                address_of(call), status);
    call->again = true;
    try_elsewhere(call);
}

/* ---- one try ---- */

static void read_response(struct etcd_call *call, const struct http_response *response)
{
    struct wire_failure failure;
    json_t *json = json_text_read(response->body, response->body_len, 0);
    if (json && wire_read_failure(json, &failure) && strcmp(failure.message, "Not Found") != 0) {
        failed_by_etcd(call, &failure);
    } else if (!json_is_object(json) || response->status != 200) {
        failed_to_read(call, response->status);
    } else {
        if (!call->stale) /* such an answer says nothing about the leader */
            call->client->trouble_since_ms = 0;
        call_finish(call, json);
    }
    json_decref(json);
}

static void answered(void *data, const struct http_response *response, const struct err *err)
{
    struct etcd_call *call = data;
    call->http = NULL;
    if (response)
        read_response(call, response);
    else
        failed_to_reach(call, err);
}

static uint64_t try_timeout_ms(const struct etcd_call *call)
{
    uint64_t first = strcmp(call->path, "kv/range") == 0 ? FIRST_READ_MS : FIRST_TRY_MS;
    uint64_t ms = first << (call->rounds < 2 ? call->rounds : 2), left = call_left_ms(call);
    if (ms > LONGEST_TRY_MS)
        ms = LONGEST_TRY_MS;
    if (ms > left)
        ms = left;
    return ms < FIRST_TRY_MS ? FIRST_TRY_MS : ms;
}

void etcd_client_prepare(const struct etcd_client *client, bool stale, struct http_request *request,
                         struct etcd_headers *headers)
{
    size_t count = 0;
    *headers = (struct etcd_headers){0};
    if (client->token)
        headers->list[count++] = headers->authorization =
            xasprintf("Authorization: %s", client->token);
    if (!stale) /* a server that has lost its leader then says so at once, instead of hanging */
        headers->list[count++] = (char *)"Grpc-Metadata-Hasleader: true";
    request->headers = headers->list;
    request->ca = client->ca;
    request->cert = client->cert;
    request->key = client->key;
    request->server_name = client->server_name;
}

void etcd_headers_free(struct etcd_headers *headers) { free(headers->authorization); }

static void call_send(struct etcd_call *call)
{
    struct etcd_client *client = call->client;
    struct etcd_headers headers;
    char *url = xasprintf("%s/v3/%s", client->endpoints[call->endpoint].url, call->path);
    struct http_request request = {.url = url,
                                   .body = call->body,
                                   .body_len = strlen(call->body),
                                   .timeout_ms = try_timeout_ms(call),
                                   .max_bytes = MAX_ANSWER,
                                   .reuse = true};
    etcd_client_prepare(client, call->stale, &request, &headers);
    call->http = http_start(client->io, &request, answered, call);
    etcd_headers_free(&headers);
    free(url);
}

static void call_try(struct etcd_call *call)
{
    struct etcd_client *client = call->client;
    if (!client->user || client->token || client->no_auth || call == client->login) {
        call_send(call);
        return;
    }
    call->wants_token = true;
    if (!client->login)
        start_login(client, call->budget_ms);
}

/* ---- starting ---- */

static struct etcd_call *call_new(struct etcd_client *client, const struct etcd_request *request,
                                  etcd_reply_fn *done, void *data)
{
    struct etcd_call *call = xcalloc(1, sizeof *call);
    call->client = client;
    call->path = request->path;
    call->body = request->body;
    call->budget_ms = request->budget_ms ? request->budget_ms : ETCD_BUDGET_MS;
    call->stale = request->stale;
    call->done = done;
    call->data = data;
    call->timer.data = call;
    uv_update_time(&client->io->loop);
    uv_timer_init(&client->io->loop, &call->timer);
    call->prev = &client->calls;
    call->next = client->calls;
    if (call->next)
        call->next->prev = &call->next;
    client->calls = call;
    return call;
}

static void call_run(struct etcd_call *call)
{
    call->deadline_ms = now_ms(call->client) + call->budget_ms;
    call->first = call->endpoint = call->client->current;
    if (call->doomed)
        uv_timer_start(&call->timer, pause_over, 0, 0);
    else
        call_try(call);
}

static void start_queued(struct etcd_client *client)
{
    while (client->queue && client->active < MAX_ACTIVE) {
        struct etcd_call *call = client->queue;
        leave_queue(call);
        call->running = true;
        client->active++;
        call_run(call);
    }
}

struct etcd_call *etcd_call_start(struct etcd_client *client, const struct etcd_request *request,
                                  etcd_reply_fn *done, void *data)
{
    struct etcd_call *call = call_new(client, request, done, data);
    call->queued = true;
    *client->queue_end = call;
    client->queue_end = &call->next_queued;
    start_queued(client);
    return call;
}

void etcd_client_close(struct etcd_client *client)
{
    while (client->calls)
        call_stop(client->calls);
    for (size_t i = 0; i < client->endpoint_count; i++) {
        free(client->endpoints[i].url);
        free(client->endpoints[i].address);
    }
    free(client->endpoints);
    free(client->user);
    free(client->password);
    free(client->password_file);
    free(client->token);
    free(client->ca);
    free(client->cert);
    free(client->key);
    free(client->server_name);
}

void etcd_client_note_revision(struct etcd_client *client, int64_t revision)
{
    if (revision > client->revision)
        client->revision = revision;
}
