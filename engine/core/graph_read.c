#include "core/graph_read.h"

#include <string.h>

#include "core/err.h"
#include "core/graph.h"
#include "core/names.h"

#define BATCH 512u

/* The words of one piece that wait to be looked up together. */
struct batch {
    struct names_token tokens[BATCH];
    uint32_t count;
};

void graph_reader_init(struct graph_reader *r, struct graph *graph, const char *source)
{
    *r = (struct graph_reader){.graph = graph, .source = source, .line = 1, .first = GRAPH_NONE};
}

void graph_reader_close(struct graph_reader *r) { buf_free(&r->carry); }

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static int fail(const struct graph_reader *r, const char *what, struct err *err)
{
    return err_set(err, "invalid", "%s:%lu: %s", r->source, (unsigned long)r->line, what);
}

static bool take_word(struct graph_reader *r, uint32_t node)
{
    if (r->first == GRAPH_NONE) {
        r->first = node;
        return true;
    }
    uint32_t first = r->first;
    r->first = GRAPH_NONE;
    return first == node || graph_link(r->graph, node, first, GRAPH_REQUIRED);
}

static int flush(struct graph_reader *r, struct batch *b, struct err *err)
{
    bool fits = graph_add_all(r->graph, b->tokens, b->count);
    for (uint32_t i = 0; fits && i < b->count; i++)
        fits = take_word(r, b->tokens[i].number);
    b->count = 0;
    return fits ? 0 : fail(r, "more names or pairs than a graph can hold", err);
}

static int add_word(struct graph_reader *r, struct batch *b, const char *word, size_t len,
                    struct err *err)
{
    if (len > GRAPH_MAX_NAME)
        return fail(r, "a name of more than 4096 bytes", err);
    r->word_line = r->line;
    b->tokens[b->count++] = (struct names_token){.text = word, .len = (uint32_t)len};
    return b->count == BATCH ? flush(r, b, err) : 0;
}

/* Past the white space at `at`, counting lines. */
static const char *skip_space(struct graph_reader *r, const char *at, const char *end)
{
    for (; at < end && is_space(*at); at++)
        r->line += *at == '\n';
    return at;
}

/* Whether any of eight bytes may be white space: it is below 33. Other control characters, and what
 * follows one of those in the word, may be taken for one; is_space() decides. */
static bool may_end_word(const char *bytes)
{
    uint64_t word, ones = ~(uint64_t)0 / 255;
    memcpy(&word, bytes, 8);
    return ((word - 33 * ones) & ~word & 128 * ones) != 0;
}

static const char *word_end(const char *at, const char *end)
{
    while (end - at >= 8 && !may_end_word(at))
        at += 8;
    while (at < end && !is_space(*at))
        at++;
    return at;
}

/* Keeps the start of a word for the next piece, or its whole rest if this piece has it. */
static int fill_carry(struct graph_reader *r, const char *at, const char *end, struct err *err)
{
    buf_append(&r->carry, at, (size_t)(end - at));
    return r->carry.len > GRAPH_MAX_NAME ? fail(r, "a name of more than 4096 bytes", err) : 0;
}

static int flush_carry(struct graph_reader *r, struct err *err)
{
    struct batch b = {.count = 0};
    if (r->carry.len == 0)
        return 0;
    int result = add_word(r, &b, r->carry.data, r->carry.len, err);
    if (result == 0)
        result = flush(r, &b, err);
    buf_consume(&r->carry, r->carry.len);
    return result;
}

static int read_words(struct graph_reader *r, const char *at, const char *end, struct err *err)
{
    struct batch b;
    b.count = 0;
    for (;;) {
        at = skip_space(r, at, end);
        const char *stop = word_end(at, end);
        if (stop == end)
            break;
        if (add_word(r, &b, at, (size_t)(stop - at), err) < 0)
            return -1;
        at = stop;
    }
    return flush(r, &b, err) < 0 ? -1 : fill_carry(r, at, end, err);
}

static int refuse_nul(struct graph_reader *r, const char *text, const char *nul, struct err *err)
{
    for (; text < nul; text++)
        r->line += *text == '\n';
    return fail(r, "a NUL byte: this is no text", err);
}

int graph_reader_feed(struct graph_reader *r, const char *text, size_t len, struct err *err)
{
    const char *end = text + len, *at = text, *nul = memchr(text, '\0', len);
    if (nul)
        return refuse_nul(r, text, nul, err);
    if (r->carry.len) {
        at = word_end(text, end);
        if (fill_carry(r, text, at, err) < 0)
            return -1;
        if (at == end)
            return 0;
        if (flush_carry(r, err) < 0)
            return -1;
    }
    return read_words(r, at, end, err);
}

int graph_reader_end(struct graph_reader *r, struct err *err)
{
    if (flush_carry(r, err) < 0)
        return -1;
    if (r->first == GRAPH_NONE)
        return 0;
    const char *name = graph_name(r->graph, r->first);
    return err_set(err, "invalid", "%s:%lu: an odd number of words: \"%.200s\" has no partner",
                   r->source, (unsigned long)r->word_line, name);
}
