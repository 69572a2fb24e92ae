#include "io/libedit.h"

#include "io/library.h"

struct libedit libedit;

int libedit_load(struct err *err)
{
    static const char *const names[] = {
#define X(name) #name,
        LIBEDIT_FUNCTIONS(X)
#undef X
    };
    return library_load("libedit.so.2", names, sizeof names / sizeof *names, (void **)&libedit,
                        err);
}
