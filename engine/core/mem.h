/* mem.h -- allocation that cannot fail: out of memory aborts, so no caller has a branch for it. */
#pragma once
#include <stdarg.h>
#include <stddef.h>

void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
/* As xcalloc(), in huge pages where that is big enough: for tables that are read all over. */
void *xcalloc_huge(size_t count, size_t size);
/* A block of that kind, `old` (that it frees) grown from its first `len` bytes to `size`. */
void *xgrow_huge(void *old, size_t len, size_t size);
void *xrealloc(void *old, size_t size);
void *xreallocarray(void *old, size_t count, size_t size);
char *xstrdup(const char *text);                 /* NULL gives NULL */
char *xstrndup(const char *text, size_t length); /* the result ends in a NUL */
char *xasprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *xvasprintf(const char *format, va_list args) __attribute__((format(printf, 1, 0)));

/* A NULL-terminated list of strings, copied into one block: free() it. NULL gives NULL. */
char **xstrvdup(char *const *list);
