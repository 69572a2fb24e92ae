#include "io/libcurl.h"

#include "io/library.h"

struct libcurl libcurl;

int libcurl_load(struct err *err)
{
    static const char *const names[] = {
#define X(name) "curl_" #name,
        LIBCURL_FUNCTIONS(X)
#undef X
    };
    return library_load("libcurl.so.4", names, sizeof names / sizeof *names, (void **)&libcurl,
                        err);
}
