#include "consul_answer.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/instance.h"
#include "core/mem.h"
#include "core/remark.h"
#include "core/texts.h"

#define MAX_TEXT 300   /* of Consul's own words in an error */
#define SESSION_LEN 36 /* a UUID */

/* ---- headers ---- */

/* The value of a header, up to the end of its line; NULL if it is not there. */
static const char *header(const char *headers, const char *name)
{
    size_t len = strlen(name);
    for (const char *line = headers; line && *line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncasecmp(line, name, len) == 0 && line[len] == ':')
            return line + len + 1 + strspn(line + len + 1, " \t");
    }
    return NULL;
}

static uint64_t header_number(const char *headers, const char *name)
{
    const char *value = header(headers, name);
    return value && isdigit((unsigned char)*value) ? strtoull(value, NULL, 10) : 0;
}

void consul_read_headers(struct consul_reply *reply, const char *headers)
{
    const char *filtered = header(headers, "X-Consul-Results-Filtered-By-ACLs");
    reply->index = header_number(headers, "X-Consul-Index");
    reply->contact_ms = header_number(headers, "X-Consul-LastContact");
    reply->filtered = filtered && strncasecmp(filtered, "true", 4) == 0;
}

/* ---- errors: plain text ---- */

static bool says(const struct consul_reply *reply, const char *words)
{
    return reply->body && strcasestr(reply->body, words) != NULL;
}

bool consul_is_leaderless(const struct consul_reply *reply)
{
    if (reply->status < 500)
        return false;
    return reply->status != 500 || says(reply, "No cluster leader") || says(reply, "rpc error") ||
           says(reply, "leadership lost") || says(reply, "not the leader") ||
           says(reply, "No known Consul servers") || says(reply, "raft is already shutdown");
}

bool consul_is_undone(const struct consul_reply *reply)
{
    return says(reply, "No cluster leader") || says(reply, "rpc error getting client") ||
           says(reply, "No known Consul servers");
}

int consul_fail(const char *code, const struct consul_reply *reply, const char *text,
                const char *remedy, struct err *err)
{
    char *shown = remark(text, MAX_TEXT, reply->token);
    err_set(err, code, "%s: %s%s", reply->address, shown, remedy);
    free(shown);
    return -1;
}

static int deny(const struct consul_reply *reply, struct err *err)
{
    if (says(reply, "ACL not found"))
        return consul_fail(
            "denied", reply, "Consul does not know the token",
            reply->token ? ": it was revoked or is mistyped; give a valid one as consulToken or "
                           "in consulTokenFile"
                         : "",
            err);
    if (says(reply, "ACL support disabled"))
        return consul_fail("denied", reply, reply->body, "", err);
    return consul_fail("denied", reply, reply->body,
                       reply->token ? "; give the token a policy with that right"
                                    : "; no token was sent: set consulToken or consulTokenFile",
                       err);
}

int consul_refusal(const struct consul_reply *reply, struct err *err)
{
    if (reply->status == 401 || reply->status == 403)
        return deny(reply, err);
    if (consul_is_leaderless(reply))
        return consul_fail("io", reply, *reply->body ? reply->body : "it is not available",
                           ": the Consul cluster has no leader now; it can answer again once a "
                           "majority of its servers runs",
                           err);
    if (says(reply, "No path to datacenter"))
        return consul_fail("invalid", reply,
                           "Consul knows no such datacenter as consulDatacenter "
                           "names",
                           "; `consul catalog datacenters` lists those there are", err);
    bool alien = reply->status == 404 || reply->status < 400;
    const char *code = reply->status == 429 || reply->status >= 500 ? "io" : "invalid";
    if (alien)
        code = "bad_reply";
    char *text =
        xasprintf("Consul answered %d%s%s", reply->status, *reply->body ? ": " : "", reply->body);
    consul_fail(code, reply, text, alien ? "; is this the HTTP port of a Consul agent?" : "", err);
    free(text);
    return -1;
}

/* ---- answers: JSON ---- */

char **consul_read_names(const json_t *json, size_t *ret_count, bool *ret_has_consul)
{
    char **names = xcalloc(json_object_size(json) + 1, sizeof *names);
    size_t count = 0;
    const char *name;
    json_t *tags;
    *ret_has_consul = json_object_get(json, "consul") != NULL;
    json_object_foreach((json_t *)json, name, tags)
    {
        if (instance_is_name(name) && strcmp(name, "consul") != 0)
            names[count++] = xstrdup(name);
    }
    texts_sort(names, count);
    *ret_count = count;
    return names;
}

static bool is_session(const char *text)
{
    return text && strlen(text) == SESSION_LEN &&
           strspn(text, "0123456789abcdefABCDEF-") == SESSION_LEN;
}

static void read_entry(const json_t *entry, struct consul_key *key)
{
    const json_t *value = json_object_get(entry, "Value");
    const char *session = json_string_value(json_object_get(entry, "Session"));
    json_int_t revision = json_integer_value(json_object_get(entry, "ModifyIndex"));
    if (revision <= 0)
        return;
    key->exists = true;
    key->revision = (uint64_t)revision;
    key->session = is_session(session) ? session : NULL;
    key->value = json_string_value(value);
    key->value_len = json_string_length(value);
}

void consul_read_key(const json_t *list, struct consul_key *ret_key)
{
    *ret_key = (struct consul_key){0};
    read_entry(json_array_get(list, 0), ret_key);
}

void consul_read_result(const json_t *json, struct consul_key *ret_key)
{
    const json_t *first = json_array_get(json_object_get(json, "Results"), 0);
    *ret_key = (struct consul_key){0};
    read_entry(json_object_get(first, "KV"), ret_key);
}

const char *consul_read_failure(const json_t *json)
{
    const json_t *first = json_array_get(json_object_get(json, "Errors"), 0);
    const char *what = json_string_value(json_object_get(first, "What"));
    return what ? what : "";
}

const char *consul_read_session(const json_t *json)
{
    const char *id = json_string_value(json_object_get(json, "ID"));
    return is_session(id) ? id : NULL;
}

const char *consul_read_datacenter(const json_t *json)
{
    return json_string_value(json_object_get(json_object_get(json, "Config"), "Datacenter"));
}

bool consul_read_allowed(const json_t *json, size_t index)
{
    return json_is_true(json_object_get(json_array_get(json, index), "Allow"));
}

/* ---- what is sent ---- */

void consul_escape(struct buf *out, const char *text, const char *keep)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if ((isascii(c) && isalnum(c)) || strchr(keep, c))
            buf_append(out, text, 1);
        else
            buf_printf(out, "%%%02X", c);
    }
}
