/* libmhd.h -- libmicrohttpd.so.12, loaded at its first use: MHD_x() is written libmhd.x(). See
 * io/library.h. */
#pragma once
#include <microhttpd.h>

struct err;

#define LIBMHD_FUNCTIONS(X)                                                                        \
    X(add_response_header)                                                                         \
    X(create_response_from_buffer)                                                                 \
    X(create_response_from_callback)                                                               \
    X(destroy_response)                                                                            \
    X(get_connection_info)                                                                         \
    X(get_connection_values)                                                                       \
    X(get_daemon_info)                                                                             \
    X(get_timeout)                                                                                 \
    X(lookup_connection_value)                                                                     \
    X(queue_response)                                                                              \
    X(resume_connection)                                                                           \
    X(run)                                                                                         \
    X(start_daemon)                                                                                \
    X(stop_daemon)                                                                                 \
    X(suspend_connection)

struct libmhd {
#define X(name) __typeof__(&MHD_##name) name;
    LIBMHD_FUNCTIONS(X)
#undef X
};

extern struct libmhd libmhd; /* written only by libmhd_load() */

/* Loads the library unless it is loaded. Call it before anything of `libmhd`. */
int libmhd_load(struct err *err);
