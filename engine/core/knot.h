/* knot.h -- one strongly connected component by itself: a shortest cycle, and edges to cut.
 *
 * Nodes are numbered 0 .. count-1 by name, and each node's targets are sorted, so that the answers
 * depend on nothing but the names. Private to graph.c. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct knot {
    uint32_t count;
    uint32_t *start; /* borrowed: count + 1 positions in `to` */
    uint32_t *to;    /* borrowed: sorted within a node, without repeats */
};

struct knot_edge {
    uint32_t from, to;
};

/* A cycle with the fewest edges, its first node repeated at the end. The caller frees it. */
uint32_t *knot_cycle(const struct knot *k, uint32_t *ret_count, bool *ret_shortest);

/* Edges whose removal leaves no cycle. The caller frees them. */
struct knot_edge *knot_cut(const struct knot *k, uint32_t *ret_count, bool *ret_exact);
