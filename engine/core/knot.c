#include "core/knot.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

#define NONE UINT32_MAX
#define SEARCH_STEPS 20000000u /* edges looked at before a search settles for what it has */
#define EXACT_EDGES 16u        /* a cut is exact up to so many edges: 65,536 subsets */

/* ---- a shortest cycle: breadth first from every node ---- */

struct search {
    const struct knot *k;
    uint32_t *queue, *parent, *seen; /* owned; seen: the epoch in which a node was reached */
    uint32_t *depth;                 /* owned */
    uint32_t epoch;
    uint64_t steps;
    uint32_t *best; /* owned: the cycle without its repeated end */
    uint32_t best_count;
};

static void search_init(struct search *s, const struct knot *k)
{
    *s = (struct search){.k = k, .best_count = NONE};
    s->queue = xcalloc(k->count, sizeof *s->queue);
    s->parent = xcalloc(k->count, sizeof *s->parent);
    s->seen = xcalloc(k->count, sizeof *s->seen);
    s->depth = xcalloc(k->count, sizeof *s->depth);
    s->best = xcalloc((size_t)k->count + 1, sizeof *s->best);
}

static void search_close(struct search *s)
{
    free(s->queue);
    free(s->parent);
    free(s->seen);
    free(s->depth);
}

static void keep_cycle(struct search *s, uint32_t source, uint32_t last)
{
    s->best_count = s->depth[last] + 1;
    for (uint32_t i = s->best_count; i-- > 0; last = s->parent[last])
        s->best[i] = last;
    s->best[s->best_count] = source;
}

static void reach(struct search *s, uint32_t node, uint32_t parent, uint32_t depth, uint32_t *tail)
{
    s->seen[node] = s->epoch;
    s->parent[node] = parent;
    s->depth[node] = depth;
    s->queue[(*tail)++] = node;
}

/* Looks for a cycle through `source` that is shorter than the best. */
static void search_from(struct search *s, uint32_t source)
{
    const struct knot *k = s->k;
    uint32_t tail = 0;
    s->epoch++;
    reach(s, source, NONE, 0, &tail);
    for (uint32_t head = 0; head < tail; head++) {
        uint32_t node = s->queue[head];
        if (s->depth[node] + 1 >= s->best_count)
            return;
        for (uint32_t i = k->start[node]; i < k->start[node + 1]; i++) {
            s->steps++;
            if (k->to[i] == source) {
                keep_cycle(s, source, node);
                return;
            }
            if (s->seen[k->to[i]] != s->epoch)
                reach(s, k->to[i], node, s->depth[node] + 1, &tail);
        }
    }
}

uint32_t *knot_cycle(const struct knot *k, uint32_t *ret_count, bool *ret_shortest)
{
    struct search s;
    uint32_t node = k->count;
    search_init(&s, k);
    while (node > 0 && s.best_count > 1 && s.steps < SEARCH_STEPS)
        search_from(&s, --node);
    *ret_shortest = node == 0 || s.best_count == 1;
    *ret_count = s.best_count + 1;
    search_close(&s);
    return s.best;
}

/* ---- the smallest cut of few edges: every subset, the small ones first ---- */

struct subsets {
    uint32_t edge_count;
    uint8_t from[EXACT_EDGES], to[EXACT_EDGES];
};

/* Takes away edges into nodes that nothing points to, until none is left or a cycle is. */
static bool acyclic(const struct subsets *s, uint32_t edges)
{
    for (;;) {
        uint32_t targets = 0, left = 0;
        for (uint32_t i = 0; i < s->edge_count; i++)
            if (edges >> i & 1)
                targets |= 1u << s->to[i];
        for (uint32_t i = 0; i < s->edge_count; i++)
            if ((edges >> i & 1) && (targets >> s->from[i] & 1))
                left |= 1u << i;
        if (left == edges)
            return edges == 0;
        edges = left;
    }
}

