/* library.h -- shared libraries that are loaded when they are first needed.
 *
 * libcurl and libmicrohttpd bring thirty-five libraries with them. Linked in, they would cost every
 * start 7 ms and every process, the guard too, 1 MiB; most commands need neither. libsystemd may
 * not even be there. Each is a table of its functions, filled by name; io/libcurl.h, io/libmhd.h
 * and io/libsystemd.h say which. */
#pragma once
#include <stddef.h>

struct err;

/* Opens `file` and fills table[0 .. count - 1] with the functions `names`. Nothing is done if the
 * table is filled already. The library stays loaded until the process ends. */
int library_load(const char *file, const char *const *names, size_t count, void **table,
                 struct err *err);
