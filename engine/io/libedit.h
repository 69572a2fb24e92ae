/* libedit.h -- libedit.so.2, loaded at its first use: el_x() is written libedit.el_x(). See
 * io/library.h. It brings libtinfo and libbsd with it, and only a person at a terminal needs it. */
#pragma once
#include <histedit.h>

struct err;

#define LIBEDIT_FUNCTIONS(X)                                                                       \
    X(el_cursor)                                                                                   \
    X(el_deletestr)                                                                                \
    X(el_end)                                                                                      \
    X(el_init_fd)                                                                                  \
    X(el_resize)                                                                                   \
    X(el_wget)                                                                                     \
    X(el_wgets)                                                                                    \
    X(el_winsertstr)                                                                               \
    X(el_wline)                                                                                    \
    X(el_wset)                                                                                     \
    X(history_w)                                                                                   \
    X(history_wend)                                                                                \
    X(history_winit)

struct libedit {
#define X(name) __typeof__(&name) name;
    LIBEDIT_FUNCTIONS(X)
#undef X
};

extern struct libedit libedit; /* written only by libedit_load() */

/* Loads the library unless it is loaded. Call it before anything of `libedit`. */
int libedit_load(struct err *err);
