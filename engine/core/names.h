/* names.h -- names as numbers: each distinct name gets the next one, from 0 on.
 *
 * One block of text and one hash table, so that a million names are three allocations. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define NAMES_NONE UINT32_MAX

/* What a name is found by. Up to 16 bytes it is the whole name, so that the text need not be read.
 */
struct names_key {
    uint64_t first, last; /* eight bytes each, filled up with zeros; never overlapping */
    uint32_t hash;        /* its top bit tells whether the name is longer than 16 bytes */
};

struct names_slot {
    uint64_t first, last;
    uint32_t hash, number; /* number + 1; 0: empty */
};

struct names {
    char *text; /* owned: every name, each with its NUL */
    size_t text_len, text_cap;
    uint32_t *at; /* owned: count + 1 positions in text */
    uint32_t count, cap;
    struct names_slot *slots; /* owned: open addressing, at most half full */
    uint32_t slot_count;      /* a power of two */
};

/* A name to look up together with others. */
struct names_token {
    const char *text; /* borrowed */
    uint32_t len;
    uint32_t number;      /* the answer */
    struct names_key key; /* written by names_add_all() */
};

void names_init(struct names *t);
void names_close(struct names *t);

/* Names hold no NUL bytes. NAMES_NONE: the table is full, with 4 GiB of text. */
uint32_t names_add(struct names *t, const char *name, size_t len);

/* The same for many at once: a lookup is a wait for memory, and these overlap. False: full. */
bool names_add_all(struct names *t, struct names_token *tokens, uint32_t count);

uint32_t names_find(const struct names *t, const char *name, size_t len); /* or NAMES_NONE */
void names_sort(const struct names *t, uint32_t *numbers, uint32_t count);

static inline const char *names_text(const struct names *t, uint32_t number)
{
    return t->text + t->at[number];
}

static inline size_t names_len(const struct names *t, uint32_t number)
{
    return t->at[number + 1] - t->at[number] - 1;
}

static inline int names_compare(const struct names *t, uint32_t a, uint32_t b)
{
    return strcmp(names_text(t, a), names_text(t, b));
}
