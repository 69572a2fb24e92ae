/* log.c -- the program's own log. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/mem.h"
#include "core/stamp.h"
#include "io/io.h"

#define MAX_LINE 8192

/* One event is one line, and no text from outside may drive a terminal. */
static void put_text(struct buf *line, const char *text)
{
    for (; *text && line->len < MAX_LINE; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '\n')
            buf_puts(line, "\\n");
        else if (c < ' ' || c == 127)
            buf_printf(line, "\\x%02x", c);
        else
            buf_append(line, text, 1);
    }
    if (*text)
        buf_puts(line, "...");
}

static void put_line(int fd, const struct buf *line)
{
    size_t done = 0;
    while (done < line->len) {
        ssize_t put = write(fd, line->data + done, line->len - done);
        if (put > 0)
            done += (size_t)put;
        else if (errno != EINTR)
            return; /* where could that be told? */
    }
}

void io_log(struct io *io, enum io_log_level level, const char *format, ...)
{
    static const char *const names[] = {"debug", "info", "warning", "error"};
    struct buf line = {0};
    va_list args;
    if (level < io->log_level)
        return;
    va_start(args, format);
    char *text = xvasprintf(format, args);
    va_end(args);
    stamp_now(&line);
    buf_printf(&line, " %s ", names[level]);
    put_text(&line, text);
    buf_puts(&line, "\n");
    put_line(io->log_fd, &line);
    buf_free(&line);
    free(text);
}

void io_log_close(struct io *io)
{
    if (io->log_fd != STDERR_FILENO)
        close(io->log_fd);
    io->log_fd = STDERR_FILENO;
}

int io_log_to(struct io *io, const char *path, struct err *err)
{
    int fd = STDERR_FILENO;
    if (path) {
        fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
        if (fd < 0)
            return err_errno(err, errno, "cannot log to %s", path);
    }
    io_log_close(io);
    io->log_fd = fd;
    return 0;
}
