#include "io/libmhd.h"

#include "io/library.h"

struct libmhd libmhd;

int libmhd_load(struct err *err)
{
    static const char *const names[] = {
#define X(name) "MHD_" #name,
        LIBMHD_FUNCTIONS(X)
#undef X
    };
    return library_load("libmicrohttpd.so.12", names, sizeof names / sizeof *names,
                        (void **)&libmhd, err);
}
