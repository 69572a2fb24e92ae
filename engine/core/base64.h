/* base64.h -- bytes as text of 64 characters, as JSON interfaces carry them (RFC 4648, padded). */
#pragma once
#include <stddef.h>

/* The length of `len` bytes in base64, and the text itself (no NUL). */
size_t base64_size(size_t len);
void base64_write(const void *data, size_t len, char *out);

/* Decodes base64 (the URL alphabet too, padding optional; nothing else) into `out`, which has room
 * for len bytes. Returns the length, or -1 if the text is not base64. */
long long base64_read(const char *text, size_t len, unsigned char *out);

/* The same into new memory, ending in a NUL that does not count; the caller frees it. */
char *base64_encode(const void *bytes, size_t len);
char *base64_decode(const char *text, size_t len, size_t *ret_len); /* NULL: not base64 */
