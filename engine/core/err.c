#include "core/err.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

static void put(struct err *err, const char *code, char *message)
{
    free(err->message);
    err->code = code;
    err->message = message;
}

int err_set(struct err *err, const char *code, const char *format, ...)
{
    if (!err)
        return -1;
    va_list args;
    va_start(args, format);
    put(err, code, xvasprintf(format, args));
    va_end(args);
    return -1;
}

static const char *code_of(int number)
{
    switch (number) {
    case ENOENT:
    case ENOTDIR:
    case ESRCH:
    case ENXIO:
        return "not_found";
    case ECONNREFUSED:
        return "refused";
    case ETIMEDOUT:
        return "timeout";
    case EACCES:
    case EPERM:
    case EROFS:
        return "denied";
    case EEXIST:
    case EADDRINUSE:
        return "exists";
    case EINVAL:
    case ENAMETOOLONG:
        return "invalid";
    default:
        return "io";
    }
}

int err_errno(struct err *err, int number, const char *format, ...)
{
    if (!err)
        return -1;
    va_list args;
    va_start(args, format);
    char *what = xvasprintf(format, args);
    va_end(args);
    put(err, code_of(number), xasprintf("%s: %s", what, strerror(number)));
    free(what);
    return -1;
}

void err_move(struct err *to, struct err *from)
{
    if (to)
        put(to, from->code, from->message);
    else
        free(from->message);
    *from = (struct err){0};
}

void err_clear(struct err *err)
{
    free(err->message);
    *err = (struct err){0};
}
