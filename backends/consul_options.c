/* consul_options.c -- what the consul backend is told: addresses, token, TLS. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "consul.h"
#include "core/buf.h"
#include "core/err.h"
#include "core/mem.h"
#include "io/file.h"

#define DEFAULT_ADDRESS "127.0.0.1"
#define MAX_ADDRESSES 16
#define MAX_TOKEN 4096

const char *const consul_options[] = {"consulAddress",   "consulDatacenter", "consulToken",
                                      "consulTokenFile", "consulEnableTLS",  "consulCaFile",
                                      "consulCertFile",  "consulKeyFile",    "consulServerName",
                                      "consulStale",     "consulConsistent", NULL};

/* ---- addresses ---- */

static bool is_port(const char *text)
{
    size_t len = strspn(text, "0123456789");
    return len > 0 && len <= 5 && (text[len] == '\0' || text[len] == '/') && atoi(text) > 0 &&
           atoi(text) <= 65535;
}

/* Where the port of "host:port" begins, or NULL: an IPv6 host is in brackets. */
static const char *port_of(const char *host)
{
    const char *end = *host == '[' ? strchr(host, ']') : host;
    return end ? strchr(end, ':') : NULL;
}

static bool is_host(const char *host)
{
    size_t len = strcspn(host, "/");
    for (size_t i = 0; i < len; i++)
        if (!isascii((unsigned char)host[i]) ||
            !(isalnum((unsigned char)host[i]) || strchr(".-_:[]%", host[i])))
            return false;
    const char *port = port_of(host);
    if (strpbrk(host + len, "?# \t\r\n")) /* a path may be there, and what is asked follows it */
        return false;
    return len > 0 && *host != ':' && (!port || is_port(port + 1)) &&
           (*host != '[' || strchr(host, ']')) && (*host == '[' || !port || !strchr(port + 1, ':'));
}

static int add_address(struct consul *c, const char *text, bool tls, struct err *err)
{
    const char *host = text;
    if (strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0) {
        tls = text[4] == 's';
        host = strchr(text, '/') + 2;
    }
    if (!is_host(host))
        return err_set(err, "invalid",
                       "consulAddress: \"%.100s\" must be host:port, or such a URL with http:// or "
                       "https://",
                       strchr(text, '@') ? "***" : text);
    if (c->address_count == MAX_ADDRESSES)
        return err_set(err, "invalid", "consulAddress: at most %d addresses", MAX_ADDRESSES);
    size_t len = strlen(host);
    while (len && host[len - 1] == '/')
        len--;
    const char *port = port_of(host) ? "" : tls ? ":8501" : ":8500";
    size_t name = strcspn(host, "/") < len ? strcspn(host, "/") : len;
    c->addresses = xreallocarray(c->addresses, c->address_count + 1, sizeof *c->addresses);
    struct consul_address *a = &c->addresses[c->address_count++];
    *a = (struct consul_address){0};
    a->shown = xasprintf("%.*s%s", (int)name, host, port);
    a->url =
        xasprintf("%s://%s%.*s", tls ? "https" : "http", a->shown, (int)(len - name), host + name);
    return 0;
}

/* A text may have several, apart by commas. */
static int add_list(struct consul *c, const char *text, bool tls, struct err *err)
{
    while (*text) {
        text += strspn(text, ", ");
        size_t len = strcspn(text, ", ");
        char *one = xstrndup(text, len);
        int result = len ? add_address(c, one, tls, err) : 0;
        free(one);
        if (result < 0)
            return -1;
        text += len;
    }
    return 0;
}

static int read_addresses(struct consul *c, const json_t *options, bool tls, struct err *err)
{
    const json_t *given = json_object_get(options, "consulAddress");
    size_t index;
    json_t *entry;
    if (json_is_string(given) && add_list(c, json_string_value(given), tls, err) < 0)
        return -1;
    json_array_foreach((json_t *)given, index, entry)
    {
        const char *text = json_string_value(entry);
        if (!text)
            return err_set(err, "invalid", "consulAddress: must be a list of host:port");
        if (add_list(c, text, tls, err) < 0)
            return -1;
    }
    if (given && !json_is_null(given) && c->address_count == 0)
        return err_set(err, "invalid", "consulAddress: must be host:port, or a list of such");
    return c->address_count ? 0 : add_address(c, DEFAULT_ADDRESS, tls, err);
}

