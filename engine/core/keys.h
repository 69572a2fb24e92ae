/* keys.h -- what a terminal sends, byte by byte, cut into whole keys.
 *
 * A line editor that is driven by a loop must never be given half of an arrow key, for it would
 * wait for the rest. Pasted text comes in brackets (ESC [ 200 ~ ... ESC [ 201 ~) and is no keys. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/buf.h"

enum { KEYS_MAX = 1024 * 1024 }; /* bytes that may wait; a paste is cut there */

struct keys {
    struct buf bytes; /* embedded: those that nobody took yet */
};

enum keys_front {
    KEYS_NONE,   /* nothing is there */
    KEYS_HALF,   /* a part of a key, whose rest comes at once if it comes at all */
    KEYS_QUOTED, /* Ctrl-V or Ctrl-X without the key that follows: that may take its time */
    KEYS_KEY,
    KEYS_PASTE,
};

/* What the bytes begin with. A paste that has not ended is KEYS_QUOTED too. */
enum keys_front keys_front(const struct keys *k);

/* Takes one character; a byte that is no UTF-8 is U+FFFD. False if there is none. */
bool keys_take(struct keys *k, uint32_t *ret_character);

/* Takes a paste (keys_front() said so): its text, owned by the caller. */
char *keys_take_paste(struct keys *k);
