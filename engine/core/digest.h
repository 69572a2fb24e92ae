/* digest.h -- SHA-256 and base64, of bytes in memory. */
#pragma once
#include <stddef.h>

/* Writes 64 lower-case hexadecimal digits and a NUL. */
void digest_sha256(const void *data, size_t len, char ret_hex[65]);

/* The length of `len` bytes in base64 with padding, and the text itself (no NUL). */
size_t digest_base64_size(size_t len);
void digest_base64(const void *data, size_t len, char *out);

/* Decodes base64 (the URL alphabet too, padding optional; nothing else) into `out`, which has room
 * for len bytes. Returns the length, or -1 if the text is not base64. */
long long digest_base64_decode(const char *text, size_t len, unsigned char *out);
