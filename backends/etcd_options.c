/* etcd_options.c -- the client's part of the keys of `discovery`: which servers, as whom, by TLS.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/mem.h"
#include "etcd_client.h"
#include "io/file.h"

#define MAX_ENDPOINTS 64
#define MAX_PASSWORD 4096
#define DEFAULT_PORT ":2379"

static const char *text_option(const json_t *options, const char *key)
{
    const char *text = json_string_value(json_object_get(options, key));
    return text && *text ? text : NULL;
}

/* A port follows the last colon, unless that is within an IPv6 address. */
static bool has_port(const char *address)
{
    const char *colon = strrchr(address, ':');
    return colon && !strchr(colon, ']') && (address[0] == '[' || strchr(address, ':') == colon);
}

static int add_endpoint(struct etcd_client *client, const char *text, size_t len, bool tls,
                        struct err *err)
{
    char *given = xstrndup(text, len);
    const char *scheme_end = strstr(given, "://");
    const char *address = scheme_end ? scheme_end + 3 : given;
    size_t host = strcspn(address, "/");
    bool bad =
        host == 0 || strpbrk(address, " \t@?#\r\n") || address[host + (address[host] == '/')];
    if (bad || client->endpoint_count == MAX_ENDPOINTS) {
        err_set(err, "invalid",
                bad ? "etcdEndpoints: \"%.100s\" is no server: write host:port"
                    : "etcdEndpoints: \"%.100s\" is one server too many",
                strchr(given, '@') ? "***" : given);
        free(given);
        return -1;
    }
    struct etcd_endpoint *e = &client->endpoints[client->endpoint_count++];
    char *bare = xstrndup(address, host);
    e->address = xasprintf("%s%s", bare, has_port(bare) ? "" : DEFAULT_PORT);
    bool plain = scheme_end ? strncmp(given, "https:", 6) != 0 : !tls;
    e->url = xasprintf("%s://%s", plain ? "http" : "https", e->address);
    free(bare);
    free(given);
    return 0;
}

/* "a:1, b:2" */
static int add_endpoints(struct etcd_client *client, const char *text, bool tls, struct err *err)
{
    while (*text) {
        size_t skip = strspn(text, " ,\t\n"), len = strcspn(text + skip, " ,\t\n");
        if (len && add_endpoint(client, text + skip, len, tls, err) < 0)
            return -1;
        text += skip + len;
    }
    return 0;
}

static int read_endpoints(struct etcd_client *client, const json_t *options, struct err *err)
{
    const json_t *given = json_object_get(options, "etcdEndpoints");
    bool tls = json_is_true(json_object_get(options, "etcdEnableTLS"));
    size_t count = json_array_size(given), index;
    const json_t *item;
    client->endpoints = xcalloc(MAX_ENDPOINTS, sizeof *client->endpoints);
    if (!json_is_array(given))
        count = 1;
    for (index = 0; index < count; index++) {
        item = json_is_array(given) ? json_array_get(given, index) : given;
        if (item && !json_is_null(item) && !json_is_string(item))
            return err_set(err, "invalid", "etcdEndpoints: expected a list of host:port");
        if (json_is_string(item) && add_endpoints(client, json_string_value(item), tls, err) < 0)
            return -1;
    }
    if (client->endpoint_count == 0)
        return err_set(err, "invalid",
                       "the etcd backend needs etcdEndpoints, such as \"127.0.0.1:2379\"");
    return 0;
}

int etcd_client_init(struct etcd_client *client, struct io *io, const json_t *options,
                     struct err *err)
{
    *client = (struct etcd_client){
        .io = io,
        .user = xstrdup(text_option(options, "etcdUser")),
        .password = xstrdup(text_option(options, "etcdPassword")),
        .password_file = xstrdup(text_option(options, "etcdPasswordFile")),
        .ca = xstrdup(text_option(options, "etcdCaFile")),
        .cert = xstrdup(text_option(options, "etcdCertFile")),
        .key = xstrdup(text_option(options, "etcdKeyFile")),
        .server_name = xstrdup(text_option(options, "etcdServerName")),
    };
    client->queue_end = &client->queue;
    int result = read_endpoints(client, options, err);
    bool secret = client->password || client->password_file;
    if (result == 0 && !client->user != !secret)
        result = err_set(err, "invalid",
                         client->user ? "etcdUser needs etcdPassword or etcdPasswordFile"
                                      : "etcdPassword and etcdPasswordFile need etcdUser");
    if (result < 0)
        etcd_client_close(client);
    return result;
}

char *etcd_client_password(const struct etcd_client *client, struct err *err)
{
    struct buf text = {0};
    if (!client->password_file)
        return xstrdup(client->password);
    if (file_read(client->password_file, MAX_PASSWORD, &text, err) < 0) {
        buf_free(&text);
        return NULL;
    }
    char *password = buf_take(&text);
    password[strcspn(password, "\r\n")] = '\0';
    return password;
}
