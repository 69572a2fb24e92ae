/* line_history.h -- the lines that a person has typed, kept in a file from one session to the next.
 *
 * One entry is one line of the file; a newline and a backslash in it are written \n and \\. An
 * entry is appended when it is typed, so that sessions side by side lose nothing of each other. The
 * file is 0600 and is cut to the newest entries when it is opened. */
#pragma once
#include <stddef.h>

struct err;

enum { LINE_HISTORY_MAX = 1000, LINE_HISTORY_ENTRY_MAX = 16 * 1024 };

struct line_history {
    char *path;     /* owned; NULL: it is kept in memory only */
    char **entries; /* owned, each too; oldest first */
    size_t count;
};

/* A file that is not there is an empty history. Its folder must exist. */
int line_history_open(struct line_history *h, const char *path, struct err *err);

/* Keeps `entry`, unless it is blank, begins with a space (that is how a person keeps a line out),
 * is over 16 KiB, or equals the one before. Returns 1 if it was kept, 0 if it was not, -1 if it is
 * in memory and could not be written to the file. */
int line_history_add(struct line_history *h, const char *entry, struct err *err);

void line_history_close(struct line_history *h);
