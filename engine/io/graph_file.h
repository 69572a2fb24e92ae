/* graph_file.h -- a graph from a file of pairs, read beside the loop: see core/graph_read.h. */
#pragma once
#include <stdint.h>

struct err;
struct graph;
struct graph_file;
struct io;

/* Called from the loop, later, exactly once: with a graph that is then the callee's, or with NULL
 * and why. */
typedef void graph_file_fn(void *data, struct graph *graph, const struct err *err);

/* Reads at most `max` bytes from `path`: a file or a pipe; "-" is standard input. */
struct graph_file *graph_file_read(struct io *io, const char *path, uint64_t max,
                                   graph_file_fn *done, void *data);
void graph_file_cancel(struct graph_file *f); /* `done` is not called */
