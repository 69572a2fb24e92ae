#include "core/keys.h"

#include <string.h>

#include "core/utf8.h"

#define ESC 0x1b
#define CTRL_V 0x16
#define CTRL_X 0x18
#define PASTE_BEGIN "\x1b[200~"
#define PASTE_END "\x1b[201~"

/* How many bytes a character that begins with `first` has. */
static size_t width_of(unsigned char first)
{
    if (first >= 0xf0)
        return 4;
    if (first >= 0xe0)
        return 3;
    return first >= 0xc0 ? 2 : 1;
}

static bool has_character(const char *text, size_t len)
{
    if (!len)
        return false;
    size_t width = width_of((unsigned char)text[0]);
    if (len >= width)
        return true;
    for (size_t i = 1; i < len; i++)
        if (((unsigned char)text[i] & 0xc0) != 0x80)
            return true; /* it is broken, and waits for nothing */
    return false;
}

/* ESC, ESC x, ESC O x, ESC [ 1 ; 5 C */
static bool has_sequence(const char *text, size_t len)
{
    if (len < 2)
        return false;
    if (text[1] == 'O')
        return len >= 3;
    if (text[1] != '[')
        return has_character(text + 1, len - 1);
    for (size_t i = 2; i < len; i++)
        if (text[i] >= 0x40 && text[i] <= 0x7e)
            return true;
    return false;
}

static bool begins_paste(const struct buf *b)
{
    return b->len >= strlen(PASTE_BEGIN) && memcmp(b->data, PASTE_BEGIN, strlen(PASTE_BEGIN)) == 0;
}

static const char *paste_end(const struct buf *b)
{
    return memmem(b->data, b->len, PASTE_END, strlen(PASTE_END));
}

enum keys_front keys_front(const struct keys *k)
{
    const struct buf *b = &k->bytes;

    if (!b->len)
        return KEYS_NONE;
    if (begins_paste(b))
        return paste_end(b) || b->len >= KEYS_MAX ? KEYS_PASTE : KEYS_QUOTED;
    if (b->data[0] == ESC)
        return has_sequence(b->data, b->len) ? KEYS_KEY : KEYS_HALF;
    if ((b->data[0] == CTRL_V || b->data[0] == CTRL_X) && !has_character(b->data + 1, b->len - 1))
        return KEYS_QUOTED;
    return has_character(b->data, b->len) ? KEYS_KEY : KEYS_HALF;
}

static uint32_t decode(const char *text, size_t width)
{
    static const unsigned char masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t character = (unsigned char)text[0] & masks[width];
    for (size_t i = 1; i < width; i++)
        character = character << 6 | ((unsigned char)text[i] & 0x3f);
    return character;
}

bool keys_take(struct keys *k, uint32_t *ret_character)
{
    struct buf *b = &k->bytes;

    if (!b->len)
        return false;
    size_t width = width_of((unsigned char)b->data[0]);
    bool whole = b->len >= width && utf8_prefix(b->data, width) == width;
    *ret_character = whole ? decode(b->data, width) : 0xfffd;
    buf_consume(b, whole ? width : 1);
    return true;
}

char *keys_take_paste(struct keys *k)
{
    struct buf *b = &k->bytes;
    size_t begin = strlen(PASTE_BEGIN);
    const char *end = paste_end(b);
    size_t len = end ? (size_t)(end - b->data) : b->len;
    struct buf text = {0};

    buf_append(&text, b->data + begin, len - begin);
    buf_consume(b, end ? len + strlen(PASTE_END) : len);
    return buf_take(&text);
}
