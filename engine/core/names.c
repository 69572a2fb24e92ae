#include "core/names.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

#define MAX_TEXT UINT32_MAX
#define SHORT_NAME 16u  /* bytes that a key holds */
#define BATCH 64u       /* lookups in flight: more than a processor can wait for at once */
#define AHEAD 16u       /* names fetched early while all are read */
#define RADIX_FROM 256u /* names from which on a radix sort is faster */

void names_init(struct names *t)
{
    *t = (struct names){.slot_count = 64};
    t->slots = xcalloc(t->slot_count, sizeof *t->slots);
    t->at = xcalloc(1, sizeof *t->at);
}

void names_close(struct names *t)
{
    free(t->text);
    free(t->at);
    free(t->keys);
    free(t->slots);
}

static uint64_t load_eight(const char *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, 8);
    return le64toh(word);
}

/* Up to eight bytes, the first in the lowest bits. Some may be read twice, none beyond them. */
static uint64_t load_word(const char *bytes, size_t len)
{
    uint64_t word = 0;
    uint32_t low, high;
    if (len >= 8)
        return load_eight(bytes);
    if (len >= 4) {
        memcpy(&low, bytes, 4);
        memcpy(&high, bytes + len - 4, 4);
        return (uint64_t)le32toh(high) << 8 * (len - 4) | le32toh(low);
    }
    for (size_t i = 0; i < len; i++)
        word |= (uint64_t)(unsigned char)bytes[i] << 8 * i;
    return word;
}

static uint64_t mix(uint64_t h, uint64_t word)
{
    h = (h ^ word) * 0xff51afd7ed558ccdu;
    return h ^ h >> 32;
}

static struct names_key key_of(const char *name, size_t len)
{
    struct names_key key = {.first = load_word(name, len)};
    if (len > 16)
        key.last = load_eight(name + len - 8);
    else if (len > 8)
        key.last = load_eight(name + len - 8) >> 8 * (16 - len);
    return key;
}

/* Its top bit tells whether the name is longer than its key. */
static uint32_t hash_of(const struct names_key *key, const char *name, size_t len)
{
    uint64_t h = mix(mix(len, key->first), key->last);
    for (size_t at = 8; len > SHORT_NAME && at + 8 < len; at += 8)
        h = mix(h, load_eight(name + at));
    h ^= h >> 29;
    return (uint32_t)h >> 1 | (uint32_t)(len > SHORT_NAME) << 31;
}

/* Names have no zero bytes, so short names with the same key are the same. */
static bool is_named(const struct names *t, uint32_t number, const char *name, size_t len,
                     const struct names_key *key)
{
    const struct names_key *k = &t->keys[number];
    if (k->first != key->first || k->last != key->last)
        return false;
    return len <= SHORT_NAME ||
           (names_len(t, number) == len && memcmp(names_text(t, number), name, len) == 0);
}

/* The slot of that name, or the empty one where it belongs. */
static struct names_slot *find_slot(const struct names *t, const char *name, size_t len,
                                    uint32_t hash, const struct names_key *key)
{
    uint32_t mask = t->slot_count - 1;
    for (uint32_t i = hash & mask;; i = (i + 1) & mask) {
        struct names_slot *s = &t->slots[i];
        if (!s->number || (s->hash == hash && is_named(t, s->number - 1, name, len, key)))
            return s;
    }
}

static void grow_slots(struct names *t)
{
    uint32_t old_count = t->slot_count;
    struct names_slot *old = t->slots;
    t->slot_count = 2 * old_count;
    t->slots = xcalloc_huge(t->slot_count, sizeof *t->slots);
    for (uint32_t i = 0; i < old_count; i++) {
        if (!old[i].number)
            continue;
        uint32_t at = old[i].hash & (t->slot_count - 1);
        while (t->slots[at].number)
            at = (at + 1) & (t->slot_count - 1);
        t->slots[at] = old[i];
    }
    free(old);
}

static void make_room(struct names *t, size_t len)
{
    if (t->text_len + len + 1 > t->text_cap) {
        t->text_cap = 2 * (t->text_len + len + 1);
        t->text = xgrow_huge(t->text, t->text_len, t->text_cap);
    }
    if (t->count < t->cap)
        return;
    t->cap = t->cap ? 2 * t->cap : 32;
    t->at = xreallocarray(t->at, (size_t)t->cap + 1, sizeof *t->at);
    t->keys = xgrow_huge(t->keys, t->count * sizeof *t->keys, (size_t)t->cap * sizeof *t->keys);
}

static bool append(struct names *t, const char *name, size_t len, const struct names_key *key)
{
    if (len >= MAX_TEXT - t->text_len)
        return false;
    make_room(t, len);
    if (len)
        memcpy(t->text + t->text_len, name, len);
    t->text[t->text_len + len] = '\0';
    t->text_len += len + 1;
    t->keys[t->count] = *key;
    t->at[++t->count] = (uint32_t)t->text_len;
    return true;
}

uint32_t names_find(const struct names *t, const char *name, size_t len)
{
    struct names_key key = key_of(name, len);
    const struct names_slot *s = find_slot(t, name, len, hash_of(&key, name, len), &key);
    return s->number ? s->number - 1 : NAMES_NONE;
}

