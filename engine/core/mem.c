#include "core/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_PAGE ((size_t)2 * 1024 * 1024)

static void *checked(void *block)
{
    if (!block)
        abort();
    return block;
}

void *xmalloc(size_t size) { return checked(malloc(size ? size : 1)); }

void *xcalloc(size_t count, size_t size)
{
    return checked(calloc(count ? count : 1, size ? size : 1));
}

/* A wish, before the block is touched: nothing depends on it. Blocks that big are fresh from the
 * kernel, so calloc() has not touched them either. */
static void *wish_huge(void *block, size_t size)
{
    uintptr_t from = ((uintptr_t)block + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    uintptr_t to = ((uintptr_t)block + size) / HUGE_PAGE * HUGE_PAGE;
    if (from < to)
        madvise((void *)from, to - from, MADV_HUGEPAGE);
    return block;
}

void *xcalloc_huge(size_t count, size_t size)
{
    return wish_huge(xcalloc(count, size), count * size);
}

/* Not by realloc(), which would keep the small pages that there are. */
void *xgrow_huge(void *old, size_t len, size_t size)
{
    void *block = wish_huge(xmalloc(size), size);
    if (len)
        memcpy(block, old, len);
    free(old);
    return block;
}

void *xrealloc(void *old, size_t size) { return checked(realloc(old, size ? size : 1)); }

void *xreallocarray(void *old, size_t count, size_t size)
{
    return checked(reallocarray(old, count ? count : 1, size ? size : 1));
}

char *xstrdup(const char *text) { return text ? checked(strdup(text)) : NULL; }

char *xstrndup(const char *text, size_t length)
{
    char *copy = xmalloc(length + 1);
    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

char *xvasprintf(const char *format, va_list args)
{
    char *text;
    if (vasprintf(&text, format, args) < 0)
        abort();
    return text;
}

char *xasprintf(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = xvasprintf(format, args);
    va_end(args);
    return text;
}

char **xstrvdup(char *const *list)
{
    if (!list)
        return NULL;
    size_t count = 0, bytes = 0;
    for (; list[count]; count++)
        bytes += strlen(list[count]) + 1;
    char **copy = xmalloc((count + 1) * sizeof *copy + bytes);
    char *text = (char *)(copy + count + 1);
    for (size_t i = 0; i < count; i++) {
        copy[i] = strcpy(text, list[i]);
        text += strlen(text) + 1;
    }
    copy[count] = NULL;
    return copy;
}
