/* names.h -- names as numbers: each distinct name gets the next one, from 0 on.
 *
 * A few blocks, so that a million names are a few allocations. The hash table is small, for it is
 * read all over: it holds hashes and numbers, and what names are compared by lies by number. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define NAMES_NONE UINT32_MAX

/* What a name is compared by. Up to 16 bytes it is the whole name, so that the text need not be
 * read: eight bytes each, filled up with zeros; never overlapping. */
struct names_key {
    uint64_t first, last;
};

struct names_slot {
    uint32_t hash, number; /* number + 1; 0: empty */
};

struct names {
    char *text; /* owned: every name, each with its NUL */
    size_t text_len, text_cap;
    uint32_t *at;           /* owned: count + 1 positions in text */
    struct names_key *keys; /* owned: of each name */
    uint32_t count, cap;
    struct names_slot *slots; /* owned: open addressing, at most half full */
    uint32_t slot_count;      /* a power of two */
};

/* A name to look up together with others. */
struct names_token {
    const char *text; /* borrowed */
    uint32_t len;
    uint32_t number; /* the answer */
    uint32_t hash;   /* this and the key are written by names_add_all() */
    struct names_key key;
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
