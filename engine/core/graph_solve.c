#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/graph_store.h"
#include "core/knot.h"
#include "core/mem.h"

#define WAITED_FOR (GRAPH_MASK(GRAPH_REQUIRED) | GRAPH_MASK(GRAPH_OPTIONAL))
#define ORDERING (WAITED_FOR | GRAPH_MASK(GRAPH_SOFT))
#define TOLD_NAMES 20u /* of a long cycle, in a message */
#define TOLD_KNOTS 5u
#define AHEAD 16u /* nodes whose rows are fetched early: they lie anywhere in memory */

/* ---- waves ---- */

/* Appends to the order what waited for `node` alone. */
static uint32_t release(const struct graph_rows *dependents, uint32_t node, uint32_t *missing,
                        uint32_t *order, uint32_t tail)
{
    for (uint32_t i = dependents->start[node]; i < dependents->start[node + 1]; i++)
        if (--missing[dependents->to[i]] == 0)
            order[tail++] = dependents->to[i];
    return tail;
}

static uint32_t release_wave(const struct graph_rows *dependents, uint32_t head, uint32_t end,
                             uint32_t *missing, uint32_t *order)
{
    uint32_t tail = end;
    for (; head < end; head++) {
        if (head + 2 * AHEAD < end)
            __builtin_prefetch(&dependents->start[order[head + 2 * AHEAD]]);
        if (head + AHEAD < end)
            __builtin_prefetch(&dependents->to[dependents->start[order[head + AHEAD]]]);
        tail = release(dependents, order[head], missing, order, tail);
    }
    return tail;
}

/* A wave is what needs nothing but earlier waves. False if a cycle keeps some node out. */
static bool make_waves(const struct graph *g, struct graph_plan *plan)
{
    uint32_t *missing = xcalloc_huge(g->names.count, sizeof *missing);
    struct graph_rows dependents = graph_rows_make(g, ORDERING, plan->unordering, true, missing);
    uint32_t head = 0, tail = 0;
    for (uint32_t n = 0; n < g->names.count; n++)
        if (missing[n] == 0 && !graph_is_gone(g, n))
            plan->order[tail++] = n;
    plan->wave_count = 0;
    while (head < tail) {
        uint32_t end = tail;
        names_sort(&g->names, plan->order + head, end - head);
        plan->waves[plan->wave_count++] = head;
        tail = release_wave(&dependents, head, end, missing, plan->order);
        head = end;
    }
    plan->waves[plan->wave_count] = tail;
    free(missing);
    graph_rows_free(&dependents);
    return tail == graph_count(g);
}

/* ---- strongly connected components: Tarjan's walk, with its own stack ---- */

struct scc {
    struct graph_rows rows;         /* embedded: to what each node points */
    uint32_t *index, *low, *cursor; /* owned; index 0: not reached yet */
    uint32_t *path, *stack;         /* owned */
    uint32_t depth, stacked, reached;
    uint32_t *component; /* the result: of each node, GRAPH_NONE until known */
    uint32_t count;
};

static void scc_enter(struct scc *s, uint32_t node)
{
    s->index[node] = s->low[node] = ++s->reached;
    s->cursor[node] = s->rows.start[node];
    s->path[s->depth++] = node;
    s->stack[s->stacked++] = node;
}

static void scc_leave(struct scc *s, uint32_t node)
{
    s->depth--;
    if (s->low[node] != s->index[node]) { /* so it is not the first of the path */
        uint32_t parent = s->path[s->depth - 1];
        if (s->low[node] < s->low[parent])
            s->low[parent] = s->low[node];
        return;
    }
    uint32_t member;
    do {
        member = s->stack[--s->stacked];
        s->component[member] = s->count;
    } while (member != node);
    s->count++;
}

static void scc_step(struct scc *s)
{
    uint32_t node = s->path[s->depth - 1];
    if (s->cursor[node] == s->rows.start[node + 1]) {
        scc_leave(s, node);
        return;
    }
    uint32_t to = s->rows.to[s->cursor[node]++];
    if (!s->index[to])
        scc_enter(s, to);
    else if (s->component[to] == GRAPH_NONE && s->index[to] < s->low[node])
        s->low[node] = s->index[to];
}

