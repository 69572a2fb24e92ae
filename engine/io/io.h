/* io.h -- what talks to the outside: the event loop and everything that hangs on it. No Lua here.
 *
 * Each part (http, dns, processes ...) is made at its first use and ended by io_close(). */
#pragma once
#include <uv.h>

struct check_recent;
struct checks;
struct err;
struct guard;
struct http_multi;
struct http_op;
struct poller;
struct systemd_link;

enum io_log_level { IO_LOG_DEBUG, IO_LOG_INFO, IO_LOG_WARNING, IO_LOG_ERROR };

/* A thing that lives longer than one operation (a handle that a script holds) and has something on
 * the loop: io_close() ends it, if nobody did before. Embedded in its owner. */
struct io_closer {
    struct io_closer *next, **prev; /* prev is NULL while it is in no list */
    void (*close)(struct io_closer *closer);
};

struct io {
    uv_loop_t loop;
    struct io_closer *closers;
    struct checks *checks;       /* owned: the executor, once there was a check */
    struct check_recent *recent; /* owned; NULL until a check runs once */
    struct guard *guard;         /* borrowed; NULL: the first process started forks one */
    struct http_multi *http;     /* owned; NULL until the first request */
    struct http_op *http_idle;   /* owned: http.c keeps them for the next request */
    unsigned http_idle_count;
    struct poller *poller;        /* owned; NULL until the first socket in it */
    enum io_log_level log_level;  /* lines below it are dropped */
    int log_fd;                   /* standard error, or an owned file */
    struct processes *processes;  /* io/process.c */
    struct systemd_link *systemd; /* owned; NULL: none, or lost */
};

int io_init(struct io *io, struct guard *guard, struct err *err);

/* Ends every part, drives the loop until its handles have closed, and closes it. No operation may
 * be pending by then: the tasks that started them were cancelled. */
void io_close(struct io *io);

/* From then on io_close() calls `close`, once, unless the closer is removed first. */
void io_add_closer(struct io *io, struct io_closer *closer, void (*close)(struct io_closer *));
void io_remove_closer(struct io_closer *closer);

/* The number of active handles and requests on the loop: what a test must leave as it found it. */
int io_live(struct io *io);

/* One line to the log (standard error at first): time, level, text. Control characters are escaped,
 * and what is over 8 KiB is cut. Never a secret. */
void io_log(struct io *io, enum io_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Logs to a file from now on (appending, 0640); NULL: to standard error. */
int io_log_to(struct io *io, const char *path, struct err *err);
void io_log_close(struct io *io);
