/* libsystemd.h -- libsystemd.so.0, loaded at its first use: sd_bus_x() is written
 * libsystemd.bus_x(). See io/library.h. Only for builds with ORRERY_SYSTEMD. */
#pragma once
#include <systemd/sd-bus.h>

struct err;

#define LIBSYSTEMD_FUNCTIONS(X)                                                                    \
    X(bus_call_async)                                                                              \
    X(bus_close_unref)                                                                             \
    X(bus_get_events)                                                                              \
    X(bus_get_fd)                                                                                  \
    X(bus_get_timeout)                                                                             \
    X(bus_is_open)                                                                                 \
    X(bus_message_append)                                                                          \
    X(bus_message_enter_container)                                                                 \
    X(bus_message_get_error)                                                                       \
    X(bus_message_new_method_call)                                                                 \
    X(bus_message_read)                                                                            \
    X(bus_message_set_auto_start)                                                                  \
    X(bus_message_unref)                                                                           \
    X(bus_new)                                                                                     \
    X(bus_process)                                                                                 \
    X(bus_set_address)                                                                             \
    X(bus_set_bus_client)                                                                          \
    X(bus_slot_unref)                                                                              \
    X(bus_start)

struct libsystemd {
#define X(name) __typeof__(&sd_##name) name;
    LIBSYSTEMD_FUNCTIONS(X)
#undef X
};

extern struct libsystemd libsystemd; /* written only by libsystemd_load() */

/* Loads the library unless it is loaded. Call it before anything of `libsystemd`. */
int libsystemd_load(struct err *err);
