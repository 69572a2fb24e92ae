#include "io/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/err.h"
#include "core/mem.h"

#define LOG_MODE 0640

static int reopen(struct log_file *f)
{
    struct stat file;
    if (f->fd >= 0)
        close(f->fd);
    f->fd = open(f->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, LOG_MODE);
    if (f->fd < 0)
        return errno;
    if (fstat(f->fd, &file) < 0)
        return errno;
    f->size = (uint64_t)file.st_size;
    return 0;
}

int log_file_open(struct log_file *f, const char *path, uint64_t max_bytes, int keep,
                  struct err *err)
{
    *f = (struct log_file){.path = xstrdup(path), .max_bytes = max_bytes, .keep = keep, .fd = -1};
    int failure = reopen(f);
    if (!failure)
        return 0;
    log_file_close(f);
    return err_errno(err, failure, "cannot open the log %s (its folder must exist and be writable)",
                     path);
}

/* Names that cannot be moved are left as they are: a log that grows is better than none. */
static int rotate(struct log_file *f)
{
    for (int i = f->keep; i >= 1; i--) {
        char *from = i == 1 ? xstrdup(f->path) : xasprintf("%s.%d", f->path, i - 1);
        char *to = xasprintf("%s.%d", f->path, i);
        rename(from, to);
        free(from);
        free(to);
    }
    if (f->keep == 0)
        unlink(f->path);
    return reopen(f);
}

static int write_all(struct log_file *f, const char *text, size_t len)
{
    while (len) {
        ssize_t n = write(f->fd, text, len);
        if (n < 0 && errno != EINTR)
            return errno;
        if (n <= 0)
            continue;
        text += n;
        len -= (size_t)n;
        f->size += (uint64_t)n;
    }
    return 0;
}

/* The length of the whole lines at the start of the text that fit, at least one. */
static size_t lines_that_fit(const char *text, size_t len, uint64_t room)
{
    if (len <= room)
        return len;
    const char *end = room ? memrchr(text, '\n', (size_t)room) : NULL;
    if (!end)
        end = memchr(text, '\n', len);
    return end ? (size_t)(end - text) + 1 : len;
}

/* Someone may have moved or emptied the file, or the disk may have been full. */
static int refresh(struct log_file *f)
{
    struct stat file;
    if (f->fd < 0 || fstat(f->fd, &file) < 0 || file.st_nlink == 0)
        return reopen(f);
    f->size = (uint64_t)file.st_size;
    return 0;
}

int log_file_write(struct log_file *f, const char *lines, size_t len)
{
    int failure = refresh(f);
    bool stuck = false; /* its old files cannot be moved: it grows instead */
    while (!failure && len) {
        uint64_t room = f->size < f->max_bytes ? f->max_bytes - f->size : 0;
        const char *first = memchr(lines, '\n', len);
        size_t shortest = first ? (size_t)(first - lines) + 1 : len;
        if (f->size && shortest > room && !stuck) {
            failure = rotate(f);
            stuck = f->size > 0;
            continue;
        }
        size_t part = stuck ? len : lines_that_fit(lines, len, room);
        failure = write_all(f, lines, part);
        lines += part;
        len -= part;
    }
    return failure;
}

void log_file_close(struct log_file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    free(f->path);
    *f = (struct log_file){.fd = -1};
}
