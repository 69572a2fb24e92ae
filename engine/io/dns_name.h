/* dns_name.h -- domain names: text, as people and zone files write them, and bytes, as messages
 * carry them.
 *
 * In text a label's own dots and backslashes are escaped ("\.", "\\"), and what is no printable
 * ASCII is "\DDD". There is no last dot; the root is "". */
#pragma once
#include <stddef.h>

struct buf;

#define DNS_MAX_LABEL 63

/* Appends the bytes of a name. -1 if it is none: an empty or too long label, over 255 bytes. */
int dns_name_write(const char *text, struct buf *out);

/* Reads the name at *at, which may point backwards, and moves *at behind it. The caller frees it;
 * NULL if it is malformed. */
char *dns_name_read(const unsigned char *message, size_t len, size_t *at);

/* Appends a label's text, escaped. */
void dns_name_put_label(struct buf *out, const char *label, size_t len);

/* The first label as it is, without escapes (the caller frees it), and what follows its dot in
 * *ret_rest (NULL: nothing). A NUL byte in the label is kept as "\000". */
char *dns_name_first(const char *text, const char **ret_rest);
