#include "core/graph.h"

#include <stdlib.h>
#include <string.h>

#include "core/graph_store.h"
#include "core/mem.h"

#define AHEAD 16u /* names fetched early: they lie anywhere in memory */

struct graph *graph_new(void)
{
    struct graph *g = xcalloc(1, sizeof *g);
    g->owners = 1;
    names_init(&g->names);
    return g;
}

struct graph *graph_share(struct graph *g)
{
    g->owners++;
    return g;
}

void graph_free(struct graph *g)
{
    if (!g || --g->owners)
        return;
    names_close(&g->names);
    free(g->edges);
    free(g->types);
    free(g->gone);
    free(g);
}

/* ---- nodes ---- */

static void revive(struct graph *g, uint32_t node)
{
    if (!graph_is_gone(g, node))
        return;
    g->gone[node] = 0;
    g->gone_count--;
}

uint32_t graph_add(struct graph *g, const char *name, size_t len)
{
    uint32_t node = names_add(&g->names, name, len);
    if (node != NAMES_NONE)
        revive(g, node);
    return node;
}

bool graph_add_all(struct graph *g, struct names_token *tokens, uint32_t count)
{
    if (!names_add_all(&g->names, tokens, count))
        return false;
    for (uint32_t i = 0; g->gone_count && i < count; i++)
        revive(g, tokens[i].number);
    return true;
}

uint32_t graph_find(const struct graph *g, const char *name, size_t len)
{
    uint32_t node = names_find(&g->names, name, len);
    return node != NAMES_NONE && graph_is_gone(g, node) ? GRAPH_NONE : node;
}

bool graph_has(const struct graph *g, uint32_t node)
{
    return node < g->names.count && !graph_is_gone(g, node);
}

uint32_t graph_count(const struct graph *g) { return g->names.count - g->gone_count; }

uint32_t graph_size(const struct graph *g) { return g->names.count; }

const char *graph_name(const struct graph *g, uint32_t node) { return names_text(&g->names, node); }

uint32_t *graph_nodes(const struct graph *g)
{
    uint32_t *nodes = xmalloc((size_t)g->names.count * sizeof *nodes), count = 0;
    for (uint32_t n = 0; n < g->names.count; n++)
        if (!graph_is_gone(g, n))
            nodes[count++] = n;
    names_sort(&g->names, nodes, count);
    return nodes;
}

size_t graph_lines_size(const struct graph *g)
{
    size_t size = g->names.text_len;
    for (uint32_t n = 0; n < g->gone_cap; n++)
        size -= g->gone[n] ? names_len(&g->names, n) + 1 : 0;
    return size;
}

void graph_lines(const struct graph *g, const struct graph_plan *plan, char *to)
{
    uint32_t count = graph_plan_size(plan);
    for (uint32_t i = 0; i < count; i++) {
        if (i + 2 * AHEAD < count)
            __builtin_prefetch(&g->names.at[plan->order[i + 2 * AHEAD]]);
        if (i + AHEAD < count)
            __builtin_prefetch(names_text(&g->names, plan->order[i + AHEAD]));
        size_t len = names_len(&g->names, plan->order[i]);
        memcpy(to, names_text(&g->names, plan->order[i]), len);
        to += len;
        *to++ = '\n';
    }
}

static void note_gone(struct graph *g, uint32_t node)
{
    if (node >= g->gone_cap) {
        g->gone = xrealloc(g->gone, g->names.count);
        memset(g->gone + g->gone_cap, 0, g->names.count - g->gone_cap);
        g->gone_cap = g->names.count;
    }
    g->gone[node] = 1;
    g->gone_count++;
}

void graph_remove(struct graph *g, uint32_t node)
{
    uint32_t kept = 0;
    for (uint32_t e = 0; e < g->edge_count; e++) {
        if (g->edges[e].from == node || g->edges[e].to == node)
            continue;
        g->edges[kept] = g->edges[e];
        g->types[kept++] = g->types[e];
    }
    g->edge_count = kept;
    note_gone(g, node);
}

/* ---- edges ---- */

bool graph_link(struct graph *g, uint32_t from, uint32_t to, enum graph_type type)
{
    if (g->edge_count == g->edge_cap) {
        if (g->edge_cap > GRAPH_MAX_EDGES / 2)
            return false;
        g->edge_cap = g->edge_cap ? 2 * g->edge_cap : 32;
        g->edges = xreallocarray(g->edges, g->edge_cap, sizeof *g->edges);
        g->types = xrealloc(g->types, g->edge_cap);
    }
    g->edges[g->edge_count] = (struct graph_edge){from, to};
    g->types[g->edge_count++] = (uint8_t)type;
    return true;
}

