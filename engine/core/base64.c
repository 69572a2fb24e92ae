#include "core/base64.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t base64_size(size_t len) { return (len + 2) / 3 * 4; }

void base64_write(const void *data, size_t len, char *out)
{
    const unsigned char *in = data;
    for (; len; in += 3) {
        size_t taken = len < 3 ? len : 3;
        uint32_t word = (uint32_t)in[0] << 16;
        word |= taken > 1 ? (uint32_t)in[1] << 8 : 0;
        word |= taken > 2 ? (uint32_t)in[2] : 0;
        *out++ = alphabet[word >> 18];
        *out++ = alphabet[word >> 12 & 63];
        *out++ = taken > 1 ? alphabet[word >> 6 & 63] : '=';
        *out++ = taken > 2 ? alphabet[word & 63] : '=';
        len -= taken;
    }
}

static int value_of(char c)
{
    if (c == '-' || c == '_')
        c = c == '-' ? '+' : '/';
    const char *at = c ? strchr(alphabet, c) : NULL;
    return at ? (int)(at - alphabet) : -1;
}

long long base64_read(const char *text, size_t len, unsigned char *out)
{
    size_t padding = 0;
    while (padding < 2 && padding < len && text[len - 1 - padding] == '=')
        padding++;
    if (padding && len % 4)
        return -1;
    size_t letters = len - padding, size = 0;
    uint32_t word = 0;
    if (letters % 4 == 1)
        return -1;
    for (size_t i = 0; i < letters; i++) {
        int value = value_of(text[i]);
        if (value < 0)
            return -1;
        word = word << 6 | (uint32_t)value;
        if (i % 4)
            out[size++] = (unsigned char)(word >> (6 - 2 * (i % 4)));
    }
    size_t spare = letters % 4; /* letters of the last group, whose last bits must be zero */
    if (spare && word & ((1u << (spare == 2 ? 4 : 2)) - 1))
        return -1;
    return (long long)size;
}

char *base64_encode(const void *bytes, size_t len)
{
    size_t size = base64_size(len);
    char *text = xmalloc(size + 1);
    base64_write(bytes, len, text);
    text[size] = '\0';
    return text;
}

char *base64_decode(const char *text, size_t len, size_t *ret_len)
{
    char *bytes = xmalloc(len + 1);
    long long size = base64_read(text, len, (unsigned char *)bytes);
    if (size < 0) {
        free(bytes);
        return NULL;
    }
    *ret_len = (size_t)size;
    bytes[size] = '\0';
    return bytes;
}
