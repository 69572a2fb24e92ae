/* base64.h -- bytes as text of 64 characters, as JSON interfaces carry them (RFC 4648, padded). */
#pragma once
#include <stddef.h>

char *base64_encode(const void *bytes, size_t len); /* the caller frees it */

/* The bytes, ending in a NUL that does not count; the caller frees them. NULL if the text is not
 * base64. */
char *base64_decode(const char *text, size_t len, size_t *ret_len);