uint32_t graph_unlink(struct graph *g, uint32_t from, uint32_t to, unsigned mask)
{
    uint32_t kept = 0;
    for (uint32_t e = 0; e < g->edge_count; e++) {
        if (g->edges[e].from == from && g->edges[e].to == to && (mask >> g->types[e] & 1))
            continue;
        g->edges[kept] = g->edges[e];
        g->types[kept++] = g->types[e];
    }
    uint32_t removed = g->edge_count - kept;
    g->edge_count = kept;
    return removed;
}

struct graph_edge graph_edge_at(const struct graph *g, uint32_t edge, enum graph_type *ret_type)
{
    *ret_type = (enum graph_type)g->types[edge];
    return g->edges[edge];
}

/* By the names of both ends, then by type: for qsort_r. */
static int compare_edges(const void *a, const void *b, void *graph)
{
    const struct graph *g = graph;
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    int order = names_compare(&g->names, g->edges[x].from, g->edges[y].from);
    if (!order)
        order = names_compare(&g->names, g->edges[x].to, g->edges[y].to);
    return order ? order : (int)g->types[x] - (int)g->types[y];
}

uint32_t graph_sort_edges(const struct graph *g, uint32_t *edges, uint32_t count)
{
    uint32_t kept = 0;
    qsort_r(edges, count, sizeof *edges, compare_edges, (void *)g);
    for (uint32_t i = 0; i < count; i++)
        if (i == 0 || compare_edges(&edges[i], &edges[i - 1], (void *)g) != 0)
            edges[kept++] = edges[i];
    return kept;
}

uint32_t *graph_edges(const struct graph *g, uint32_t touching, uint32_t *ret_count)
{
    uint32_t *edges = xmalloc((size_t)g->edge_count * sizeof *edges), count = 0;
    for (uint32_t e = 0; e < g->edge_count; e++)
        if (touching == GRAPH_NONE || g->edges[e].from == touching || g->edges[e].to == touching)
            edges[count++] = e;
    *ret_count = graph_sort_edges(g, edges, count);
    return edges;
}

/* ---- rows ---- */

struct graph_rows graph_rows_make(const struct graph *g, unsigned mask, const uint8_t *dropped,
                                  bool backwards, uint32_t *missing)
{
    struct graph_rows r = {.start = xcalloc_huge((size_t)g->names.count + 2, sizeof *r.start)};
    for (uint32_t e = 0; e < g->edge_count; e++) {
        if (!(mask >> g->types[e] & 1) || (dropped && dropped[e]))
            continue;
        r.start[(backwards ? g->edges[e].to : g->edges[e].from) + 2]++;
        if (missing)
            missing[backwards ? g->edges[e].from : g->edges[e].to]++;
    }
    for (uint32_t n = 2; n <= g->names.count + 1; n++)
        r.start[n] += r.start[n - 1];
    r.to = xgrow_huge(NULL, 0, (size_t)r.start[g->names.count + 1] * sizeof *r.to);
    for (uint32_t e = 0; e < g->edge_count; e++) {
        struct graph_edge edge = g->edges[e];
        if (!(mask >> g->types[e] & 1) || (dropped && dropped[e]))
            continue;
        if (backwards)
            r.to[r.start[edge.to + 1]++] = edge.from;
        else
            r.to[r.start[edge.from + 1]++] = edge.to;
    }
    return r;
}

void graph_rows_free(struct graph_rows *r)
{
    free(r->start);
    free(r->to);
}

uint32_t *graph_reach(const struct graph *g, const uint32_t *from, uint32_t count, unsigned mask,
                      bool backwards, uint32_t *ret_count)
{
    struct graph_rows rows = graph_rows_make(g, mask, NULL, backwards, NULL);
    uint8_t *seen = xcalloc(g->names.count, 1);
    uint32_t *reached = xmalloc((size_t)g->names.count * sizeof *reached);
    uint32_t tail = 0;
    for (uint32_t i = 0; i < count; i++)
        if (!seen[from[i]]++)
            reached[tail++] = from[i];
    for (uint32_t head = 0; head < tail; head++)
        for (uint32_t i = rows.start[reached[head]]; i < rows.start[reached[head] + 1]; i++)
            if (!seen[rows.to[i]]) {
                seen[rows.to[i]] = 1;
                reached[tail++] = rows.to[i];
            }
    names_sort(&g->names, reached, tail);
    graph_rows_free(&rows);
    free(seen);
    *ret_count = tail;
    return reached;
}