/* ---- texts and flags ---- */

static int read_text(const json_t *options, const char *key, char **ret_text, struct err *err)
{
    const json_t *value = json_object_get(options, key);
    const char *text = json_string_value(value);
    if (!value || json_is_null(value))
        return 0;
    if (!text || !*text || strlen(text) != json_string_length(value))
        return err_set(err, "invalid", "%s: must be a text that is not empty", key);
    *ret_text = xstrdup(text);
    return 0;
}

static int read_flag(const json_t *options, const char *key, bool *ret_flag, struct err *err)
{
    const json_t *value = json_object_get(options, key);
    if (value && !json_is_null(value) && !json_is_boolean(value))
        return err_set(err, "invalid", "%s: must be true or false", key);
    *ret_flag = json_is_true(value);
    return 0;
}

static int read_texts(struct consul *c, const json_t *options, struct err *err)
{
    struct {
        const char *key;
        char **text;
    } const all[] = {{"consulDatacenter", &c->datacenter}, {"consulToken", &c->token},
                     {"consulTokenFile", &c->token_file},  {"consulCaFile", &c->ca_file},
                     {"consulCertFile", &c->cert_file},    {"consulKeyFile", &c->key_file},
                     {"consulServerName", &c->server_name}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (read_text(options, all[i].key, all[i].text, err) < 0)
            return -1;
    return 0;
}

static bool is_datacenter(const char *text)
{
    for (; *text; text++)
        if (!isascii((unsigned char)*text) ||
            !(isalnum((unsigned char)*text) || strchr("-_", *text)))
            return false;
    return true;
}

/* A header must not be broken apart by what it carries. */
static bool is_token(const char *text)
{
    for (; *text; text++)
        if (!isascii((unsigned char)*text) || !isgraph((unsigned char)*text))
            return false;
    return true;
}

int consul_read_options(struct consul *c, const json_t *options, struct err *err)
{
    bool tls = false;
    if (read_flag(options, "consulEnableTLS", &tls, err) < 0 ||
        read_flag(options, "consulStale", &c->stale, err) < 0 ||
        read_flag(options, "consulConsistent", &c->consistent, err) < 0 ||
        read_texts(c, options, err) < 0 || read_addresses(c, options, tls, err) < 0)
        return -1;
    if (c->stale && c->consistent)
        return err_set(err, "invalid", "consulStale and consulConsistent: give one of the two");
    if (c->token && c->token_file)
        return err_set(err, "invalid", "consulToken and consulTokenFile: give one of the two");
    if (c->token && !is_token(c->token))
        return err_set(err, "invalid", "consulToken: must be one word");
    if (c->datacenter && !is_datacenter(c->datacenter))
        return err_set(err, "invalid",
                       "consulDatacenter: must be letters, digits, - and _, such as dc1");
    if (!c->cert_file != !c->key_file)
        return err_set(err, "invalid", "%s: is missing, as %s is given",
                       c->cert_file ? "consulKeyFile" : "consulCertFile",
                       c->cert_file ? "consulCertFile" : "consulKeyFile");
    return 0;
}

void consul_free_options(struct consul *c)
{
    for (size_t i = 0; i < c->address_count; i++) {
        free(c->addresses[i].url);
        free(c->addresses[i].shown);
    }
    free(c->addresses);
    free(c->datacenter);
    free(c->token);
    free(c->token_file);
    free(c->ca_file);
    free(c->cert_file);
    free(c->key_file);
    free(c->server_name);
}

int consul_read_token(const struct consul *c, char **ret_token, struct err *err)
{
    struct buf text = {0};
    if (!c->token_file) {
        *ret_token = xstrdup(c->token);
        return 0;
    }
    if (file_read(c->token_file, MAX_TOKEN, &text, err) < 0) {
        buf_free(&text);
        return err_set(err, "io", "consulTokenFile: %s", err->message);
    }
    char *token = buf_take(&text);
    token[strcspn(token, " \t\r\n")] = '\0';
    if (!*token || !is_token(token)) {
        free(token);
        return err_set(err, "invalid", "consulTokenFile: %s holds no token", c->token_file);
    }
    *ret_token = token;
    return 0;
}
