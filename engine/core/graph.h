/* graph.h -- which service starts after which: waves, order, and the cycles that forbid one.
 *
 * An edge goes from a dependent to its dependency. A *required* edge always orders the two. An
 * *optional* or *soft* edge orders them unless it lies on a cycle: then it is dropped and reported.
 * A *circular* edge never orders. A cycle of required edges alone is an error, reported as one
 * *knot* for each strongly connected component.
 *
 * Pure, and without recursion, so that a million names in a chain are no problem. Every result is
 * the same whatever the order of the input: ties go by name. A graph owns its names and edges. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct names_token;

enum graph_type { GRAPH_REQUIRED, GRAPH_OPTIONAL, GRAPH_SOFT, GRAPH_CIRCULAR };

#define GRAPH_MASK(type) (1u << (type)) /* sets of edge types */
#define GRAPH_ALL 15u                   /* of all four types */
#define GRAPH_NONE UINT32_MAX           /* no node */
#define GRAPH_MAX_EDGES 0x80000000u

struct graph_edge {
    uint32_t from, to; /* the dependent, its dependency */
};

struct graph;

struct graph *graph_new(void);
struct graph *graph_share(struct graph *g); /* one more who frees it */
void graph_free(struct graph *g);           /* NULL is fine */

/* The node of that name, made if there is none. GRAPH_NONE: the graph is full (4 GiB of names). */
uint32_t graph_add(struct graph *g, const char *name, size_t len);

/* The same for many names at once, which is faster: see names_add_all(). False: full. */
bool graph_add_all(struct graph *g, struct names_token *tokens, uint32_t count);

/* The node of that name, or GRAPH_NONE. */
uint32_t graph_find(const struct graph *g, const char *name, size_t len);

/* Whether that number is a node's. It is, from graph_add() to graph_remove(). */
bool graph_has(const struct graph *g, uint32_t node);

/* Takes away the node and its edges, in a time that grows with the edges of the whole graph. Adding
 * the name again gives the same number; the name's few bytes stay until then. */
void graph_remove(struct graph *g, uint32_t node);

/* Both ends must be nodes. An edge that is there already changes nothing. False: the graph is full.
 */
bool graph_link(struct graph *g, uint32_t from, uint32_t to, enum graph_type type);

/* Takes away the edges between the two whose type is in `mask`; returns how many there were. */
uint32_t graph_unlink(struct graph *g, uint32_t from, uint32_t to, unsigned mask);

uint32_t graph_count(const struct graph *g);                  /* of nodes */
uint32_t graph_size(const struct graph *g);                   /* every node's number is below it */
const char *graph_name(const struct graph *g, uint32_t node); /* valid until the next graph_add() */

uint32_t *graph_nodes(const struct graph *g); /* all, by name; the caller frees them */

/* The edges (those at one node, or with GRAPH_NONE all), each once, by name; the caller frees them.
 */
uint32_t *graph_edges(const struct graph *g, uint32_t touching, uint32_t *ret_count);

/* Sorts edges by name and takes out repeats; returns how many are left. */
uint32_t graph_sort_edges(const struct graph *g, uint32_t *edges, uint32_t count);

/* A strongly connected component of required edges. Everything in it is owned by the plan. */
struct graph_knot {
    uint32_t *members; /* by name */
    uint32_t member_count;
    uint32_t
        *cycle; /* one cycle of the fewest edges, its first node repeated at the end; begins at */
    uint32_t cycle_count;   /* the last name of those on such cycles */
    bool shortest;          /* false: the component is so big that not every node was tried */
    struct graph_edge *cut; /* edges to mark circular, after which no cycle is left */
    uint32_t cut_count;
    bool exact; /* the cut has the fewest edges possible; else only none of it can be spared */
};

struct graph_plan {
    uint32_t
        *order; /* owned: every node, dependencies first; wave w is order[waves[w]..waves[w+1]) */
    uint32_t *waves; /* owned: wave_count + 1 positions */
    uint32_t wave_count;
    uint32_t *dropped; /* owned: optional and soft edges that order nothing, by name */
    uint32_t dropped_count;
    uint8_t *unordering;      /* owned: of each edge, whether it was dropped; NULL: none was */
    struct graph_knot *knots; /* owned; only after a failure */
    uint32_t knot_count;
};

/* The nodes in plan->order: the graph may have got others since. */
static inline uint32_t graph_plan_size(const struct graph_plan *plan)
{
    return plan->waves[plan->wave_count];
}

/* Fills `plan`; close it whatever the result. -1 with code "cycle" if required edges form one: then
 * there are knots and no order. */
int graph_solve(const struct graph *g, struct graph_plan *plan, struct err *err);
void graph_plan_close(struct graph_plan *plan);

/* The longest chain of nodes each of which waits for the one before: over required and optional
 * edges that were not dropped. */
struct graph_chain {
    uint32_t *nodes; /* owned; the first one needs nothing */
    uint32_t count;
    double length; /* of its nodes' seconds, or `count` */
};

/* By number of nodes, or by `seconds` of each node number (not negative). Of equals the one whose
 * last name comes first. The plan must be solved. The caller frees ret->nodes. */
void graph_critical(const struct graph *g, const struct graph_plan *plan, const double *seconds,
                    struct graph_chain *ret);

/* The order as text, a name a line, into `to`, which has graph_lines_size() bytes. */
size_t graph_lines_size(const struct graph *g);
void graph_lines(const struct graph *g, const struct graph_plan *plan, char *to);

/* An edge by the number that a plan gives. */
struct graph_edge graph_edge_at(const struct graph *g, uint32_t edge, enum graph_type *ret_type);

/* The nodes reached from the `count` nodes at `from` over edges whose type is in `mask`: what they
 * depend on, or with `backwards` what depends on them. They are reached themselves. The caller
 * frees the result, which is sorted by name. */
uint32_t *graph_reach(const struct graph *g, const uint32_t *from, uint32_t count, unsigned mask,
                      bool backwards, uint32_t *ret_count);
