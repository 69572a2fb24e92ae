/* consul_answer.h -- what Consul says, read: headers, errors, lists of names, keys.
 *
 * Pure: no I/O. Whatever comes in is from outside, and is bounded and checked here. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct err;

/* One answer, as it came. Borrowed, all of it. */
struct consul_reply {
    const char *address; /* who answered, as errors show it */
    int status;
    const char *body;
    size_t body_len;
    const json_t *json;  /* the body read, where JSON was expected; else NULL */
    uint64_t index;      /* 0: the answer has none */
    uint64_t contact_ms; /* since the server heard from its leader */
    bool same;           /* its index is the one that was waited for: it was not read again */
    bool filtered;       /* it left out what the token may not read (Consul 1.11 says so) */
    const char *token;   /* the question's; NULL: it had none */
    bool stale;          /* asked of one server only, as the cluster has no leader */
};

/* Fills index, contact_ms and filtered. */
void consul_read_headers(struct consul_reply *reply, const char *headers);

/* The cluster has no leader now, or the server cannot reach it: another may, or later. */
bool consul_is_leaderless(const struct consul_reply *reply);

/* Whether a write that was answered so was surely not done. */
bool consul_is_undone(const struct consul_reply *reply);

/* Turns an answer that is no success into an error with a remedy. Returns -1. */
int consul_refusal(const struct consul_reply *reply, struct err *err);

/* The address with a text of Consul's, bounded and without control characters. Returns -1. */
int consul_fail(const char *code, const struct consul_reply *reply, const char *text,
                const char *remedy, struct err *err);

/* The names in a list of services, sorted, and whether Consul's own is among them. The caller frees
 * the list and each name. */
char **consul_read_names(const json_t *json, size_t *ret_count, bool *ret_has_consul);

/* A key of the KV store. `exists` is false for an empty list and for what is no entry. */
struct consul_key {
    bool exists;
    const char *session; /* borrowed from the JSON; NULL: nobody holds it */
    const char *value;   /* borrowed: base64; NULL: empty */
    size_t value_len;
    uint64_t revision;
};

void consul_read_key(const json_t *list, struct consul_key *ret_key);

/* The key in the result of a transaction. */
void consul_read_result(const json_t *json, struct consul_key *ret_key);

/* Why a transaction was not done; "" if it does not say. */
const char *consul_read_failure(const json_t *json);

/* The id of a new session; NULL if it is none. */
const char *consul_read_session(const json_t *json);

/* The datacenter of the agent that tells about itself; NULL if it does not say. */
const char *consul_read_datacenter(const json_t *json);

/* Whether the answer of the authorizer allows its question number `index`. */
bool consul_read_allowed(const json_t *json, size_t index);

/* ---- what is sent ---- */

/* Appends text for a path or a query: all but letters, digits and what `keep` has becomes %XX. */
void consul_escape(struct buf *out, const char *text, const char *keep);
