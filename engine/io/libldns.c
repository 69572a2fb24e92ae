#include "io/libldns.h"

#include "io/library.h"

struct libldns libldns;

int libldns_load(struct err *err)
{
    static const char *const names[] = {
#define X(name) "ldns_" #name,
        LIBLDNS_FUNCTIONS(X)
#undef X
    };
    return library_load("libldns.so.3", names, sizeof names / sizeof *names, (void **)&libldns,
                        err);
}
