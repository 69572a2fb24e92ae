/* texts.h -- lists of strings. */
#pragma once
#include <stddef.h>

/* By their bytes. */
void texts_sort(char **texts, size_t count);

/* Each of them, then the list. */
void texts_free(char **texts, size_t count);
