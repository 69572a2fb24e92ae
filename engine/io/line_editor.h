/* line_editor.h -- editing one line on the terminal of descriptors 0 and 1, with libedit.
 *
 * It never reads: it is fed with keys, does what they say and draws. While a line is edited the
 * terminal is raw; between two lines it is as it was. Text is UTF-8, whatever the locale says. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct err;
struct keys;
struct line_editor;

enum line_event { LINE_NONE, LINE_ENTERED, LINE_TAB, LINE_INTERRUPT, LINE_EOF };

/* `name` is the program's, as libedit has it. Both descriptors must be terminals. */
struct line_editor *line_editor_new(const char *name, struct err *err);

/* Puts the terminal back and frees the editor. */
void line_editor_free(struct line_editor *ed);

/* Adds what the up-arrow finds first. */
void line_editor_remember(struct line_editor *ed, const char *entry);

/* Draws the prompt and an empty line, and returns true, unless a line is being edited: that goes
 * on. What lies between two \1 in the prompt takes no room (colours); it may not stand at its end.
 */
bool line_editor_begin(struct line_editor *ed, const char *prompt);

/* Takes whole keys until there is an event or no key is left; with `force` half a key too. After
 * LINE_ENTERED, LINE_INTERRUPT and LINE_EOF the line is over: line_editor_end() it. */
enum line_event line_editor_feed(struct line_editor *ed, struct keys *keys, bool force);

/* The line being edited, owned by the caller; *ret_point is how many bytes stand before the cursor.
 */
char *line_editor_text(struct line_editor *ed, size_t *ret_point);

/* Inserts text at the cursor of a line that is edited, instead of so many characters before it. */
void line_editor_insert(struct line_editor *ed, const char *text, int instead);

/* Prints text (whole lines) above the prompt, if there is one, which is drawn again below it. */
void line_editor_print(struct line_editor *ed, const char *text);

/* Ends the line, if one is edited: `said` and a newline are shown behind it. */
void line_editor_end(struct line_editor *ed, const char *said);

/* The window has another size. */
void line_editor_resized(struct line_editor *ed);
