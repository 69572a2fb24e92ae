#include "env_text.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/mem.h"
#include "core/utf8.h"

/* ---- reading ---- */

struct reader {
    const char *at, *end;
    const char *start;     /* of the whole text */
    const char *expansion; /* what sh would have replaced in the value; NULL: nothing */
};

static int fail(const struct reader *r, const char *at, struct err *err, const char *what)
{
    size_t line = 1;
    for (const char *c = r->start; c < at && c < r->end; c++)
        line += *c == '\n';
    return err_set(err, "invalid", "%zu: %s", line, what);
}

static bool is_name(char c, bool first)
{
    return c == '_' || isalpha((unsigned char)c) || (!first && isdigit((unsigned char)c));
}

static void skip_blanks(struct reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\t'))
        r->at++;
}

static int single_quoted(struct reader *r, struct buf *out, struct err *err)
{
    const char *close = memchr(r->at, '\'', (size_t)(r->end - r->at));
    if (!close)
        return fail(r, r->at, err, "this quote is not closed");
    buf_append(out, r->at, (size_t)(close - r->at));
    r->at = close + 1;
    return 0;
}

static int double_quoted(struct reader *r, struct buf *out, struct err *err)
{
    const char *open = r->at;
    while (r->at < r->end && *r->at != '"') {
        char c = *r->at++;
        bool escaped = c == '\\' && r->at < r->end && *r->at && strchr("\"\\$`\n", *r->at);
        if (escaped)
            c = *r->at++;
        else if (c == '$' || c == '`')
            r->expansion = r->at - 1;
        if (!escaped || c != '\n') /* an escaped end of line is none */
            buf_append(out, &c, 1);
    }
    if (r->at == r->end)
        return fail(r, open, err, "this quote is not closed");
    r->at++;
    return 0;
}

/* Characters that end a word or mean something to sh, where they stand bare. */
static bool is_special(char c) { return strchr("|&;<>()", c) != NULL; }

static int read_value(struct reader *r, struct buf *out, struct err *err)
{
    buf_append(out, "", 0);
    while (r->at < r->end && !isspace((unsigned char)*r->at)) {
        char c = *r->at++;
        if (c == '\'') {
            if (single_quoted(r, out, err) < 0)
                return -1;
        } else if (c == '"') {
            if (double_quoted(r, out, err) < 0)
                return -1;
        } else if (c == '\\' && r->at < r->end) {
            buf_append(out, r->at++, 1);
        } else {
            if (c == '$' || c == '`' || is_special(c))
                r->expansion = r->at - 1;
            buf_append(out, &c, 1);
        }
    }
    return 0;
}

static void skip_line(struct reader *r)
{
    while (r->at < r->end && *r->at++ != '\n')
        ;
}

/* The name that an assignment begins with, `export` before it or not; NULL if this is none. */
static char *read_target(struct reader *r)
{
    if (r->end - r->at > 7 && strncmp(r->at, "export", 6) == 0 && isblank((unsigned char)r->at[6]))
        r->at += 7;
    skip_blanks(r);
    const char *name = r->at;
    while (r->at < r->end && is_name(*r->at, r->at == name))
        r->at++;
    if (r->at == name || r->at == r->end || *r->at != '=')
        return NULL;
    r->at++;
    return xstrndup(name, (size_t)(r->at - 1 - name));
}

static int keep_ours(struct reader *r, const char *at, const char *name, const struct buf *value,
                     json_t *variables, struct err *err)
{
    if (r->expansion)
        return fail(r, r->expansion, err, "sh would replace this; put the value in single quotes");
    skip_blanks(r);
    if (r->at < r->end && *r->at == '#')
        skip_line(r);
    else if (r->at < r->end && *r->at != '\n' && *r->at != '\r')
        return fail(r, r->at, err, "a value with blanks must be in quotes");
    if (memchr(value->data, '\0', value->len) || utf8_prefix(value->data, value->len) != value->len)
        return fail(r, at, err, "this value is not valid UTF-8");
    json_object_set_new(variables, name, json_stringn(value->data, value->len));
    return 0;
}

static int read_line(struct reader *r, const char *prefix, json_t *variables, struct buf *others,
                     struct err *err)
{
    const char *start = r->at;
    struct buf value = {0};
    int result = 0;
    bool ours = false;
    skip_blanks(r);
    char *name = *r->at == '#' ? NULL : read_target(r);
    if (name) {
        r->expansion = NULL;
        result = read_value(r, &value, err);
        ours = result == 0 && strncmp(name, prefix, strlen(prefix)) == 0;
    }
    if (ours)
        result = keep_ours(r, start, name, &value, variables, err);
    if (r->at == start || r->at[-1] != '\n')
        skip_line(r);
    if (result == 0 && !ours && others)
        buf_append(others, start, (size_t)(r->at - start));
    buf_free(&value);
    free(name);
    return result;
}

int env_text_read(const char *text, size_t len, const char *prefix, json_t *variables,
                  struct buf *others, struct err *err)
{
    struct reader r = {.at = text, .end = text + len, .start = text};
    while (r.at < r.end)
        if (read_line(&r, prefix, variables, others, err) < 0)
            return -1;
    if (others && others->len && others->data[others->len - 1] != '\n')
        buf_puts(others, "\n");
    return 0;
}

/* ---- writing ---- */

static bool is_bare(const char *text)
{
    for (; *text; text++)
        if (!isalnum((unsigned char)*text) && !strchr("_@%+:,./=-", *text) &&
            !((unsigned char)*text & 0x80))
            return false;
    return true;
}

static void write_value(struct buf *out, const char *text)
{
    if (is_bare(text)) {
        buf_puts(out, text);
        return;
    }
    buf_puts(out, "\"");
    for (; *text; text++) {
        if (strchr("\"\\$`", *text))
            buf_puts(out, "\\");
        buf_append(out, text, 1);
    }
    buf_puts(out, "\"");
}

void env_text_write(struct buf *out, const json_t *variables)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)variables, name, value)
    {
        buf_printf(out, "%s=", name);
        write_value(out, json_string_value(value));
        buf_puts(out, "\n");
    }
}
