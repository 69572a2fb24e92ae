/* etcd_client.h -- calls of etcd's v3 gateway that survive the loss of a server, of the leader and
 * of the login.
 *
 * A call is tried at one endpoint after the other. What may have happened twice is harmless: leases
 * are named by us, and who writes under a condition can tell its own write from another's. While
 * there is trouble that passes (no leader, no answer in time) it is tried again, for a bounded
 * time. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct etcd_call;
struct http_request;
struct io;

struct etcd_endpoint {
    char *url;     /* owned: "http://127.0.0.1:2379" */
    char *address; /* owned: "127.0.0.1:2379", for messages */
};

struct etcd_client {
    struct io *io; /* borrowed */
    struct etcd_endpoint *endpoints;
    size_t endpoint_count, current;                /* current: where the next call goes first */
    char *user, *password, *password_file, *token; /* owned; may be NULL */
    bool no_auth;                                  /* a user is configured, but etcd wants none */
    char *ca, *cert, *key, *server_name;           /* owned; may be NULL */
    struct etcd_call *login;                       /* while it asks for a token */
    struct etcd_call *calls;                       /* all that are not done */
    struct etcd_call *queue, **queue_end;          /* of these, those that wait for a turn */
    int active;                                    /* and those that have had it */
    int64_t revision;                              /* the highest that etcd has told */
    uint64_t trouble_since_ms, trouble_last_ms;    /* 0: the last call went well */
};

int etcd_client_init(struct etcd_client *client, struct io *io, const json_t *options,
                     struct err *err);
void etcd_client_close(struct etcd_client *client); /* forgets the calls that nobody waits for */

struct etcd_request {
    const char *path;   /* "kv/range"; a literal */
    char *body;         /* the call takes it over */
    uint64_t budget_ms; /* 0: ETCD_BUDGET_MS; how long trouble that passes is borne */
    bool stale;         /* may be answered without a leader */
};

#define ETCD_BUDGET_MS 10000

struct etcd_reply {
    const json_t *json;    /* NULL exactly when `err` is set */
    const struct err *err; /* "<address>: <reason>"; not_found: no such lease; exists: lease taken;
                              timeout: no leader, or no answer */
    size_t endpoint;       /* who answered */
    bool again;            /* an earlier try may have done it already */
};

/* Called once, later and from the loop, unless the call is cancelled. Valid during the call only.
 */
typedef void etcd_reply_fn(void *data, const struct etcd_reply *reply);

/* `done` may be NULL: nobody waits, and the client may forget it when it closes. */
struct etcd_call *etcd_call_start(struct etcd_client *client, const struct etcd_request *request,
                                  etcd_reply_fn *done, void *data);
void etcd_call_cancel(struct etcd_call *call);

/* ---- for streams, which are opened after a call has shown that the endpoint is well ---- */

struct etcd_headers {
    char *authorization; /* owned */
    char *list[3];
};

/* Fills in what all requests have in common; free `headers` after the start. */
void etcd_client_prepare(const struct etcd_client *client, bool stale, struct http_request *request,
                         struct etcd_headers *headers);
void etcd_headers_free(struct etcd_headers *headers);

void etcd_client_forget_token(struct etcd_client *client);
void etcd_client_note_revision(struct etcd_client *client, int64_t revision);

/* Whether a failure's message says that the token is missing or no longer good. */
bool etcd_wants_login(int code, const char *message);

/* For logging in: the password, anew from its file if it has one. The caller frees it. */
char *etcd_client_password(const struct etcd_client *client, struct err *err);
