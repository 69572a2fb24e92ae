/* graph_store.h -- what a graph is made of, and its edges as rows. Private to graph*.c. */
#pragma once
#include "core/graph.h"
#include "core/names.h"

struct graph {
    unsigned owners;          /* each frees it */
    struct names names;       /* embedded */
    struct graph_edge *edges; /* owned */
    uint8_t *types;           /* owned: of each edge */
    uint32_t edge_count, edge_cap;
    uint8_t *gone;     /* owned: of the first gone_cap names, whether the node was removed */
    uint32_t gone_cap; /* NULL and 0 until the first removal */
    uint32_t gone_count;
};

/* Neighbours of every node: those of n are to[start[n]..start[n+1]). */
struct graph_rows {
    uint32_t *start, *to; /* owned */
};

/* The edges of the types in `mask`, without the `dropped` (NULL: none is). `missing`, if not NULL,
 * gets the number of edges that end at each node. */
struct graph_rows graph_rows_make(const struct graph *g, unsigned mask, const uint8_t *dropped,
                                  bool backwards, uint32_t *missing);
void graph_rows_free(struct graph_rows *r);

static inline bool graph_is_gone(const struct graph *g, uint32_t node)
{
    return node < g->gone_cap && g->gone[node];
}
