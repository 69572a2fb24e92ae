/* buf.h -- bytes that grow. Always NUL-terminated once something was appended. */
#pragma once
#include <stddef.h>

struct buf {
    char *data; /* owned; NULL while empty */
    size_t len, cap;
};

void buf_append(struct buf *b, const void *data, size_t len);
/* Appends `len` bytes for the caller to fill in. */
char *buf_reserve(struct buf *b, size_t len);
void buf_puts(struct buf *b, const char *text);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_consume(struct buf *b, size_t len); /* drops the first len bytes */
char *buf_take(struct buf *b);               /* the caller owns the text; never NULL */
void buf_free(struct buf *b);
