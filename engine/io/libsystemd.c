#ifdef ORRERY_SYSTEMD

#include "io/libsystemd.h"

#include "io/library.h"

struct libsystemd libsystemd;

int libsystemd_load(struct err *err)
{
    static const char *const names[] = {
#define X(name) "sd_" #name,
        LIBSYSTEMD_FUNCTIONS(X)
#undef X
    };
    return library_load("libsystemd.so.0", names, sizeof names / sizeof *names,
                        (void **)&libsystemd, err);
}

#else
typedef int libsystemd_is_left_out; /* ISO C wants something in a file */
#endif
