/* process_order.h -- one program to be run, as the guard is told it, and what to say if it fails.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/buf.h"

struct err;
struct guard_report;
struct process_spec;

struct process_order {
    struct buf spec; /* embedded: a guard_spec and what follows it */
    int signal;
    uint32_t uid; /* as in guard_request */
    char *label;  /* owned, as all below: who it is for, in messages */
    char *command, *path, *folder, *user;
};

/* `mark` is the value of GUARD_VARIABLE. */
int process_order_init(struct process_order *o, const struct process_spec *spec, const char *mark,
                       struct err *err);
void process_order_free(struct process_order *o);

/* The sentence for a GUARD_FAILED report. */
void process_order_explain(const struct process_order *o, const struct guard_report *report,
                           struct err *err);
