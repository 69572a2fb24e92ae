/* dns_client.h -- many messages to the same name servers, over the sockets of one resolver.
 *
 * Answers come exactly once, always later and from the loop, unless the message is cancelled. An
 * answer that does not fit is asked for again by TCP. A server that is silent is asked three times
 * in turn with the others; one that is away, fails or refuses makes room for the next, and only
 * when all do that is the answer. Nothing is open while nothing is asked. */
#pragma once
#include <stddef.h>

#include "io/dns_message.h"

struct dns_ask;
struct dns_client;
struct err;
struct io;

/* `servers` as in struct dns_channel_options. */
struct dns_client *dns_client_new(struct io *io, const char *servers, struct err *err);
void dns_client_free(struct dns_client *c); /* nothing is pending */

/* "127.0.0.1:5353", or words for the system's. */
const char *dns_client_servers(const struct dns_client *c);

/* `err` (then `message` is NULL) says that no server answered, or not in the format of DNS. What a
 * server has against the question is message->rcode. Both are valid during the call only, but
 * dns_message_take() keeps the records. */
typedef void dns_told_fn(void *data, struct dns_message *message, const struct err *err);

struct dns_ask *dns_ask(struct dns_client *c, const char *name, enum dns_type type,
                        dns_told_fn *done, void *data);

/* Sends a ready message, by TCP if it is over 512 bytes. Its id must not be used by another. */
struct dns_ask *dns_ask_raw(struct dns_client *c, const unsigned char *message, size_t len,
                            dns_told_fn *done, void *data);

void dns_ask_cancel(struct dns_ask *a);
