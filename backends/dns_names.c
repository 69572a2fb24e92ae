#include "dns_names.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/buf.h"
#include "core/hash.h"
#include "core/mem.h"
#include "io/dns_name.h"

#define HASH_DIGITS 16
#define HOST_DIGITS 8
#define HOST_START 48 /* bytes of a host's label before its hash */

static bool is_label(const char *text, size_t max)
{
    if (strlen(text) > max)
        return false;
    while (*text && !isupper((unsigned char)*text))
        text++;
    return *text == '\0';
}

/* Appends the label of a service or an id, escaped. */
static void put_label(struct buf *out, const char *text, size_t max)
{
    char start[DNS_MAX_LABEL + 1];
    if (is_label(text, max)) {
        dns_name_put_label(out, text, strlen(text));
        return;
    }
    size_t len = 0;
    for (; text[len] && len < max - HASH_DIGITS - 1; len++)
        start[len] = (char)tolower((unsigned char)text[len]);
    dns_name_put_label(out, start, len);
    buf_printf(out, "-%016" PRIx64, hash_text(HASH_START, text));
}

static void put_service(struct buf *out, const char *domain, const char *service)
{
    buf_puts(out, "_");
    put_label(out, service, DNS_MAX_LABEL - 1);
    buf_printf(out, "._tcp.%s", domain);
}

char *dns_services_name(const char *domain)
{
    return xasprintf("_services._dns-sd._udp.%s", domain);
}

char *dns_service_name(const char *domain, const char *service)
{
    struct buf name = {0};
    put_service(&name, domain, service);
    return buf_take(&name);
}

char *dns_instance_name(const char *domain, const char *service, const char *id)
{
    struct buf name = {0};
    put_label(&name, id, DNS_MAX_LABEL);
    buf_puts(&name, ".");
    put_service(&name, domain, service);
    return buf_take(&name);
}

char *dns_host_name(const char *domain, const char *service, const char *id)
{
    char start[HOST_START + 1];
    size_t len = 0;
    for (; id[len] && len < HOST_START; len++)
        start[len] = isalnum((unsigned char)id[len]) ? (char)tolower((unsigned char)id[len]) : '-';
    start[len] = '\0';
    uint64_t h = hash_text(hash_text(hash_text(HASH_START, service), "/"), id);
    return xasprintf("%s-%08" PRIx32 ".addr.%s", start, (uint32_t)(h ^ h >> 32), domain);
}

static bool ends_in_hash(const char *label, size_t len, size_t digits)
{
    if (len < digits + 2 || label[len - digits - 1] != '-')
        return false;
    return strspn(label + len - digits, "0123456789abcdef") >= digits;
}

bool dns_is_host_name(const char *domain, const char *name)
{
    size_t len = strcspn(name, ".");
    return ends_in_hash(name, len, HOST_DIGITS) && strncasecmp(name + len, ".addr.", 6) == 0 &&
           strcasecmp(name + len + 6, domain) == 0;
}

bool dns_names_service(const char *service) { return is_label(service, DNS_MAX_LABEL - 1); }

bool dns_service_label(const char *domain, const char *name, char **ret_label)
{
    const char *rest;
    char *label = dns_name_first(name, &rest);
    if (label[0] == '_' && label[1] && rest && strncasecmp(rest, "_tcp.", 5) == 0 &&
        strcasecmp(rest + 5, domain) == 0) {
        *ret_label = xstrdup(label + 1);
        free(label);
        return true;
    }
    free(label);
    return false;
}

bool dns_label_is_hashed(const char *label)
{
    return ends_in_hash(label, strlen(label), HASH_DIGITS);
}

bool dns_is_within(const char *domain, const char *name)
{
    size_t len = strlen(name), tail = strlen(domain);
    if (len < tail || strcasecmp(name + len - tail, domain) != 0)
        return false;
    return len == tail || tail == 0 || name[len - tail - 1] == '.';
}
