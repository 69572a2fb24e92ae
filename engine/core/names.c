#include "core/names.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

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
    free(t->slots);
}

static uint32_t hash_name(const char *name, size_t len)
{
    uint64_t h = len * 0x9e3779b97f4a7c15u;
    while (len) {
        uint64_t word = 0;
        size_t part = len < 8 ? len : 8;
        memcpy(&word, name, part);
        h = (h ^ word) * 0xff51afd7ed558ccdu;
        h ^= h >> 32;
        name += part;
        len -= part;
    }
    return (uint32_t)(h ^ h >> 29);
}

/* The slot of that name, or the empty one where it belongs. */
static struct names_slot *find_slot(const struct names *t, const char *name, size_t len,
                                    uint32_t hash)
{
    uint32_t mask = t->slot_count - 1;
    for (uint32_t i = hash & mask;; i = (i + 1) & mask) {
        struct names_slot *s = &t->slots[i];
        if (!s->number)
            return s;
        if (s->hash == hash && names_len(t, s->number - 1) == len &&
            memcmp(names_text(t, s->number - 1), name, len) == 0)
            return s;
    }
}

static void grow_slots(struct names *t)
{
    uint32_t old_count = t->slot_count;
    struct names_slot *old = t->slots;
    t->slot_count = 2 * old_count;
    t->slots = xcalloc(t->slot_count, sizeof *t->slots);
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

static void append(struct names *t, const char *name, size_t len)
{
    if (t->text_len + len + 1 > t->text_cap) {
        t->text_cap = 2 * (t->text_len + len + 1);
        t->text = xrealloc(t->text, t->text_cap);
    }
    if (t->count == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 32;
        t->at = xreallocarray(t->at, (size_t)t->cap + 1, sizeof *t->at);
    }
    if (len)
        memcpy(t->text + t->text_len, name, len);
    t->text[t->text_len + len] = '\0';
    t->text_len += len + 1;
    t->at[++t->count] = t->text_len;
}

uint32_t names_find(const struct names *t, const char *name, size_t len)
{
    const struct names_slot *s = find_slot(t, name, len, hash_name(name, len));
    return s->number ? s->number - 1 : NAMES_NONE;
}

uint32_t names_add(struct names *t, const char *name, size_t len)
{
    uint32_t hash = hash_name(name, len);
    struct names_slot *s = find_slot(t, name, len, hash);
    if (s->number)
        return s->number - 1;
    append(t, name, len);
    *s = (struct names_slot){.hash = hash, .number = t->count};
    if (t->count > t->slot_count / 2)
        grow_slots(t);
    return t->count - 1;
}

/* ---- sorting ---- */

struct key {
    uint64_t head; /* the first bytes of the name, so that most comparisons stop here */
    uint32_t number;
};

static int compare_keys(const void *a, const void *b, void *names)
{
    const struct key *x = a, *y = b;
    if (x->head != y->head)
        return x->head < y->head ? -1 : 1;
    return names_compare(names, x->number, y->number);
}

static uint64_t head_of(const struct names *t, uint32_t number)
{
    const char *name = names_text(t, number);
    size_t len = names_len(t, number);
    uint64_t head = 0;
    for (size_t i = 0; i < 8; i++)
        head = head << 8 | (i < len ? (unsigned char)name[i] : 0);
    return head;
}

void names_sort(const struct names *t, uint32_t *numbers, uint32_t count)
{
    if (count < 2)
        return;
    struct key *keys = xmalloc(count * sizeof *keys);
    for (uint32_t i = 0; i < count; i++)
        keys[i] = (struct key){head_of(t, numbers[i]), numbers[i]};
    qsort_r(keys, count, sizeof *keys, compare_keys, (void *)t);
    for (uint32_t i = 0; i < count; i++)
        numbers[i] = keys[i].number;
    free(keys);
}