static uint32_t add_key(struct names *t, const char *name, size_t len, uint32_t hash,
                        const struct names_key *key)
{
    struct names_slot *s = find_slot(t, name, len, hash, key);
    if (s->number)
        return s->number - 1;
    if (!append(t, name, len, key))
        return NAMES_NONE;
    *s = (struct names_slot){hash, t->count};
    if (t->count > t->slot_count / 2)
        grow_slots(t);
    return t->count - 1;
}

uint32_t names_add(struct names *t, const char *name, size_t len)
{
    struct names_key key = key_of(name, len);
    return add_key(t, name, len, hash_of(&key, name, len), &key);
}

/* Asks for the slots of all before it reads any, and then for what those name. */
static bool add_batch(struct names *t, struct names_token *tokens, uint32_t count)
{
    uint32_t mask = t->slot_count - 1;
    for (struct names_token *n = tokens; n < tokens + count; n++) {
        n->key = key_of(n->text, n->len);
        n->hash = hash_of(&n->key, n->text, n->len);
        __builtin_prefetch(&t->slots[n->hash & mask]);
    }
    for (struct names_token *n = tokens; n < tokens + count; n++) {
        uint32_t i = n->hash & mask;
        while (t->slots[i].number && t->slots[i].hash != n->hash)
            i = (i + 1) & mask;
        if (t->slots[i].number)
            __builtin_prefetch(&t->keys[t->slots[i].number - 1]);
    }
    for (struct names_token *n = tokens; n < tokens + count; n++) {
        n->number = add_key(t, n->text, n->len, n->hash, &n->key);
        if (n->number == NAMES_NONE)
            return false;
    }
    return true;
}

bool names_add_all(struct names *t, struct names_token *tokens, uint32_t count)
{
    for (uint32_t at = 0; at < count; at += BATCH)
        if (!add_batch(t, tokens + at, count - at < BATCH ? count - at : BATCH))
            return false;
    return true;
}

/* ---- sorting ---- */

struct key {
    uint64_t head; /* eight bytes of the name, so that most comparisons stop here */
    uint32_t number;
};

static int compare_keys(const void *a, const void *b, void *names)
{
    const struct key *x = a, *y = b;
    if (x->head != y->head)
        return x->head < y->head ? -1 : 1;
    return names_compare(names, x->number, y->number);
}

/* The eight bytes after the first `skip`, the first the weightiest. */
static uint64_t head_of(const struct names *t, uint32_t number, size_t skip)
{
    const char *name = names_text(t, number) + skip;
    size_t len = names_len(t, number) - skip;
    uint64_t head = 0;
    if (len >= 8) {
        memcpy(&head, name, 8);
        return be64toh(head);
    }
    for (size_t i = 0; i < 8; i++)
        head = head << 8 | (i < len ? (unsigned char)name[i] : 0);
    return head;
}

/* The number of bytes with which all the names begin. */
static size_t shared_start(const struct names *t, const uint32_t *numbers, uint32_t count)
{
    const char *first = names_text(t, numbers[0]);
    size_t shared = names_len(t, numbers[0]);
    for (uint32_t i = 1; i < count && shared; i++) {
        if (i + AHEAD < count)
            __builtin_prefetch(names_text(t, numbers[i + AHEAD]));
        const char *name = names_text(t, numbers[i]);
        for (size_t k = 0; k < shared; k++)
            if (name[k] != first[k])
                shared = k;
    }
    return shared;
}

/* One pass of a radix sort, by the byte at `shift`. False if that byte is the same in all. */
static bool sort_by_byte(const struct key *from, struct key *to, uint32_t count, int shift)
{
    uint32_t at[256] = {0}, sum = 0;
    for (uint32_t i = 0; i < count; i++)
        at[from[i].head >> shift & 255]++;
    if (at[from[0].head >> shift & 255] == count)
        return false;
    for (int byte = 0; byte < 256; byte++) {
        uint32_t here = at[byte];
        at[byte] = sum;
        sum += here;
    }
    for (uint32_t i = 0; i < count; i++)
        to[at[from[i].head >> shift & 255]++] = from[i];
    return true;
}

/* Sorts by head alone; returns the block that holds the result. */
static struct key *sort_by_head(struct key *keys, struct key *other, uint32_t count)
{
    for (int shift = 0; shift < 64; shift += 8)
        if (sort_by_byte(keys, other, count, shift)) {
            struct key *swap = keys;
            keys = other;
            other = swap;
        }
    return keys;
}

/* Names with the same head still stand in no order. */
static void sort_ties(const struct names *t, struct key *keys, uint32_t count)
{
    for (uint32_t from = 0, to; from < count; from = to) {
        for (to = from + 1; to < count && keys[to].head == keys[from].head;)
            to++;
        if (to - from > 1)
            qsort_r(keys + from, to - from, sizeof *keys, compare_keys, (void *)t);
    }
}

void names_sort(const struct names *t, uint32_t *numbers, uint32_t count)
{
    if (count < 2)
        return;
    bool big = count >= RADIX_FROM;
    size_t skip = shared_start(t, numbers, count);
    struct key *keys = xmalloc((big ? 2 : 1) * (size_t)count * sizeof *keys), *sorted = keys;
    for (uint32_t i = 0; i < count; i++)
        keys[i] = (struct key){head_of(t, numbers[i], skip), numbers[i]};
    if (big)
        sort_ties(t, sorted = sort_by_head(keys, keys + count, count), count);
    else
        qsort_r(keys, count, sizeof *keys, compare_keys, (void *)t);
    for (uint32_t i = 0; i < count; i++)
        numbers[i] = sorted[i].number;
    free(keys);
}
