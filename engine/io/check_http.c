/* check_http.c -- the check "http": a request that is answered as expected. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/mem.h"
#include "io/check.h"
#include "io/check_answer.h"
#include "io/check_tls.h"
#include "io/http.h"

struct http_check {
    char *method, *url, *body, *unix_path; /* owned; url is as it is requested */
    char *subject;                         /* owned: "GET <url>" without user, password and query */
    char **headers;                        /* owned */
    struct check_tls tls;                  /* embedded */
    bool follow_redirects, reuse;
    int64_t max_bytes;
    uint64_t timeout_ms;
    struct answer expected; /* embedded */
    struct http_plan *plan; /* owned */
};

/* One try, in the check's room. */
struct http_try {
    const struct http_check *spec; /* borrowed */
    struct check *check;           /* borrowed */
    struct http_op *op;            /* owned by the loop */
};

/* What went wrong, without the address that the subject has told already. */
static const char *reason_of(const struct http_check *s, const char *message)
{
    static const char refused[] = ": connection refused";
    size_t len = strlen(message), url_len = strlen(s->url);
    if (len > sizeof refused && strcmp(message + len - sizeof refused + 1, refused) == 0)
        return "connection refused";
    const char *shown = strchr(s->subject, ' ') + 1;
    size_t shown_len = strlen(shown);
    if (strncmp(message, s->url, url_len) == 0 && strncmp(message + url_len, ": ", 2) == 0)
        return message + url_len + 2;
    if (strncmp(message, shown, shown_len) == 0 && strncmp(message + shown_len, ": ", 2) == 0)
        return message + shown_len + 2;
    return message;
}

static void http_answered(void *data, const struct http_response *r, const struct err *err)
{
    struct http_try *t = data;
    const struct http_check *s = t->spec;
    struct check *c = t->check;
    struct err problem = {0};
    if (err)
        check_fail(c, "%s: %s", s->subject, reason_of(s, err->message));
    else if (answer_check(&s->expected, r->status, r->body, r->body_len, &problem) < 0)
        check_fail(c, "%s answered %s", s->subject, problem.message);
    else
        check_pass(c, "%s answered %d", s->subject, r->status);
    err_clear(&problem);
}

static void *http_try_start(struct io *io, const void *prepared, struct check *c)
{
    const struct http_check *s = prepared;
    struct http_try *t = check_room(c);
    *t = (struct http_try){.spec = s, .check = c};
    t->op = http_plan_start(io, s->plan, http_answered, t);
    return t;
}

static void http_try_cancel(void *op)
{
    struct http_try *t = op;
    http_cancel(t->op);
}

static const char *http_awaits(const void *op)
{
    const struct http_try *t = op;
    return http_resolves(t->op) ? CHECK_AWAITS_NAME : NULL;
}

/* ---- options ---- */

static void http_release(void *prepared)
{
    struct http_check *s = prepared;
    char *const texts[] = {s->method, s->url, s->body, s->unix_path, s->subject};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free(texts[i]);
    check_free_list(s->headers);
    check_tls_close(&s->tls);
    answer_close(&s->expected);
    http_plan_free(s->plan);
    free(s);
}

/* {scheme, host, port}, without an endpoint. */
static int read_base(const json_t *options, char **ret_base, struct err *err)
{
    const char *host = "127.0.0.1", *scheme = "http";
    int64_t port = 0;
    if (check_opt_string(options, "host", &host, err) < 0 ||
        check_opt_string(options, "scheme", &scheme, err) < 0 ||
        check_opt_int(options, "port", 1, 65535, &port, err) < 0)
        return -1;
    bool bare_v6 = strchr(host, ':') && host[0] != '[';
    struct buf base = {0};
    buf_printf(&base, bare_v6 ? "%s://[%s]" : "%s://%s", scheme, host);
    if (port)
        buf_printf(&base, ":%lld", (long long)port);
    *ret_base = buf_take(&base);
    return 0;
}

