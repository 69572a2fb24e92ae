/* hash.h -- FNV-1a: a short hash of bytes that nobody chooses with ill intent. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define HASH_START 14695981039346656037u

static inline uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t len)
{
    for (const unsigned char *b = bytes; len; len--)
        hash = (hash ^ *b++) * 1099511628211u;
    return hash;
}

static inline uint64_t hash_text(uint64_t hash, const char *text)
{
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 1099511628211u;
    return hash;
}
