/* json_text.h -- JSON from outside, whose values must not take far more memory than its text. */
#pragma once
#include <jansson.h>

/* As json_loadb(), but NULL too where the values would take more than some 400 MiB: "{},{},{}" and
 * so on takes a hundred times its length, and seconds to read. */
json_t *json_text_read(const char *text, size_t len, size_t flags);
