/* check_command.c -- the check "command": a program that ends with the exit code expected. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/mem.h"
#include "core/proc.h"
#include "io/check.h"
#include "io/command.h"

#define TAIL 200 /* bytes of output in a verdict */
#define MAX_OUTPUT 4096

struct command_check {
    char **argv, **env; /* owned */
    char *cwd, *user;   /* owned */
    int64_t expected;
    uint64_t timeout_ms;
};

/* One try. Freed when the command has ended or is cancelled. */
struct command_try {
    const struct command_check *spec; /* borrowed */
    struct check *check;              /* borrowed */
    struct command *command;          /* owned by the loop */
};

/* The last words of a command on one line, without control characters; the caller frees them. */
static char *tail_of(const char *text, size_t len)
{
    while (len && isspace((unsigned char)text[len - 1]))
        len--;
    while (len && isspace((unsigned char)*text)) {
        text++;
        len--;
    }
    if (len > TAIL) {
        text += len - TAIL;
        len = TAIL;
        while (len && ((unsigned char)*text & 0xc0) == 0x80) { /* not amid a character */
            text++;
            len--;
        }
    }
    char *tail = xstrndup(text, len);
    for (char *c = tail; *c; c++)
        if (iscntrl((unsigned char)*c))
            *c = ' ';
    return tail;
}

static void judge(const struct command_try *t, const struct command_result *r)
{
    bool silent = r->errors_len == 0; /* people look at the errors first */
    char *tail = tail_of(silent ? r->out : r->errors, silent ? r->out_len : r->errors_len);
    const char *colon = *tail ? ": " : "";
    if (r->timed_out)
        check_fail(t->check, "timed out after %g s%s%s", (double)t->spec->timeout_ms / 1000, colon,
                   tail);
    else if (r->signal)
        check_fail(t->check, "killed by signal SIG%s%s%s", signal_name(r->signal), colon, tail);
    else if (r->exit_code != t->spec->expected)
        check_fail(t->check, "exit code %d%s%s", r->exit_code, colon, tail);
    else
        check_pass(t->check, "exit code %d%s%s", r->exit_code, colon, tail);
    free(tail);
}

static void command_done(void *data, const struct command_result *r)
{
    struct command_try *t = data;
    if (r->err)
        check_fail(t->check, "%s", r->err->message);
    else
        judge(t, r);
    free(t);
}

static void *command_try_start(struct io *io, const void *prepared, struct check *c)
{
    const struct command_check *s = prepared;
    struct command_spec spec = {.argv = s->argv,
                                .env = s->env,
                                .cwd = s->cwd,
                                .user = s->user,
                                .timeout_ms = s->timeout_ms,
                                .max_output = MAX_OUTPUT};
    struct command_try *t = xcalloc(1, sizeof *t);
    *t = (struct command_try){.spec = s, .check = c};
    t->command = command_start(io, &spec, command_done, t);
    return t;
}

static void command_try_cancel(void *op)
{
    struct command_try *t = op;
    command_cancel(t->command);
    free(t);
}

/* ---- options ---- */

static void command_release(void *prepared)
{
    struct command_check *s = prepared;
    check_free_list(s->argv);
    check_free_list(s->env);
    free(s->cwd);
    free(s->user);
    free(s);
}

/* A list is the program and its arguments; a string is for the shell. */
static int read_argv(const json_t *options, char ***argv, struct err *err)
{
    const char *text;
    if (json_is_array(json_object_get(options, "command"))) {
        if (check_opt_list(options, "command", argv, err) < 0)
            return -1;
        return (*argv)[0] && *(*argv)[0]
                   ? 0
                   : err_set(err, "invalid", "command: expected a program and its arguments");
    }
    if (check_need_string(options, "command", &text, err) < 0)
        return -1;
    char **shell = xcalloc(4, sizeof *shell);
    shell[0] = xstrdup("/bin/sh");
    shell[1] = xstrdup("-c");
    shell[2] = xstrdup(text);
    *argv = shell;
    return 0;
}

static int read_command_options(const json_t *options, struct command_check *s, struct err *err)
{
    const char *cwd = NULL, *user = NULL;
    if (read_argv(options, &s->argv, err) < 0 ||
        check_opt_map(options, "env", "=", &s->env, err) < 0 ||
        check_opt_string(options, "cwd", &cwd, err) < 0 ||
        check_opt_string(options, "user", &user, err) < 0 ||
        check_opt_int(options, "expectedExit", 0, 255, &s->expected, err) < 0)
        return -1;
    s->cwd = xstrdup(cwd);
    s->user = xstrdup(user);
    return 0;
}

static void *command_prepare(const json_t *options, uint64_t timeout_ms, struct err *err)
{
    struct command_check *s = xcalloc(1, sizeof *s);
    s->timeout_ms = timeout_ms;
    if (read_command_options(options, s, err) < 0) {
        command_release(s);
        return NULL;
    }
    return s;
}

static const char *command_subject(const void *prepared)
{
    const struct command_check *s = prepared;
    return s->argv[0];
}

static const char *const command_keys[] = {"command", "expectedExit", "env", "cwd", "user", NULL};

const struct check_kind check_command = {
    .name = "command",
    .cost = 8, /* a process weighs more than a socket */
    .keeps_deadline = true,
    .keys = command_keys,
    .prepare = command_prepare,
    .release = command_release,
    .subject = command_subject,
    .start = command_try_start,
    .cancel = command_try_cancel,
};
