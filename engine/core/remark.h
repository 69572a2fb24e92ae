/* remark.h -- what a server says, as an error of ours may repeat it. */
#pragma once
#include <stddef.h>

/* One line of at most `max` bytes, valid UTF-8 without control characters; where it repeats
 * `secret` (may be NULL) there are three stars. The caller frees it. */
char *remark(const char *text, size_t max, const char *secret);
