#include "io/line_history.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/mem.h"

#define MAX_FILE (4 * 1024 * 1024)

static void drop_oldest(struct line_history *h)
{
    free(h->entries[0]);
    memmove(h->entries, h->entries + 1, --h->count * sizeof *h->entries);
}

static void put(struct line_history *h, char *entry)
{
    if (h->count == LINE_HISTORY_MAX)
        drop_oldest(h);
    h->entries = xreallocarray(h->entries, h->count + 1, sizeof *h->entries);
    h->entries[h->count++] = entry;
}

static char *unescape(const char *line, size_t len)
{
    struct buf text = {0};
    for (size_t i = 0; i < len; i++) {
        char c = line[i];
        if (c == '\\' && i + 1 < len)
            c = line[++i] == 'n' ? '\n' : line[i];
        buf_append(&text, &c, 1);
    }
    return buf_take(&text);
}

static void put_escaped(struct buf *text, const char *entry)
{
    for (; *entry; entry++) {
        if (*entry == '\n')
            buf_puts(text, "\\n");
        else if (*entry == '\\')
            buf_puts(text, "\\\\");
        else
            buf_append(text, entry, 1);
    }
    buf_puts(text, "\n");
}

/* Returns 0 or an errno value. A file that is too big for a history is refused. */
static int read_file(int fd, struct buf *text)
{
    struct stat file;
    if (fstat(fd, &file) < 0)
        return errno;
    if (!S_ISREG(file.st_mode))
        return EINVAL;
    if (file.st_size > MAX_FILE)
        return EFBIG;
    for (;;) {
        ssize_t n = read(fd, buf_reserve(text, 65536), 65536);
        text->len -= (size_t)(65536 - (n > 0 ? n : 0));
        if (n == 0 || text->len > MAX_FILE)
            return 0;
        if (n < 0 && errno != EINTR)
            return errno;
    }
}

static size_t take_entries(struct line_history *h, const struct buf *text)
{
    const char *at = text->data, *end = text->data + text->len, *newline;
    size_t lines = 0;
    for (; at < end && (newline = memchr(at, '\n', (size_t)(end - at))); at = newline + 1, lines++)
        if (newline > at && newline - at <= 2 * LINE_HISTORY_ENTRY_MAX)
            put(h, unescape(at, (size_t)(newline - at)));
    return lines;
}

static int write_all(int fd, const struct buf *text)
{
    ssize_t n = write(fd, text->data, text->len); /* one call: O_APPEND keeps entries whole */
    if (n < 0)
        return errno;
    return (size_t)n == text->len ? 0 : ENOSPC;
}

/* Writes the newest entries in the place of a file that has become long. */
static int shorten(const struct line_history *h)
{
    char *draft = xasprintf("%s.%d", h->path, (int)getpid());
    int fd = open(draft, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    int failure = fd < 0 ? errno : 0;
    struct buf text = {0};
    for (size_t i = 0; i < h->count; i++)
        put_escaped(&text, h->entries[i]);
    if (!failure && text.len)
        failure = write_all(fd, &text);
    if (!failure && rename(draft, h->path) < 0)
        failure = errno;
    if (fd >= 0) {
        close(fd);
        if (failure)
            unlink(draft);
    }
    buf_free(&text);
    free(draft);
    return failure;
}

static int load(struct line_history *h)
{
    struct buf text = {0};
    int fd = open(h->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return errno == ENOENT ? 0 : errno;
    int failure = read_file(fd, &text);
    if (!failure && fchmod(fd, 0600) < 0 && errno != EPERM)
        failure = errno;
    close(fd);
    size_t lines = !failure && text.len ? take_entries(h, &text) : 0;
    if (lines > 2 * LINE_HISTORY_MAX)
        failure = shorten(h);
    buf_free(&text);
    return failure;
}

int line_history_open(struct line_history *h, const char *path, struct err *err)
{
    *h = (struct line_history){.path = xstrdup(path)};
    int failure = path ? load(h) : 0;
    if (!failure)
        return 0;
    line_history_close(h);
    return err_errno(err, failure, "cannot use the history %s", path);
}

static bool is_kept(const struct line_history *h, const char *entry)
{
    if (entry[0] == ' ' || strspn(entry, " \t\r\n") == strlen(entry) ||
        strlen(entry) > LINE_HISTORY_ENTRY_MAX)
        return false;
    return !h->count || strcmp(h->entries[h->count - 1], entry) != 0;
}

static int append(const char *path, const char *entry)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);
    if (fd < 0)
        return errno;
    struct buf text = {0};
    put_escaped(&text, entry);
    int failure = write_all(fd, &text);
    buf_free(&text);
    close(fd);
    return failure;
}

int line_history_add(struct line_history *h, const char *entry, struct err *err)
{
    if (!is_kept(h, entry))
        return 0;
    put(h, xstrdup(entry));
    int failure = h->path ? append(h->path, entry) : 0;
    return failure ? err_errno(err, failure, "cannot write the history %s", h->path) : 1;
}

void line_history_close(struct line_history *h)
{
    for (size_t i = 0; i < h->count; i++)
        free(h->entries[i]);
    free(h->entries);
    free(h->path);
    *h = (struct line_history){0};
}
