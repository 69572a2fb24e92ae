/* check.h -- runs health checks: when, how many at once, how long, and what their verdicts add up
 * to.
 *
 * A check tries again and again until it is stopped:
 *
 *     waiting --timer--> queued --room--> running --verdict or deadline--> waiting
 *
 * The first try comes at once (within 0.1 s, by chance). Until one passes, tries follow each other
 * after 0.1 s, 0.2 s, 0.4 s ... up to the interval, so that a start is noticed soon; afterwards
 * they start one interval apart, at a place within the interval that chance has chosen. A try that
 * ran while the loop stood still for over a second has no verdict: it is repeated.
 *
 * Checks with the same options run once: the verdict of one is that of every other whose turn it
 * is, or soon would be. Each keeps its own health, and a check that has not passed yet its own
 * first tries, for what an earlier try has seen says nothing about what has just been started.
 *
 * What a try does is a *kind* (http, tcp ...): one const table per file, listed in check_kinds.h.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/backoff.h"
#include "core/health.h"

struct check;
struct err;
struct io;

/* ---- for users ---- */

/* One check as it was asked for. Checked once, then never changed. */
struct check_spec;

/* Reads {strategy, interval, timeout, rise, fall, startPeriod, backoff, the strategy's own keys};
 * times are in seconds. Code "invalid", and a message that begins with the key, if something is
 * wrong with it. `options` is borrowed for the call. */
struct check_spec *check_spec_new(const json_t *options, struct err *err);
void check_spec_free(struct check_spec *spec);

/* Lets it share its tries with those of the same options; what a check makes of verdicts (rise,
 * fall, startPeriod) is its own. `options` is what the spec was made of. */
void check_spec_share(struct check_spec *spec, const json_t *options);

struct check_verdict {
    bool ok;
    const char *message; /* never NULL once there is a verdict */
    uint64_t latency_us;
    int64_t at_ms; /* since 1970; 0: none yet */
};

/* Called from the loop whenever the health has changed. May stop the check. */
typedef void check_changed_fn(void *data, struct check *c);

/* Takes the spec over. `changed` is never called before this returns. */
struct check *check_start(struct io *io, struct check_spec *spec, check_changed_fn *changed,
                          void *data);

/* No call comes after this one, and a try that runs is cancelled. */
void check_stop(struct check *c);

enum health_state check_state(const struct check *c);
const struct check_verdict *check_last(const struct check *c); /* valid until the next verdict */

/* Whether the check alone keeps the loop running: only while somebody waits for it. */
void check_ref(struct check *c, bool ref);

void checks_close(struct io *io); /* for io_close() */

/* ---- for kinds ---- */

struct check_kind {
    const char *name;
    unsigned cost;           /* of one try, in room; see ROOM in check.c */
    bool keeps_deadline;     /* its own try ends at the timeout by itself, and tells more than ours
                                would */
    const char *const *keys; /* NULL-terminated: the options it knows */

    /* Reads and checks the options. The result is owned by the spec. NULL with `err` set. */
    void *(*prepare)(const json_t *options, uint64_t timeout_ms, struct err *err);
    void (*release)(void *prepared);

    /* What is checked, for messages. */
    const char *(*subject)(const void *prepared);

    /* Starts one try. It must end in check_pass() or check_fail(), exactly once, now or later,
     * unless it is cancelled. `prepared` outlives the try. Returns what cancel() is given. */
    void *(*start)(struct io *io, const void *prepared, struct check *c);
    void (*cancel)(void *op);

    /* A kind whose tries shall not allocate has them in the check's room: `room` bytes, zero at
     * first, which stay as the last try left them. `leave`, if there is one, ends what is in them.
     */
    size_t room;
    void (*leave)(void *room);

    /* What a try waits for, to be told at the deadline; NULL: nothing worth telling. May be NULL
     * itself. */
    const char *(*awaits)(const void *op);
};

/* For awaits(). */
#define CHECK_AWAITS_NAME "no name server has told the address of its host"

void *check_room(struct check *c); /* it lives as long as the check */

void check_pass(struct check *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
void check_fail(struct check *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Options for prepare(). Each returns -1 with `err` set, naming the key, if the value is of the
 * wrong type; an absent one leaves the default in *value and is fine. Strings are borrowed. */
int check_opt_string(const json_t *options, const char *key, const char **value, struct err *err);
int check_need_string(const json_t *options, const char *key, const char **value, struct err *err);
int check_opt_bool(const json_t *options, const char *key, bool *value, struct err *err);
int check_opt_int(const json_t *options, const char *key, int64_t min, int64_t max, int64_t *value,
                  struct err *err);
int check_opt_ms(const json_t *options, const char *key, uint64_t *value, struct err *err);

/* {K = V} as "K<separator>V" strings; a list of strings as it is. NULL-terminated, to be freed with
 * check_free_list(); NULL if absent. */
int check_opt_map(const json_t *options, const char *key, const char *separator, char ***value,
                  struct err *err);
int check_opt_list(const json_t *options, const char *key, char ***value, struct err *err);
void check_free_list(char **list);
