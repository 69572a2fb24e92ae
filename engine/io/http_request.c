#include "io/http_request.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/un.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/mem.h"
#include "io/dns.h"

#define BUFFER_SIZE 8192L /* per transfer; libcurl's own choice is 16 KiB and more */
#define UPLOAD_BUFFER_SIZE 16384L
#define MAX_METHOD 20
#define MAX_UNIX_PATH (sizeof((struct sockaddr_un *)0)->sun_path - 1)
#define CA_CACHE_S 3600L
#define CONNECT_TIMEOUT_MS (7 * 24 * 3600 * 1000L)

/* ---- copies ---- */

static char *copy_bytes(const char *bytes, size_t len)
{
    return bytes ? xstrndup(bytes, len) : NULL;
}

/* Errors are logged and shown: a password in the URL is not. */
static char *without_password(const char *url)
{
    const char *scheme_end = strstr(url, "://");
    const char *start = scheme_end ? scheme_end + 3 : url;
    size_t authority = strcspn(start, "/?#");
    const char *at = memrchr(start, '@', authority);
    if (!at)
        return xstrdup(url);
    return xasprintf("%.*s***%s", (int)(start - url), url, at);
}

void http_copy_init(struct http_copy *copy, const struct http_request *request)
{
    const struct http_request *r = request;
    const char *method = r->method ? r->method : r->body ? "POST" : "GET";
    copy->of = (struct http_request){
        .method = xstrdup(method),
        .url = xstrdup(r->url),
        .headers = xstrvdup(r->headers),
        .body = copy_bytes(r->body, r->body_len),
        .body_len = r->body_len,
        .timeout_ms = r->timeout_ms ? r->timeout_ms : HTTP_TIMEOUT_MS,
        .max_bytes = r->max_bytes ? r->max_bytes : HTTP_MAX_BYTES,
        .unix_path = xstrdup(r->unix_path),
        .follow_redirects = r->follow_redirects,
        .ca = xstrdup(r->ca),
        .cert = xstrdup(r->cert),
        .key = xstrdup(r->key),
        .server_name = xstrdup(r->server_name),
        .no_verify = r->no_verify,
        .no_deadline = r->no_deadline,
        .reuse = r->reuse,
        .connect_only = r->connect_only,
    };
    copy->shown_url = without_password(r->url);
}

void http_copy_show(struct http_copy *copy, const char *shown_url)
{
    free(copy->shown_url);
    copy->shown_url = xstrdup(shown_url);
}

static void copy_free(struct http_copy *copy)
{
    struct http_request *r = &copy->of;
    free((void *)r->method);
    free((void *)r->url);
    free((void *)r->headers);
    free((void *)r->body);
    free((void *)r->unix_path);
    free((void *)r->ca);
    free((void *)r->cert);
    free((void *)r->key);
    free((void *)r->server_name);
    free(copy->shown_url);
    *copy = (struct http_copy){0};
}

static bool is_header(const char *line, const char *name)
{
    size_t len = strlen(name);
    return strncasecmp(line, name, len) == 0 && line[len] == ':';
}

static bool has_header(const struct http_request *request, const char *name)
{
    for (char *const *h = request->headers; h && *h; h++)
        if (is_header(*h, name))
            return true;
    return false;
}

static void drop_header(char *const *headers, const char *name)
{
    char **to = (char **)headers;
    for (char **from = to; from && *from; from++)
        if (!is_header(*from, name))
            *to++ = *from;
    if (to)
        *to = NULL;
}

static bool same_origin(const char *a, const char *b)
{
    struct http_target left = {0}, right = {0};
    bool same = http_target_parse(&left, &(struct http_request){.url = a}, NULL) == 0 &&
                http_target_parse(&right, &(struct http_request){.url = b}, NULL) == 0 &&
                strcasecmp(left.host, right.host) == 0 && strcmp(left.port, right.port) == 0;
    http_target_free(&left);
    http_target_free(&right);
    return same;
}

static void become_get(struct http_request *r)
{
    free((void *)r->method);
    free((void *)r->body);
    r->method = xstrdup("GET");
    r->body = NULL;
    r->body_len = 0;
    drop_header(r->headers, "Content-Type");
}

void http_copy_redirect(struct http_copy *copy, int status, const char *location)
{
    struct http_request *r = &copy->of;
    if (!same_origin(r->url, location)) {
        drop_header(r->headers, "Authorization");
        drop_header(r->headers, "Cookie");
        drop_header(r->headers, "Host");
    }
    bool changes_method = status == 303 || ((status == 301 || status == 302) && r->body);
    if (changes_method && strcmp(r->method, "HEAD") != 0)
        become_get(r);
    free((void *)r->url);
    r->url = xstrdup(location);
}

