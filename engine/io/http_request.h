/* http_request.h -- what a request is before it is sent: copied, checked, and told to libcurl. */
#pragma once
#include "io/http.h"
#include "io/libcurl.h"

struct dns_addresses;

/* A request that outlives its caller's. All zero: none. */
struct http_copy {
    struct http_request of; /* its pointers are owned */
    char *shown_url;        /* owned: the first URL as errors show it, without a password */
};

void http_copy_init(struct http_copy *copy, const struct http_request *request);
void http_copy_show(struct http_copy *copy, const char *shown_url); /* instead of its own URL */

/* Makes it the request that follows a redirect. On another origin it carries no credentials. */
void http_copy_redirect(struct http_copy *copy, int status, const char *location);

/* Whether this header announces a body beyond the request's bound, so that it need not be read. */
bool http_is_too_big(const struct http_request *request, const char *line, size_t len);

/* Where a request goes. All owned. */
struct http_target {
    char *url; /* as libcurl gets it: with the TLS server name for its host, if there is one */
    char *host, *port;
};

int http_target_parse(struct http_target *target, const struct http_request *request,
                      struct err *err);
void http_target_free(struct http_target *target);

/* "host:port:address,address", so that libcurl never resolves. The caller frees the list. */
struct curl_slist *http_target_addresses(const struct http_target *target,
                                         const struct dns_addresses *addresses);

/* All that is known of a request before it is sent, so that sending it again costs little. */
struct http_plan {
    struct http_copy request;                /* embedded */
    struct http_target target;               /* embedded */
    struct curl_slist *headers, *connect_to; /* owned; libcurl reads them */
    uint64_t id;                             /* no other plan has or had it; 0: not made */
    bool
        plain; /* to another plain plan only what http_plan_configure() always tells is different */
};

/* What a handle of libcurl's has been told last. All zero: nothing. */
struct http_told {
    uint64_t id; /* of the plan */
    bool plain;
};

/* Makes it of plan->request, which is filled. Close it whatever the result. */
int http_plan_make(struct http_plan *plan, struct err *err);
void http_plan_close(struct http_plan *plan);

/* Tells libcurl all of it, or if both were plain what may differ. The plan outlives the transfer.
 */
void http_plan_configure(const struct http_plan *plan, const struct http_told *told, CURL *easy);
