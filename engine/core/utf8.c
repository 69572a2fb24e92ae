#include "core/utf8.h"

#include <stdint.h>

/* The length that a first byte announces, 0 if it cannot begin a character. */
static size_t length_of(unsigned char first)
{
    if (first < 0x80)
        return 1;
    if (first >= 0xc2 && first < 0xe0)
        return 2;
    if (first >= 0xe0 && first < 0xf0)
        return 3;
    return first >= 0xf0 && first < 0xf5 ? 4 : 0;
}

/* The length of the valid character at the start, 0 if there is none. */
static size_t character(const unsigned char *text, size_t len)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t size = length_of(*text);
    if (size <= 1)
        return size;
    if (size > len)
        return 0;
    uint32_t code = *text & (0x7fu >> size);
    for (size_t i = 1; i < size; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | (text[i] & 0x3fu);
    }
    return code < least[size] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? 0 : size;
}

size_t utf8_prefix(const char *text, size_t len)
{
    size_t at = 0, size;
    while (at < len && (size = character((const unsigned char *)text + at, len - at)))
        at += size;
    return at;
}