/* ---- checks ---- */

static bool is_method(const char *text)
{
    size_t len = strlen(text);
    for (const char *c = text; *c; c++)
        if (!isupper((unsigned char)*c))
            return false;
    return len > 0 && len <= MAX_METHOD;
}

static bool is_header_line(const char *line)
{
    size_t name = strcspn(line, ":");
    for (size_t i = 0; i < name; i++)
        if (!isgraph((unsigned char)line[i]) || strchr("()<>@,;\\\"/[]?={}", line[i]))
            return false;
    return name > 0 && line[name] == ':' && !strpbrk(line, "\r\n");
}

/* Refuses a method or header that would break the request apart. */
static int check(const struct http_request *request, struct err *err)
{
    if (!is_method(request->method))
        return err_set(err, "invalid", "bad HTTP method: expected capital letters, such as GET");
    if (request->unix_path && strlen(request->unix_path) > MAX_UNIX_PATH)
        return err_set(err, "invalid", "%s: the path of a socket may have %zu bytes at most",
                       request->unix_path, MAX_UNIX_PATH);
    for (char *const *h = request->headers; h && *h; h++)
        if (!is_header_line(*h))
            return err_set(err, "invalid",
                           "bad header '%.*s': expected \"Name: value\" on one line",
                           (int)strcspn(*h, ":\r\n"), *h);
    return 0;
}

bool http_is_too_big(const struct http_request *request, const char *line, size_t len)
{
    static const char name[] = "Content-Length:";
    char digits[24] = "";
    size_t name_len = sizeof name - 1;
    if (len <= name_len || (line[0] | 0x20) != 'c' || strncasecmp(line, name, name_len) != 0 ||
        strcmp(request->method, "HEAD") == 0)
        return false;
    len -= name_len;
    memcpy(digits, line + name_len, len < sizeof digits ? len : sizeof digits - 1);
    return strtoull(digits, NULL, 10) > request->max_bytes;
}

/* ---- targets ---- */

static char *url_part(CURLU *url, CURLUPart part, unsigned flags)
{
    char *text = NULL, *copy;
    if (libcurl.url_get(url, part, &text, flags) != CURLUE_OK)
        return NULL;
    copy = xstrdup(text);
    libcurl.free(text);
    return copy;
}

/* An IPv6 host comes in brackets, which are no part of the address. */
static void strip_brackets(char *host)
{
    size_t len = strlen(host);
    if (len < 2 || host[0] != '[')
        return;
    memmove(host, host + 1, len - 2);
    host[len - 2] = '\0';
}

/* libcurl would convert an international name only in a UTF-8 locale, which an agent has not. */
static bool is_ascii(const char *text)
{
    for (; *text; text++)
        if (!isascii((unsigned char)*text))
            return false;
    return true;
}

static int read_parts(struct http_target *target, CURLU *url, const struct http_request *request,
                      struct err *err)
{
    char *shown = without_password(request->url);
    CURLUcode code = libcurl.url_set(url, CURLUPART_URL, request->url, CURLU_NON_SUPPORT_SCHEME);
    char *scheme = code ? NULL : url_part(url, CURLUPART_SCHEME, 0);
    int result = 0;
    if (code)
        result =
            err_set(err, "invalid", "%s: bad URL: %s; expected one such as http://host:port/path",
                    shown, libcurl.url_strerror(code));
    else if (!scheme || (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0))
        result = err_set(err, "invalid", "%s: expected a URL with http:// or https://", shown);
    else if (!(target->host = url_part(url, CURLUPART_HOST, 0)) || !is_ascii(target->host))
        result = err_set(
            err, "invalid",
            "%s: bad host in the URL; write an international name in its ASCII form (xn--...)",
            shown);
    else
        target->port = url_part(url, CURLUPART_PORT, CURLU_DEFAULT_PORT);
    free(scheme);
    free(shown);
    return result;
}

/* The length of a host that is written in its one normal form, so that it need not be parsed; 0:
 * perhaps it is not. */
static size_t plain_host(const char *host)
{
    size_t len = strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789.-");
    char text[DNS_TEXT_SIZE];
    union dns_address address;
    if (len == 0 || len >= sizeof text || (host[0] >= 'a' && host[0] <= 'z'))
        return len;
    memcpy(text, host, len);
    text[len] = '\0';
    return dns_numeric(text, &address) ? len : 0;
}

static size_t plain_port(const char *port)
{
    size_t len = strspn(port, "0123456789");
    return len <= 5 && port[0] != '0' && strtoul(port, NULL, 10) <= UINT16_MAX ? len : 0;
}

