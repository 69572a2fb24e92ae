/* check_tls.h -- the option `tls` of a check: {ca, cert, key, serverName, verify}. */
#pragma once
#include <jansson.h>
#include <stdbool.h>

struct err;
struct http_request;

struct check_tls {
    bool wanted;                         /* the option is there */
    char *ca, *cert, *key, *server_name; /* owned */
    bool no_verify;
};

/* Close it whatever the result. */
int check_tls_read(const json_t *options, struct check_tls *tls, struct err *err);
void check_tls_close(struct check_tls *tls);

/* `tls` is borrowed for as long as the request. */
void check_tls_apply(const struct check_tls *tls, struct http_request *request);
