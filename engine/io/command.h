/* command.h -- runs a program to its end, within bounds of time and output. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct command;
struct err;
struct io;

struct command_spec {
    char *const *argv;
    char *const *env;         /* "K=V", laid over the clean base of process.h; may be NULL */
    const char *cwd;          /* NULL: ours */
    const char *user, *group; /* names or numbers; NULL: ours */
    const char *input;        /* its standard input; copied; NULL: empty */
    size_t input_len;
    uint64_t timeout_ms; /* 0: none */
    size_t max_output;   /* the last bytes kept of each stream; 0: 64 KiB */
};

struct command_result {
    int exit_code; /* -1 if it was ended by a signal */
    int signal;
    bool timed_out;
    const char *out; /* all strings are valid during the call only, and end in a NUL */
    size_t out_len;
    const char *errors;
    size_t errors_len;
    const struct err *err; /* it could not be started; nothing else is set then */
};

typedef void command_done_fn(void *data, const struct command_result *result);

/* Calls `done` exactly once, from the loop, and then frees the command. At the deadline everything
 * that it started is killed and `done` called at once. When its main process ends, what it left in
 * the background is killed before `done` is called. */
struct command *command_start(struct io *io, const struct command_spec *spec, command_done_fn *done,
                              void *data);

/* Kills everything that it started. `done` is not called. */
void command_cancel(struct command *c);