/* There is no default path: one that the service does not have would be worse than none. */
static int read_url(const json_t *options, struct http_check *s, struct err *err)
{
    const char *url = NULL, *endpoint = NULL;
    char *base = NULL;
    if (check_opt_string(options, "url", &url, err) < 0 ||
        check_opt_string(options, "endpoint", &endpoint, err) < 0)
        return -1;
    if (!url && !endpoint)
        return err_set(err, "invalid", "url: is missing (or endpoint, with host and port)");
    if (url)
        base = xstrdup(url);
    else if (read_base(options, &base, err) < 0)
        return -1;
    size_t len = strlen(base);
    if (endpoint && len && base[len - 1] == '/')
        base[len - 1] = '\0';
    const char *slash = endpoint && endpoint[0] != '/' ? "/" : "";
    s->url = xasprintf("%s%s%s", base, slash, endpoint ? endpoint : "");
    free(base);
    if (strncmp(s->url, "http://", 7) != 0 && strncmp(s->url, "https://", 8) != 0)
        return err_set(err, "invalid", "%s: must begin with http:// or https://",
                       url ? "url" : "scheme");
    return 0;
}

/* User, password and query may be secrets. */
static char *shown_url(const char *url)
{
    const char *host = strstr(url, "://") + 3;
    size_t scheme_len = (size_t)(host - url), authority_len = strcspn(host, "/?#");
    const char *at = memrchr(host, '@', authority_len);
    if (at)
        host = at + 1;
    return xasprintf("%.*s%.*s", (int)scheme_len, url, (int)strcspn(host, "?#"), host);
}

static int read_request(const json_t *options, struct http_check *s, struct err *err)
{
    const char *body = NULL, *unix_path = NULL, *method = NULL;
    if (check_opt_string(options, "method", &method, err) < 0 ||
        check_opt_string(options, "body", &body, err) < 0 ||
        check_opt_string(options, "unixSocket", &unix_path, err) < 0 ||
        check_opt_map(options, "headers", ": ", &s->headers, err) < 0 ||
        check_opt_bool(options, "followRedirects", &s->follow_redirects, err) < 0 ||
        check_opt_bool(options, "reuse", &s->reuse, err) < 0 ||
        check_opt_int(options, "maxBytes", 1, INT_MAX, &s->max_bytes, err) < 0)
        return -1;
    s->method = xstrdup(method ? method : body ? "POST" : "GET");
    s->body = xstrdup(body);
    s->unix_path = xstrdup(unix_path);
    return 0;
}

static struct http_plan *plan(const struct http_check *s)
{
    struct http_request request = {.method = s->method,
                                   .url = s->url,
                                   .headers = s->headers,
                                   .body = s->body,
                                   .body_len = s->body ? strlen(s->body) : 0,
                                   .timeout_ms = s->timeout_ms + 1000, /* ours comes first */
                                   .no_deadline = true,
                                   .max_bytes = (size_t)s->max_bytes,
                                   .unix_path = s->unix_path,
                                   .follow_redirects = s->follow_redirects,
                                   .reuse = s->reuse};
    check_tls_apply(&s->tls, &request);
    return http_plan_new(&request);
}

static void *http_prepare(const json_t *options, uint64_t timeout_ms, struct err *err)
{
    struct http_check *s = xcalloc(1, sizeof *s);
    s->timeout_ms = timeout_ms;
    s->max_bytes = HTTP_MAX_BYTES;
    if (read_url(options, s, err) < 0 || read_request(options, s, err) < 0 ||
        check_tls_read(options, &s->tls, err) < 0 || answer_read(options, &s->expected, err) < 0) {
        http_release(s);
        return NULL;
    }
    char *shown = shown_url(s->url);
    s->subject = xasprintf("%s %s", s->method, shown);
    free(shown);
    s->plan = plan(s);
    return s;
}

static const char *http_subject(const void *prepared)
{
    const struct http_check *s = prepared;
    return s->subject;
}

static const char *const http_keys[] = {
    "url",        "host",       "port",       "scheme",          "endpoint", "method",
    "headers",    "body",       "tls",        "followRedirects", "maxBytes", "reuse",
    "unixSocket", "expectBody", "expectJson", "expectedStatus",  NULL};

const struct check_kind check_http = {
    .name = "http",
    .cost = 1,
    .keys = http_keys,
    .prepare = http_prepare,
    .release = http_release,
    .subject = http_subject,
    .start = http_try_start,
    .cancel = http_try_cancel,
    .room = sizeof(struct http_try),
    .awaits = http_awaits,
};
