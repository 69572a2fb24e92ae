#include "io/dns_name.h"

#include <stdbool.h>
#include <string.h>

#include "core/buf.h"
#include "core/mem.h"

#define MAX_BYTES 255
#define POINTER 0xC0

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* The byte that starts at *text, which is moved behind it. -1: no escape that there is. */
static int next_byte(const char **text)
{
    const char *t = *text;
    if (*t != '\\') {
        *text = t + 1;
        return (unsigned char)*t;
    }
    if (is_digit(t[1]) && is_digit(t[2]) && is_digit(t[3])) {
        int value = (t[1] - '0') * 100 + (t[2] - '0') * 10 + (t[3] - '0');
        *text = t + 4;
        return value < 256 ? value : -1;
    }
    if (t[1] == '\0')
        return -1;
    *text = t + 2;
    return (unsigned char)t[1];
}

/* Reads one label, up to its dot or the end. Its size; -1 if it is none. */
static int parse_label(const char **text, unsigned char label[DNS_MAX_LABEL])
{
    int size = 0;
    while (**text && **text != '.') {
        int byte = next_byte(text);
        if (byte < 0 || size == DNS_MAX_LABEL)
            return -1;
        label[size++] = (unsigned char)byte;
    }
    return size ? size : -1;
}

int dns_name_write(const char *text, struct buf *out)
{
    unsigned char bytes[MAX_BYTES + DNS_MAX_LABEL + 2];
    size_t len = 0;
    while (*text && !(len == 0 && strcmp(text, ".") == 0)) {
        unsigned char label[DNS_MAX_LABEL];
        int size = parse_label(&text, label);
        if (size < 0 || len + (size_t)size + 2 > MAX_BYTES)
            return -1;
        bytes[len++] = (unsigned char)size;
        memcpy(bytes + len, label, (size_t)size);
        len += (size_t)size;
        if (*text == '.')
            text++;
    }
    bytes[len++] = 0;
    buf_append(out, bytes, len);
    return 0;
}

void dns_name_put_label(struct buf *out, const char *label, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)label[i];
        if (c < '!' || c > '~') {
            buf_printf(out, "\\%03u", c);
            continue;
        }
        if (c == '.' || c == '\\')
            buf_append(out, "\\", 1);
        buf_append(out, &c, 1);
    }
}

/* A pointer must point before where it was read from, so that no chain of them is endless. */
static int follow(const unsigned char *message, size_t len, size_t *at, size_t *limit)
{
    if (len - *at < 2)
        return -1;
    size_t to = (size_t)(message[*at] & ~POINTER) << 8 | message[*at + 1];
    if (to >= *limit)
        return -1;
    *at = *limit = to;
    return 0;
}

char *dns_name_read(const unsigned char *message, size_t len, size_t *at)
{
    struct buf text = {0};
    size_t here = *at, limit = *at, used = 0, end = 0;
    while (here < len) {
        size_t size = message[here];
        if ((size & POINTER) == POINTER) {
            end = end ? end : here + 2;
            if (follow(message, len, &here, &limit) < 0)
                break;
        } else if (size == 0) {
            *at = end ? end : here + 1;
            return buf_take(&text);
        } else {
            used += size + 1;
            if (size > DNS_MAX_LABEL || len - here <= size || used >= MAX_BYTES)
                break;
            if (text.len)
                buf_puts(&text, ".");
            dns_name_put_label(&text, (const char *)message + here + 1, size);
            here += size + 1;
        }
    }
    buf_free(&text);
    return NULL;
}

char *dns_name_first(const char *text, const char **ret_rest)
{
    struct buf label = {0};
    while (*text && *text != '.') {
        int byte = next_byte(&text);
        char c = (char)byte;
        if (byte < 0)
            break;
        if (byte == 0)
            buf_puts(&label, "\\000");
        else
            buf_append(&label, &c, 1);
    }
    *ret_rest = *text == '.' ? text + 1 : NULL;
    return buf_take(&label);
}
