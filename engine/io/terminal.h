/* terminal.h -- a person who types lines on descriptor 0 while the loop runs; or, where 0 and 1 are
 * no terminals, a file or a pipe with lines in it, which are read without any prompt.
 *
 * Input is read only while somebody has asked for the next event, at most one at a time. A process
 * has one terminal, and so at most one of these is open. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct err;
struct io;
struct terminal;

enum terminal_kind {
    TERMINAL_LINE,
    TERMINAL_TAB,
    TERMINAL_INTERRUPT, /* Ctrl-C while a line was edited; the line is gone */
    TERMINAL_EOF,
    TERMINAL_TOO_LONG, /* a line of a file is over 1 MiB; nothing more is read */
};

struct terminal_event {
    enum terminal_kind kind;
    const char *text; /* borrowed until the next call: of TERMINAL_LINE and TERMINAL_TAB */
    size_t len;
    size_t point; /* of TERMINAL_TAB: how many bytes stand before the cursor */
};

/* From the loop, once after terminal_next() gave false, however often it was asked. */
typedef void terminal_done_fn(void *data, const struct terminal_event *event);

/* `history` is a file or NULL: see line_history.h. Lines of the log (io_log) are shown above the
 * prompt from now on. */
struct terminal *terminal_open(struct io *io, const char *name, const char *history,
                               terminal_done_fn *done, void *data, struct err *err);

/* Asks for the next event. True: it is there, in *ret_event; false: `done` will be called. */
bool terminal_next(struct terminal *t, const char *prompt, struct terminal_event *ret_event);

/* Whether a person edits lines, and no file is read. */
bool terminal_is_edited(const struct terminal *t);

/* See line_editor.h. Without a person nothing is inserted, and text is printed as it is. */
void terminal_insert(struct terminal *t, const char *text, int instead);
void terminal_print(struct terminal *t, const char *text);

/* As line_history_add(); what is kept is found by the up-arrow. */
int terminal_remember(struct terminal *t, const char *entry, struct err *err);

/* Puts the terminal back as it was. `done` is not called after it. */
void terminal_close(struct terminal *t);
