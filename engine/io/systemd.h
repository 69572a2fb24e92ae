/* systemd.h -- asks the system's systemd about its units, over D-Bus.
 *
 * All questions share one connection to the system bus, made with the first one and kept. When it
 * is lost, the questions on it fail and the next one makes a new connection. It never keeps the
 * loop running: who asks sets a deadline. */
#pragma once

struct err;
struct io;
struct systemd_query;

/* What systemd says of a unit, in its own words ("loaded", "active", "running"). */
struct systemd_unit {
    const char *load, *active, *sub;
};

/* Called from the loop, once, unless the query is cancelled first. `unit` is borrowed for the call;
 * it is NULL exactly when `err` is set. */
typedef void systemd_unit_fn(void *data, const struct systemd_unit *unit, const struct err *err);

/* Asks about a unit by its full name ("nginx.service"). systemd loads it if need be, so that a
 * stopped one is found too. NULL with `err` set, and no call of `done`, if there is no bus. */
struct systemd_query *systemd_ask(struct io *io, const char *unit, systemd_unit_fn *done,
                                  void *data, struct err *err);
void systemd_cancel(struct systemd_query *query);
