/* utf8.h -- where text is UTF-8, and where it is not. */
#pragma once
#include <stddef.h>

/* How many bytes from the start on are whole, valid characters (no surrogates, no overlong ones,
 * nothing beyond U+10FFFF). */
size_t utf8_prefix(const char *text, size_t len);