static bool is_plain_path(const char *path)
{
    const char *rest = path + strspn(path, "/abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                           "0123456789-_~.");
    return path[0] == '/' && !*rest && !strstr(path, "/.");
}

/* The usual URL, which is most of what checks ask: "http://127.0.0.1:8080/health". Parsing it in
 * full takes longer than all else that is done for a request before it is sent. */
static bool parse_plain(struct http_target *target, const char *url)
{
    bool secure = strncmp(url, "https://", 8) == 0;
    if (!secure && strncmp(url, "http://", 7) != 0)
        return false;
    const char *host = url + (secure ? 8 : 7);
    size_t host_len = plain_host(host), port_len = 0;
    const char *path = host + host_len;
    if (*path == ':') {
        port_len = plain_port(path + 1);
        path += port_len ? 1 + port_len : 0;
    }
    if (!host_len || !is_plain_path(path))
        return false;
    target->url = xstrdup(url);
    target->host = xstrndup(host, host_len);
    target->port = port_len ? xstrndup(path - port_len, port_len) : xstrdup(secure ? "443" : "80");
    return true;
}

int http_target_parse(struct http_target *target, const struct http_request *request,
                      struct err *err)
{
    *target = (struct http_target){0};
    if (!request->server_name && parse_plain(target, request->url))
        return 0;
    CURLU *url = libcurl.url();
    int result = url ? read_parts(target, url, request, err) : -1;
    if (result == 0) {
        strip_brackets(target->host);
        if (request->server_name)
            libcurl.url_set(url, CURLUPART_HOST, request->server_name, 0);
        target->url = url_part(url, CURLUPART_URL, 0);
    }
    libcurl.url_cleanup(url);
    if (result < 0)
        http_target_free(target);
    return result;
}

void http_target_free(struct http_target *target)
{
    free(target->url);
    free(target->host);
    free(target->port);
    *target = (struct http_target){0};
}

struct curl_slist *http_target_addresses(const struct http_target *target,
                                         const struct dns_addresses *addresses)
{
    struct buf entry = {0};
    buf_printf(&entry, "+%s:%s:", target->host, target->port);
    for (size_t i = 0; i < addresses->count; i++) {
        char text[DNS_TEXT_SIZE];
        bool v6 = addresses->list[i].any.sa_family == AF_INET6;
        dns_format(&addresses->list[i], text);
        buf_printf(&entry, v6 ? "%s[%s]" : "%s%s", i ? "," : "", text);
    }
    struct curl_slist *list = libcurl.slist_append(NULL, entry.data);
    buf_free(&entry);
    return list;
}

/* Leads a URL that names the TLS server back to the real host. NULL if there is no such name. */
static struct curl_slist *connect_to(const struct http_target *target,
                                     const struct http_request *request)
{
    if (!request->server_name)
        return NULL;
    bool v6 = strchr(target->host, ':') != NULL;
    char *entry = xasprintf(v6 ? "::[%s]:%s" : "::%s:%s", target->host, target->port);
    struct curl_slist *list = libcurl.slist_append(NULL, entry);
    free(entry);
    return list;
}

/* ---- libcurl's options ---- */

static void configure_method(CURL *easy, const struct http_request *r)
{
    if (r->body) {
        libcurl.easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_len);
        libcurl.easy_setopt(easy, CURLOPT_POSTFIELDS, r->body);
    }
    if (strcmp(r->method, "HEAD") == 0)
        libcurl.easy_setopt(easy, CURLOPT_NOBODY, 1L);
    else
        libcurl.easy_setopt(easy, CURLOPT_CUSTOMREQUEST, r->method);
}

/* Reading the system's authorities takes 50 ms, so libcurl keeps them for an hour; it does so only
 * without a folder of them. A file of the user's is read anew, and is then all that counts. */
static void configure_authorities(CURL *easy, const struct http_request *r)
{
    char *bundle = NULL;
    libcurl.easy_getinfo(easy, CURLINFO_CAINFO, &bundle);
    if (r->ca)
        libcurl.easy_setopt(easy, CURLOPT_CAINFO, r->ca);
    if (r->ca || bundle)
        libcurl.easy_setopt(easy, CURLOPT_CAPATH, NULL);
    libcurl.easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, r->ca ? 0L : CA_CACHE_S);
}

static void configure_tls(CURL *easy, const struct http_request *r)
{
    configure_authorities(easy, r);
    if (r->cert)
        libcurl.easy_setopt(easy, CURLOPT_SSLCERT, r->cert);
    if (r->key)
        libcurl.easy_setopt(easy, CURLOPT_SSLKEY, r->key);
    if (r->no_verify) {
        libcurl.easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
        libcurl.easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
    }
}

