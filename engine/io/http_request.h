/* http_request.h -- what a request is before it is sent: copied, checked, and told to libcurl. */
#pragma once
#include "io/http.h"
#include "io/libcurl.h"

struct dns_addresses;

/* A request that outlives its caller's. */
struct http_copy {
    struct http_request of; /* its pointers are owned */
    char *shown_url;        /* owned: the first URL as errors show it, without a password */
};

void http_copy_init(struct http_copy *copy, const struct http_request *request);
void http_copy_free(struct http_copy *copy);

/* Makes it the request that follows a redirect. On another origin it carries no credentials. */
void http_copy_redirect(struct http_copy *copy, int status, const char *location);

/* Refuses a method or header that would break the request apart. */
int http_request_check(const struct http_request *request, struct err *err);

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

/* Leads a URL that names the TLS server back to the real host. NULL if there is no such name. */
struct curl_slist *http_target_connect_to(const struct http_target *target,
                                          const struct http_request *request);

void http_request_configure(CURL *easy, const struct http_request *request);
struct curl_slist *http_request_headers(const struct http_request *request);
