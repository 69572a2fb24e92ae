/* libcurl.h -- libcurl.so.4, loaded at its first use: curl_x() is written libcurl.x(). See
 * io/library.h. */
#pragma once
#define CURL_DISABLE_TYPECHECK /* its macros would take the functions by their names */
#include <curl/curl.h>

struct err;

#define LIBCURL_FUNCTIONS(X)                                                                       \
    X(easy_cleanup)                                                                                \
    X(easy_getinfo)                                                                                \
    X(easy_init)                                                                                   \
    X(easy_pause)                                                                                  \
    X(easy_recv)                                                                                   \
    X(easy_reset)                                                                                  \
    X(easy_send)                                                                                   \
    X(easy_setopt)                                                                                 \
    X(easy_strerror)                                                                               \
    X(free)                                                                                        \
    X(global_cleanup)                                                                              \
    X(global_init)                                                                                 \
    X(multi_add_handle)                                                                            \
    X(multi_cleanup)                                                                               \
    X(multi_info_read)                                                                             \
    X(multi_init)                                                                                  \
    X(multi_remove_handle)                                                                         \
    X(multi_setopt)                                                                                \
    X(multi_socket_action)                                                                         \
    X(multi_strerror)                                                                              \
    X(slist_append)                                                                                \
    X(slist_free_all)                                                                              \
    X(url)                                                                                         \
    X(url_cleanup)                                                                                 \
    X(url_get)                                                                                     \
    X(url_set)                                                                                     \
    X(url_strerror)

struct libcurl {
#define X(name) __typeof__(&curl_##name) name;
    LIBCURL_FUNCTIONS(X)
#undef X
};

extern struct libcurl libcurl; /* written only by libcurl_load() */

/* Loads the library unless it is loaded. Call it before anything of `libcurl`. */
int libcurl_load(struct err *err);
