#include "io/check_tls.h"

#include <stdlib.h>

#include "core/err.h"
#include "core/mem.h"
#include "io/check.h"
#include "io/http.h"

int check_tls_read(const json_t *options, struct check_tls *tls, struct err *err)
{
    static const char *const keys[] = {"ca", "cert", "key", "serverName", "verify"};
    const json_t *given = json_object_get(options, "tls");
    const char *text[4] = {NULL};
    bool verify = true;
    if (!given)
        return 0;
    if (!json_is_object(given))
        return err_set(err, "invalid", "tls: expected a map");
    size_t known = 0;
    for (size_t i = 0; i < 5; i++)
        known += json_object_get(given, keys[i]) != NULL;
    if (known != json_object_size(given))
        return err_set(err, "invalid", "tls: its keys are ca, cert, key, serverName and verify");
    for (size_t i = 0; i < 4; i++)
        if (check_opt_string(given, keys[i], &text[i], err) < 0)
            return -1;
    if (check_opt_bool(given, "verify", &verify, err) < 0)
        return -1;
    *tls = (struct check_tls){.wanted = true,
                              .ca = xstrdup(text[0]),
                              .cert = xstrdup(text[1]),
                              .key = xstrdup(text[2]),
                              .server_name = xstrdup(text[3]),
                              .no_verify = !verify};
    return 0;
}

void check_tls_close(struct check_tls *tls)
{
    free(tls->ca);
    free(tls->cert);
    free(tls->key);
    free(tls->server_name);
    *tls = (struct check_tls){0};
}

void check_tls_apply(const struct check_tls *tls, struct http_request *request)
{
    request->ca = tls->ca;
    request->cert = tls->cert;
    request->key = tls->key;
    request->server_name = tls->server_name;
    request->no_verify = tls->no_verify;
}
