#include "core/remark.h"

#include <string.h>

#include "core/buf.h"
#include "core/utf8.h"

/* The secret is looked for in the whole text: none is shown because it was cut in half. */
static void copy_without(struct buf *out, const char *text, size_t len, const char *secret)
{
    size_t secret_len = secret ? strlen(secret) : 0;
    for (size_t at = 0; at < len; at++) {
        if (secret_len && strncmp(text + at, secret, secret_len) == 0) {
            buf_puts(out, "***");
            at += secret_len - 1;
        } else {
            buf_append(out, text + at, 1);
        }
    }
    buf_append(out, "", 0);
}

char *remark(const char *text, size_t max, const char *secret)
{
    struct buf copy = {0};
    copy_without(&copy, text, strnlen(text, max), secret);
    char *line = buf_take(&copy);
    size_t len = utf8_prefix(line, strnlen(line, max));
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
            line[i] = ' ';
    while (len && line[len - 1] == ' ')
        len--;
    line[len] = '\0';
    return line;
}