/* The component of every node over those edges. The caller frees it. */
static uint32_t *find_components(const struct graph *g, unsigned mask, const uint8_t *dropped,
                                 uint32_t *ret_count)
{
    size_t n = g->names.count;
    uint32_t *block = xcalloc(5 * n, sizeof *block);
    struct scc s = {.rows = graph_rows_make(g, mask, dropped, false, NULL),
                    .index = block,
                    .low = block + n,
                    .cursor = block + 2 * n,
                    .path = block + 3 * n,
                    .stack = block + 4 * n,
                    .component = xmalloc(n * sizeof *s.component)};
    memset(s.component, 0xff, n * sizeof *s.component);
    for (uint32_t root = 0; root < n; root++) {
        if (!s.index[root])
            scc_enter(&s, root);
        while (s.depth)
            scc_step(&s);
    }
    graph_rows_free(&s.rows);
    free(block);
    *ret_count = s.count;
    return s.component;
}

/* ---- optional and soft edges on a cycle ---- */

/* Drops the edges of that type which lie on a cycle of the edges in `mask`. */
static void drop_cyclic(const struct graph *g, unsigned mask, enum graph_type type,
                        uint8_t *dropped)
{
    uint32_t count;
    uint32_t *component = find_components(g, mask, dropped, &count);
    for (uint32_t e = 0; e < g->edge_count; e++)
        if (g->types[e] == type && component[g->edges[e].from] == component[g->edges[e].to])
            dropped[e] = 1;
    free(component);
}

/* Soft edges give way to optional ones, and both to required ones. */
static uint8_t *choose_dropped(const struct graph *g)
{
    uint8_t *dropped = xcalloc(g->edge_count, 1);
    drop_cyclic(g, GRAPH_MASK(GRAPH_REQUIRED) | GRAPH_MASK(GRAPH_OPTIONAL), GRAPH_OPTIONAL,
                dropped);
    drop_cyclic(g, ORDERING, GRAPH_SOFT, dropped);
    return dropped;
}

static void list_dropped(const struct graph *g, struct graph_plan *plan)
{
    uint32_t count = 0;
    plan->dropped = xmalloc((size_t)g->edge_count * sizeof *plan->dropped);
    for (uint32_t e = 0; e < g->edge_count; e++)
        if (plan->unordering[e])
            plan->dropped[count++] = e;
    plan->dropped_count = graph_sort_edges(g, plan->dropped, count);
}

/* ---- knots ---- */

struct knots {
    const struct graph *g;
    struct graph_rows rows; /* embedded: required edges */
    uint32_t *component;    /* owned: of each node */
    uint32_t *local;        /* owned: each node's number within its component */
};

