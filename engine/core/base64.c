#include "core/base64.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *base64_encode(const void *bytes, size_t len)
{
    const uint8_t *in = bytes;
    char *text = xmalloc((len + 2) / 3 * 4 + 1), *out = text;
    for (size_t i = 0; i < len; i += 3) {
        uint32_t group = (uint32_t)in[i] << 16;
        group |= i + 1 < len ? (uint32_t)in[i + 1] << 8 : 0;
        group |= i + 2 < len ? in[i + 2] : 0;
        *out++ = digits[group >> 18];
        *out++ = digits[group >> 12 & 63];
        *out++ = i + 1 < len ? digits[group >> 6 & 63] : '=';
        *out++ = i + 2 < len ? digits[group & 63] : '=';
    }
    *out = '\0';
    return text;
}

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Four digits at a time; -1 if one of them is none. */
static int32_t group_of(const char *text)
{
    int32_t group = 0;
    for (int i = 0; i < 4; i++) {
        int value = value_of(text[i]);
        if (value < 0)
            return -1;
        group = group << 6 | value;
    }
    return group;
}

/* The last group, whose padding stands for bytes that are not there. */
static int32_t last_group(const char *text, size_t padding)
{
    char filled[4];
    memcpy(filled, text, 4);
    memset(filled + 4 - padding, 'A', padding);
    return group_of(filled);
}

static size_t padding_of(const char *text, size_t len)
{
    if (len < 4 || text[len - 1] != '=')
        return 0;
    return text[len - 2] == '=' ? 2 : 1;
}

char *base64_decode(const char *text, size_t len, size_t *ret_len)
{
    size_t padding = padding_of(text, len), count = len / 4 * 3;
    if (len % 4 != 0)
        return NULL;
    char *bytes = xmalloc(count + 1);
    for (size_t i = 0; i < len / 4; i++) {
        bool last = i + 1 == len / 4;
        int32_t group = last ? last_group(text + i * 4, padding) : group_of(text + i * 4);
        if (group < 0) {
            free(bytes);
            return NULL;
        }
        bytes[i * 3] = (char)(group >> 16);
        bytes[i * 3 + 1] = (char)(group >> 8);
        bytes[i * 3 + 2] = (char)group;
    }
    *ret_len = count - padding;
    bytes[*ret_len] = '\0';
    return bytes;
}