/* The next number with as many bits set. */
static uint32_t next_subset(uint32_t set)
{
    uint32_t low = set & -set, carried = set + low;
    return carried | (((set ^ carried) >> 2) / low);
}

static uint32_t smallest_cut(const struct subsets *s)
{
    uint32_t all = (1u << s->edge_count) - 1;
    for (uint32_t size = 1; size < s->edge_count; size++)
        for (uint32_t cut = (1u << size) - 1; cut <= all; cut = next_subset(cut))
            if (acyclic(s, all & ~cut))
                return cut;
    return all;
}

static struct knot_edge *exact_cut(const struct knot *k, uint32_t *ret_count)
{
    struct subsets s = {.edge_count = k->start[k->count]};
    for (uint32_t node = 0; node < k->count; node++)
        for (uint32_t i = k->start[node]; i < k->start[node + 1]; i++) {
            s.from[i] = (uint8_t)node;
            s.to[i] = (uint8_t)k->to[i];
        }
    uint32_t cut = smallest_cut(&s), count = 0;
    struct knot_edge *edges = xcalloc(s.edge_count, sizeof *edges);
    for (uint32_t i = 0; i < s.edge_count; i++)
        if (cut >> i & 1)
            edges[count++] = (struct knot_edge){s.from[i], s.to[i]};
    *ret_count = count;
    return edges;
}

/* ---- a cut of any size: the back edges of a depth-first walk ----
 *
 * None can be spared: each closes a cycle with the path of the walk that leads to it. */

struct walk {
    const struct knot *k;
    uint32_t *path, *cursor; /* owned */
    uint8_t *colour;         /* owned: 0 new, 1 on the path, 2 done */
    struct knot_edge *back;  /* owned */
    uint32_t depth, back_count;
};

static void enter(struct walk *w, uint32_t node)
{
    w->colour[node] = 1;
    w->cursor[node] = w->k->start[node];
    w->path[w->depth++] = node;
}

static void walk_step(struct walk *w)
{
    uint32_t node = w->path[w->depth - 1];
    if (w->cursor[node] == w->k->start[node + 1]) {
        w->colour[node] = 2;
        w->depth--;
        return;
    }
    uint32_t to = w->k->to[w->cursor[node]++];
    if (w->colour[to] == 0)
        enter(w, to);
    else if (w->colour[to] == 1)
        w->back[w->back_count++] = (struct knot_edge){node, to};
}

/* A component is reached as a whole from any of its nodes. */
static void walk_from(struct walk *w, uint32_t root)
{
    memset(w->colour, 0, w->k->count);
    w->back_count = 0;
    enter(w, root);
    while (w->depth)
        walk_step(w);
}

static struct knot_edge *walked_cut(const struct knot *k, uint32_t *ret_count)
{
    uint32_t edge_count = k->start[k->count];
    struct walk w = {.k = k};
    w.path = xcalloc(k->count, sizeof *w.path);
    w.cursor = xcalloc(k->count, sizeof *w.cursor);
    w.colour = xcalloc(k->count, 1);
    w.back = xcalloc(edge_count, sizeof *w.back);
    struct knot_edge *best = xcalloc(edge_count, sizeof *best);
    uint32_t best_count = NONE;
    uint64_t steps = 0;
    for (uint32_t root = 0; root < k->count && steps < SEARCH_STEPS; root++) {
        walk_from(&w, root);
        steps += edge_count;
        if (w.back_count >= best_count)
            continue;
        best_count = w.back_count;
        memcpy(best, w.back, best_count * sizeof *best);
    }
    free(w.path);
    free(w.cursor);
    free(w.colour);
    free(w.back);
    *ret_count = best_count;
    return best;
}

struct knot_edge *knot_cut(const struct knot *k, uint32_t *ret_count, bool *ret_exact)
{
    *ret_exact = k->start[k->count] <= EXACT_EDGES;
    return *ret_exact ? exact_cut(k, ret_count) : walked_cut(k, ret_count);
}