static int compare_numbers(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* Appends the sorted targets of `node` within its component, each once. */
static uint32_t local_targets(const struct knots *ks, uint32_t node, uint32_t *to)
{
    uint32_t count = 0, kept = 0;
    for (uint32_t i = ks->rows.start[node]; i < ks->rows.start[node + 1]; i++)
        if (ks->component[ks->rows.to[i]] == ks->component[node])
            to[count++] = ks->local[ks->rows.to[i]];
    qsort(to, count, sizeof *to, compare_numbers);
    for (uint32_t i = 0; i < count; i++)
        if (i == 0 || to[i] != to[i - 1])
            to[kept++] = to[i];
    return kept;
}

/* Members are known and numbered; the rest follows. */
static void fill_knot(const struct knots *ks, struct graph_knot *knot)
{
    uint32_t n = knot->member_count, edges = 0;
    for (uint32_t i = 0; i < n; i++)
        edges += ks->rows.start[knot->members[i] + 1] - ks->rows.start[knot->members[i]];
    uint32_t *start = xmalloc(((size_t)n + 1) * sizeof *start);
    uint32_t *to = xmalloc((size_t)edges * sizeof *to);
    start[0] = 0;
    for (uint32_t i = 0; i < n; i++)
        start[i + 1] = start[i] + local_targets(ks, knot->members[i], to + start[i]);

    struct knot k = {.count = n, .start = start, .to = to};
    knot->cycle = knot_cycle(&k, &knot->cycle_count, &knot->shortest);
    for (uint32_t i = 0; i < knot->cycle_count; i++)
        knot->cycle[i] = knot->members[knot->cycle[i]];
    struct knot_edge *cut = knot_cut(&k, &knot->cut_count, &knot->exact);
    knot->cut = xmalloc(knot->cut_count * sizeof *knot->cut);
    for (uint32_t i = 0; i < knot->cut_count; i++)
        knot->cut[i] = (struct graph_edge){knot->members[cut[i].from], knot->members[cut[i].to]};
    free(cut);
    free(start);
    free(to);
}

static bool points_to_itself(const struct graph_rows *rows, uint32_t node)
{
    for (uint32_t i = rows->start[node]; i < rows->start[node + 1]; i++)
        if (rows->to[i] == node)
            return true;
    return false;
}

/* Members of every component, those of c at at[c]..at[c+1]. */
static uint32_t *group_members(const struct knots *ks, uint32_t count, uint32_t **ret_at)
{
    uint32_t n = ks->g->names.count;
    uint32_t *at = xcalloc((size_t)count + 2, sizeof *at);
    uint32_t *members = xmalloc((size_t)n * sizeof *members);
    for (uint32_t i = 0; i < n; i++)
        at[ks->component[i] + 2]++;
    for (uint32_t c = 2; c <= count; c++)
        at[c] += at[c - 1];
    for (uint32_t i = 0; i < n; i++)
        members[at[ks->component[i] + 1]++] = i;
    *ret_at = at;
    return members;
}

static void add_knot(const struct knots *ks, struct graph_plan *plan, const uint32_t *members,
                     uint32_t count)
{
    struct graph_knot *knot = &plan->knots[plan->knot_count++];
    knot->members = xmalloc((size_t)count * sizeof *members);
    knot->member_count = count;
    memcpy(knot->members, members, (size_t)count * sizeof *members);
    names_sort(&ks->g->names, knot->members, count);
    for (uint32_t i = 0; i < count; i++)
        ks->local[knot->members[i]] = i;
    fill_knot(ks, knot);
}

static int compare_knots(const void *a, const void *b, void *graph)
{
    const struct graph_knot *x = a, *y = b;
    return strcmp(graph_name(graph, x->members[0]), graph_name(graph, y->members[0]));
}

static void find_knots(const struct graph *g, struct graph_plan *plan)
{
    unsigned mask = GRAPH_MASK(GRAPH_REQUIRED);
    uint32_t count, *at;
    struct knots ks = {.g = g,
                       .rows = graph_rows_make(g, mask, NULL, false, NULL),
                       .component = find_components(g, mask, NULL, &count),
                       .local = xcalloc(g->names.count, sizeof *ks.local)};
    uint32_t *members = group_members(&ks, count, &at);
    plan->knots = xcalloc(count, sizeof *plan->knots);
    for (uint32_t c = 0; c < count; c++)
        if (at[c + 1] - at[c] > 1 || points_to_itself(&ks.rows, members[at[c]]))
            add_knot(&ks, plan, members + at[c], at[c + 1] - at[c]);
    qsort_r(plan->knots, plan->knot_count, sizeof *plan->knots, compare_knots, (void *)g);
    free(members);
    free(at);
    free(ks.local);
    free(ks.component);
    graph_rows_free(&ks.rows);
}

static void tell_cycle(const struct graph *g, const struct graph_knot *knot, struct buf *text)
{
    uint32_t told = knot->cycle_count <= TOLD_NAMES + 1 ? knot->cycle_count - 1 : TOLD_NAMES;
    for (uint32_t i = 0; i < told; i++)
        buf_printf(text, "%s -> ", graph_name(g, knot->cycle[i]));
    if (told < knot->cycle_count - 1)
        buf_printf(text, "(%u more) -> ", knot->cycle_count - 1 - told);
    buf_puts(text, graph_name(g, knot->cycle[0]));
}

static int cycle_error(const struct graph *g, const struct graph_plan *plan, struct err *err)
{
    struct buf text = {0};
    uint32_t told = plan->knot_count < TOLD_KNOTS ? plan->knot_count : TOLD_KNOTS;
    for (uint32_t i = 0; i < told; i++) {
        buf_puts(&text, i ? "; " : "");
        tell_cycle(g, &plan->knots[i], &text);
    }
    if (told < plan->knot_count)
        buf_printf(&text, "; and %u more", plan->knot_count - told);
    err_set(err, "cycle", "Circular dependency detected: %s", text.data);
    buf_free(&text);
    return -1;
}

/* ---- the whole ---- */

int graph_solve(const struct graph *g, struct graph_plan *plan, struct err *err)
{
    *plan = (struct graph_plan){0};
    plan->order = xmalloc(((size_t)g->names.count + 1) * sizeof *plan->order);
    plan->waves = xmalloc(((size_t)g->names.count + 1) * sizeof *plan->waves);
    if (make_waves(g, plan))
        return 0;
    plan->unordering = choose_dropped(g);
    if (make_waves(g, plan)) {
        list_dropped(g, plan);
        return 0;
    }
    find_knots(g, plan);
    return cycle_error(g, plan, err);
}

void graph_plan_close(struct graph_plan *plan)
{
    for (uint32_t i = 0; i < plan->knot_count; i++) {
        free(plan->knots[i].members);
        free(plan->knots[i].cycle);
        free(plan->knots[i].cut);
    }
    free(plan->knots);
    free(plan->order);
    free(plan->waves);
    free(plan->dropped);
    free(plan->unordering);
    *plan = (struct graph_plan){0};
}

/* ---- the critical path ---- */

struct chains {
    const struct graph *g;
    const double *seconds; /* borrowed; NULL: every node counts 1 */
    double *before;        /* owned: of each node, the longest that it waits */
    uint32_t *last;        /* owned: the dependency that it waits longest for, or GRAPH_NONE */
};

static double chain_through(const struct chains *c, uint32_t node)
{
    return c->before[node] + (c->seconds ? c->seconds[node] : 1);
}

/* Of equally long chains the one whose last name comes first. */
static bool is_better(const struct chains *c, double length, double best, uint32_t node,
                      uint32_t best_node)
{
    if (length != best || best_node == GRAPH_NONE)
        return length > best || best_node == GRAPH_NONE;
    return names_compare(&c->g->names, node, best_node) < 0;
}

static void follow_chains(struct chains *c, const struct graph_plan *plan)
{
    struct graph_rows dependents = graph_rows_make(c->g, WAITED_FOR, plan->unordering, true, NULL);
    for (uint32_t i = 0; i < graph_count(c->g); i++) {
        uint32_t node = plan->order[i];
        double length = chain_through(c, node);
        for (uint32_t r = dependents.start[node]; r < dependents.start[node + 1]; r++) {
            uint32_t to = dependents.to[r];
            if (!is_better(c, length, c->before[to], node, c->last[to]))
                continue;
            c->before[to] = length;
            c->last[to] = node;
        }
    }
    graph_rows_free(&dependents);
}

void graph_critical(const struct graph *g, const struct graph_plan *plan, const double *seconds,
                    struct graph_chain *ret)
{
    uint32_t n = g->names.count, end = GRAPH_NONE;
    struct chains c = {.g = g,
                       .seconds = seconds,
                       .before = xcalloc(n, sizeof *c.before),
                       .last = xmalloc((size_t)n * sizeof *c.last)};
    memset(c.last, 0xff, (size_t)n * sizeof *c.last);
    follow_chains(&c, plan);
    *ret = (struct graph_chain){.nodes = xmalloc((size_t)n * sizeof *ret->nodes)};
    for (uint32_t i = 0; i < graph_count(g); i++)
        if (is_better(&c, chain_through(&c, plan->order[i]), ret->length, plan->order[i], end)) {
            end = plan->order[i];
            ret->length = chain_through(&c, end);
        }
    for (uint32_t node = end; node != GRAPH_NONE; node = c.last[node])
        ret->count++;
    for (uint32_t node = end, i = ret->count; i--; node = c.last[node])
        ret->nodes[i] = node;
    free(c.before);
    free(c.last);
}
