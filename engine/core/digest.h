/* digest.h -- SHA-256 of bytes in memory. */
#pragma once
#include <stddef.h>

/* Writes 64 lower-case hexadecimal digits and a NUL. */
void digest_sha256(const void *data, size_t len, char ret_hex[65]);
