/* graph_read.h -- a graph from text as tsort reads it: words in pairs, "a b" for b depends on a,
 * and a pair of equal words for a node alone.
 *
 * Pure; takes the text in pieces that may end anywhere. Embedded by value in its owner. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"

#define GRAPH_MAX_NAME 4096

struct err;
struct graph;

struct graph_reader {
    struct graph *graph; /* borrowed */
    const char *source;  /* borrowed: the file, as messages name it */
    struct buf carry;    /* the start of a word that the last piece cut off */
    uint64_t line;
    uint64_t word_line; /* that of the last word */
    uint32_t first;     /* of a pair whose second word has not come, or GRAPH_NONE */
};

void graph_reader_init(struct graph_reader *r, struct graph *graph, const char *source);
void graph_reader_close(struct graph_reader *r);

/* Reads on. After a -1 (code "invalid", with the line) the graph is of no use. */
int graph_reader_feed(struct graph_reader *r, const char *text, size_t len, struct err *err);
int graph_reader_end(struct graph_reader *r, struct err *err);
