/* slab.h -- memory for many small blocks whose sizes their owner knows.
 *
 * A page holds blocks of one size, with nothing before each of them, and one that is empty serves
 * any other size, or goes back to the system. Large blocks are malloc()'s. One thread. */
#pragma once
#include <stddef.h>

struct slab;

struct slab *slab_new(void);
/* Everything that came from it and was not freed is gone; large blocks have to be freed before. */
void slab_free(struct slab *s);

/* A block of `size` bytes with the contents of `block` (NULL: none), which had `old_size` and is
 * gone; NULL for no bytes, and if there is no room for a large block, which changes nothing. */
void *slab_resize(struct slab *s, void *block, size_t old_size, size_t size);

/* Gives empty pages back to the system. */
void slab_trim(struct slab *s);
