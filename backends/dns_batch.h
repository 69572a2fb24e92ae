/* dns_batch.h -- questions that are asked together: all answers, or the first error.
 *
 * Embedded in its owner. NXDOMAIN is an answer (without records); SERVFAIL, REFUSED or a referral
 * to others is an error, and never an empty answer. */
#pragma once
#include <stdbool.h>

#include "core/err.h"
#include "io/dns_message.h"

struct dns_client;

struct dns_question {
    char *name; /* owned */
    enum dns_type type;
    bool may_refuse;           /* then a server that refuses it knows of no such record */
    struct dns_message answer; /* once it is there; without its bytes */
    struct dns_batch *batch;
    struct dns_ask *ask;
};

typedef void dns_batch_fn(void *data, const struct err *err);

struct dns_batch {
    struct dns_client *client;
    struct dns_question *questions; /* owned; they stay where they are once it is started */
    size_t count, cap, pending;
    size_t bytes, records; /* of the answers so far */
    dns_batch_fn *done;
    void *data;
};

void dns_batch_init(struct dns_batch *b, struct dns_client *client);

/* Takes `name`. */
struct dns_question *dns_batch_add(struct dns_batch *b, char *name, enum dns_type type);

/* Asks all; there is at least one. `done` is called once, later, unless dns_batch_clear() comes
 * first. */
void dns_batch_start(struct dns_batch *b, dns_batch_fn *done, void *data);

/* Cancels what is pending and frees all; the batch may be used again after an init. */
void dns_batch_clear(struct dns_batch *b);

/* For how long an answer counts: the least lifetime of its records, or of the negative answer. */
uint32_t dns_question_ttl(const struct dns_question *q, uint32_t otherwise_s);

/* The next record of the asked type in the answer: start with NULL. */
const struct dns_record *dns_question_next(const struct dns_question *q,
                                           const struct dns_record *after);