/* libcurl's own deadline is set beyond any of ours, which decide. It gets no URL but of http and
 * https, and follows no redirect by itself. */
static void configure_connection(CURL *easy, const struct http_request *r)
{
    libcurl.easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    libcurl.easy_setopt(easy, CURLOPT_PROXY, "");
    libcurl.easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    libcurl.easy_setopt(easy, CURLOPT_BUFFERSIZE, BUFFER_SIZE);
    libcurl.easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, UPLOAD_BUFFER_SIZE);
    libcurl.easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    if (r->connect_only)
        libcurl.easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
    if (r->unix_path)
        libcurl.easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, r->unix_path);
}

/* "Name: " with nothing after it would make libcurl leave the header out: "Name;" sends it empty.
 */
static struct curl_slist *append_header(struct curl_slist *list, const char *line)
{
    size_t name = strcspn(line, ":");
    if (line[name + 1 + strspn(line + name + 1, " \t")])
        return libcurl.slist_append(list, line);
    char *empty = xasprintf("%.*s;", (int)name, line);
    list = libcurl.slist_append(list, empty);
    free(empty);
    return list;
}

/* With a server name the URL's host is that name, so the real one must be said. */
static struct curl_slist *append_host(struct curl_slist *list, const struct http_request *r)
{
    struct http_target real;
    struct http_request plain = {.url = r->url};
    if (http_target_parse(&real, &plain, NULL) < 0)
        return list;
    bool v6 = strchr(real.host, ':') != NULL;
    char *line = xasprintf(v6 ? "Host: [%s]:%s" : "Host: %s:%s", real.host, real.port);
    list = libcurl.slist_append(list, line);
    free(line);
    http_target_free(&real);
    return list;
}

static struct curl_slist *request_headers(const struct http_request *request)
{
    struct curl_slist *list = NULL;
    if (request->body)
        list = libcurl.slist_append(list, "Expect:"); /* no wait before a body */
    if (request->body && !has_header(request, "Content-Type"))
        list = libcurl.slist_append(list, "Content-Type:"); /* we do not guess one */
    if (!has_header(request, "User-Agent"))
        list = libcurl.slist_append(list, "User-Agent: orrery/" ORRERY_VERSION);
    if (!request->reuse && !has_header(request, "Connection"))
        list = libcurl.slist_append(list, "Connection: close");
    if (request->server_name && !has_header(request, "Host"))
        list = append_host(list, request);
    for (char *const *h = request->headers; h && *h; h++)
        list = append_header(list, *h);
    return list;
}

/* ---- plans ---- */

static bool is_plain(const struct http_request *r)
{
    return strcmp(r->method, "GET") == 0 && !r->body && !r->unix_path && !r->ca && !r->cert &&
           !r->key && !r->server_name && !r->no_verify && !r->connect_only;
}

int http_plan_make(struct http_plan *plan, struct err *err)
{
    static _Atomic uint64_t last_id;
    const struct http_request *request = &plan->request.of;
    if (libcurl_load(err) < 0 || check(request, err) < 0 ||
        http_target_parse(&plan->target, request, err) < 0)
        return -1;
    plan->headers = request_headers(request);
    plan->connect_to = connect_to(&plan->target, request);
    plan->plain = is_plain(request);
    plan->id = ++last_id;
    return 0;
}

static void free_list(struct curl_slist *list)
{
    if (list) /* else libcurl may not be loaded */
        libcurl.slist_free_all(list);
}

void http_plan_close(struct http_plan *plan)
{
    copy_free(&plan->request);
    http_target_free(&plan->target);
    free_list(plan->headers);
    free_list(plan->connect_to);
    *plan = (struct http_plan){0};
}

static void configure_all(const struct http_request *request, CURL *easy)
{
    libcurl.easy_reset(easy);
    configure_connection(easy, request);
    configure_method(easy, request);
    configure_tls(easy, request);
}

void http_plan_configure(const struct http_plan *plan, const struct http_told *told, CURL *easy)
{
    const struct http_request *request = &plan->request.of;
    bool stays = request->reuse || request->connect_only; /* the latter is never reused anyway */
    if (!told->plain || !plan->plain)
        configure_all(request, easy);
    libcurl.easy_setopt(easy, CURLOPT_FRESH_CONNECT, request->reuse ? 0L : 1L);
    libcurl.easy_setopt(easy, CURLOPT_FORBID_REUSE, stays ? 0L : 1L);
    libcurl.easy_setopt(easy, CURLOPT_HTTPHEADER, plan->headers);
    libcurl.easy_setopt(easy, CURLOPT_CONNECT_TO, plan->connect_to);
    libcurl.easy_setopt(easy, CURLOPT_URL, plan->target.url);
}
