#include "core/slab.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/mem.h"

#define PAGE 4096u
#define PAGES 256u            /* in a region, of which the first is its header */
#define REGION (PAGE * PAGES) /* what each region is aligned to */
#define FINE 128u             /* up to here sizes are 8 bytes apart, above 16 */
#define MAX_BLOCK 1024u
#define CLASSES (FINE / 8 + (MAX_BLOCK - FINE) / 16)
#define WORDS (PAGES / 64)

#ifdef __SANITIZE_ADDRESS__
#define EACH_ALONE 1 /* so that the sanitizer sees where one block ends, and that it is gone */
#else
#define EACH_ALONE 0
#endif

struct link {
    struct link *next;
};

/* What a page in use begins with; blocks are the rest of it. */
struct page {
    struct page *next, **prev; /* of its size, with room; prev is NULL while it is full */
    struct link *freed;        /* blocks that have been used */
    uint32_t used;             /* blocks */
    uint16_t class, fresh;     /* fresh: where its blocks begin that have never been used */
};

/* What a region begins with. */
struct region {
    struct region *next;
    uint64_t free[WORDS];  /* pages that are not in use */
    uint64_t stale[WORDS]; /* of these, those that have been, and still take memory */
};

struct slab {
    struct region *regions;
    struct {
        struct page *first, **last; /* those with room; freed ones join at the end, to be emptied */
    } sizes[CLASSES];
};

static bool is_large(size_t size) { return EACH_ALONE || size > MAX_BLOCK; }

static size_t class_of(size_t size)
{
    return size <= FINE ? (size - 1) / 8 : FINE / 8 + (size - FINE - 1) / 16;
}

static uint32_t size_of(size_t class)
{
    return (uint32_t)(class < FINE / 8 ? (class + 1) * 8 : FINE + (class - FINE / 8 + 1) * 16);
}

struct slab *slab_new(void)
{
    struct slab *s = xcalloc(1, sizeof *s);
    for (size_t i = 0; i < CLASSES; i++)
        s->sizes[i].last = &s->sizes[i].first;
    return s;
}

void slab_free(struct slab *s)
{
    struct region *next;
    for (struct region *r = s->regions; r; r = next) {
        next = r->next;
        munmap(r, REGION);
    }
    free(s);
}

/* ---- pages ---- */

static struct region *region_of(const void *block)
{
    return (struct region *)((uintptr_t)block & ~(uintptr_t)(REGION - 1));
}

static struct page *page_of(const void *block)
{
    return (struct page *)((uintptr_t)block & ~(uintptr_t)(PAGE - 1));
}

static struct region *add_region(struct slab *s)
{
    char *map = mmap(NULL, 2 * REGION, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (map == MAP_FAILED)
        abort();
    char *start = (char *)region_of(map + REGION - 1);
    if (start > map)
        munmap(map, (size_t)(start - map));
    munmap(start + REGION, (size_t)(map + REGION - start));
    struct region *r = (struct region *)start;
    memset(r->free, 0xff, sizeof r->free);
    r->free[0] &= ~(uint64_t)1;
    r->next = s->regions;
    s->regions = r;
    return r;
}

static struct page *page_at(struct region *r, size_t n)
{
    return (struct page *)((char *)r + n * PAGE);
}

static struct page *take_page(struct slab *s)
{
    for (struct region *r = s->regions;; r = r->next) {
        if (!r)
            r = add_region(s);
        for (size_t i = 0; i < WORDS; i++) {
            if (!r->free[i])
                continue;
            unsigned bit = (unsigned)__builtin_ctzll(r->free[i]);
            r->free[i] &= ~((uint64_t)1 << bit);
            return page_at(r, i * 64 + bit);
        }
    }
}

static void drop_page(struct page *p)
{
    struct region *r = region_of(p);
    size_t n = (size_t)((char *)p - (char *)r) / PAGE;
    r->free[n / 64] |= (uint64_t)1 << n % 64;
    r->stale[n / 64] |= (uint64_t)1 << n % 64;
}

void slab_trim(struct slab *s)
{
    for (struct region *r = s->regions; r; r = r->next)
        for (size_t n = 0; n < PAGES; n++)
            if ((r->free[n / 64] & r->stale[n / 64]) >> n % 64 & 1) {
                madvise(page_at(r, n), PAGE, MADV_DONTNEED);
                r->stale[n / 64] &= ~((uint64_t)1 << n % 64);
            }
}

/* ---- blocks ---- */

static bool is_full(const struct page *p)
{
    return !p->freed && p->fresh + size_of(p->class) > PAGE;
}

static void enlist(struct slab *s, struct page *p)
{
    p->next = NULL;
    p->prev = s->sizes[p->class].last;
    *p->prev = p;
    s->sizes[p->class].last = &p->next;
}

static void unlist(struct slab *s, struct page *p)
{
    *p->prev = p->next;
    if (p->next)
        p->next->prev = p->prev;
    else
        s->sizes[p->class].last = p->prev;
    p->prev = NULL;
}

static void *take(struct slab *s, size_t size)
{
    if (is_large(size))
        return malloc(size);
    size_t class = class_of(size);
    struct page *p = s->sizes[class].first;
    if (!p) {
        p = take_page(s);
        *p = (struct page){.class = (uint16_t) class, .fresh = sizeof *p};
        enlist(s, p);
    }
    struct link *block = p->freed;
    if (block) {
        p->freed = block->next;
    } else {
        block = (struct link *)((char *)p + p->fresh);
        p->fresh = (uint16_t)(p->fresh + size_of(class));
    }
    p->used++;
    if (is_full(p))
        unlist(s, p);
    return block;
}

static void give(struct slab *s, void *block, size_t size)
{
    if (is_large(size)) {
        free(block);
        return;
    }
    struct page *p = page_of(block);
    struct link *link = block;
    link->next = p->freed;
    p->freed = link;
    if (!p->prev)
        enlist(s, p);
    if (--p->used == 0) {
        unlist(s, p);
        drop_page(p);
    }
}

void *slab_resize(struct slab *s, void *block, size_t old_size, size_t size)
{
    if (!block)
        return size ? take(s, size) : NULL;
    if (size && is_large(size) && is_large(old_size))
        return realloc(block, size);
    if (size && !is_large(size) && !is_large(old_size) && class_of(size) == class_of(old_size))
        return block;
    void *fresh = size ? take(s, size) : NULL;
    if (size && !fresh)
        return NULL;
    if (fresh)
        memcpy(fresh, block, size < old_size ? size : old_size);
    give(s, block, old_size);
    return fresh;
}
