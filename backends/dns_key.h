/* dns_key.h -- the TSIG key of a key file: what signs the updates of a zone.
 *
 * Three forms are read: BIND's `key "name" { algorithm hmac-sha256; secret "..."; };`, Knot's
 * `key: [- id, algorithm, secret]` as keymgr prints it, and `hmac-sha256:name:secret` in one line.
 * The first key of a file counts. */
#pragma once
#include <stdbool.h>

struct err;

struct dns_key {
    char *name;      /* owned; a domain name without its last dot */
    char *algorithm; /* owned; "hmac-sha256" */
    char *secret;    /* owned; base64. Never printed */
    bool exposed;    /* others than the file's owner may read it */
};

int dns_key_read(const char *path, struct dns_key *ret_key, struct err *err);
void dns_key_clear(struct dns_key *key);
