/* err.h -- why something failed: a code for programs and a sentence for people.
 *
 * A function that can fail takes `struct err *err` last and returns -1 or NULL after
 * err_set(). The callee never logs what it returns. Codes: timeout refused not_found bad_reply
 * io cycle denied deadlock exists closed invalid. */
#pragma once
#include <stdarg.h>

struct err {
    const char *code; /* borrowed: a literal; NULL while nothing failed */
    char *message;    /* owned; release with err_clear() */
};

/* Sets code and message, replacing an earlier one. Always returns -1. `err` may be NULL. */
int err_set(struct err *err, const char *code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* As err_set(), with ": <strerror(number)>" appended and the code that fits the errno value. */
int err_errno(struct err *err, int number, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

void err_move(struct err *to, struct err *from); /* `from` is empty afterwards */
void err_clear(struct err *err);
