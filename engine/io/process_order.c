#include "io/process_order.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/err.h"
#include "core/mem.h"
#include "guard.h"
#include "io/process.h"
#include "io/user.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define MAX_ARGUMENTS 65536
#define MAX_BYTES (1u << 20) /* of arguments and environment: below what the kernel takes */

/* ---- the environment ---- */

static void put_string(struct buf *b, const char *text) { buf_append(b, text, strlen(text) + 1); }

static const char *find_variable(char *const *env, const char *name)
{
    size_t len = strlen(name);
    for (; env && *env; env++)
        if (strncmp(*env, name, len) == 0 && (*env)[len] == '=')
            return *env + len + 1;
    return NULL;
}

/* Adds a variable of the clean base, unless the caller's list has it or there is no value. */
static uint32_t put_base(struct buf *b, char *const *env, const char *name, const char *value)
{
    if (!value || find_variable(env, name))
        return 0;
    buf_printf(b, "%s=%s", name, value);
    buf_append(b, "", 1);
    return 1;
}

static const char *or_else(const char *value, const char *otherwise)
{
    return value && *value ? value : otherwise;
}

/* Nothing of our own environment reaches a program but where commands are, the language and the
 * time zone: it may hold secrets of somebody else. */
static uint32_t put_environment(struct buf *b, const struct process_spec *spec, const char *mark,
                                const struct user *user)
{
    uint32_t count = put_base(b, NULL, GUARD_VARIABLE, mark);
    count += put_base(b, NULL, "ORRERY_INSTANCE", spec->instance);
    for (char *const *env = spec->env; env && *env; env++, count++)
        put_string(b, *env);
    count += put_base(b, spec->env, "PATH", or_else(getenv("PATH"), DEFAULT_PATH));
    count += put_base(b, spec->env, "HOME", user->home);
    count += put_base(b, spec->env, "USER", user->name);
    count += put_base(b, spec->env, "LOGNAME", user->name);
    count += put_base(b, spec->env, "LANG", or_else(getenv("LANG"), "C.UTF-8"));
    count += put_base(b, spec->env, "TZ", getenv("TZ"));
    return count;
}

/* ---- making an order ---- */

static int find_ids(const struct process_spec *spec, struct guard_spec *head, struct user *ret,
                    struct err *err)
{
    if (user_find(spec->user, ret, err) < 0)
        return -1;
    gid_t gid = spec->user ? ret->gid : getegid();
    if (spec->group && group_find(spec->group, &gid, err) < 0)
        return -1;
    ret->gid = gid;
    head->uid = ret->uid;
    head->gid = gid;
    head->set_ids = ret->uid != geteuid() || gid != getegid();
    if (head->set_ids)
        user_load_groups(ret);
    head->groups = (uint32_t)ret->group_count;
    return 0;
}

static void put_limits(struct buf *b, const struct process_spec *spec)
{
    for (size_t i = 0; i < spec->limit_count; i++) {
        struct guard_limit limit = {(uint64_t)spec->limits[i].resource, spec->limits[i].value};
        buf_append(b, &limit, sizeof limit);
    }
}

static void serialise(struct process_order *o, const struct process_spec *spec, const char *mark,
                      struct guard_spec *head, const struct user *user)
{
    buf_append(&o->spec, head, sizeof *head);
    put_limits(&o->spec, spec);
    buf_append(&o->spec, user->groups, head->groups * sizeof *user->groups);
    put_string(&o->spec, o->folder);
    for (char *const *arg = spec->argv; *arg; arg++, head->argc++)
        put_string(&o->spec, *arg);
    head->envc = put_environment(&o->spec, spec, mark, user);
    memcpy(o->spec.data, head, sizeof *head);
}

/* A relative folder is meant from ours; the guard is elsewhere. Another user, who may be unable to
 * enter ours, starts at the root unless told otherwise. */
static char *absolute(const char *folder, bool other_user)
{
    if (!folder && other_user)
        return xstrdup("/");
    if (folder && *folder == '/')
        return xstrdup(folder);
    char *here = getcwd(NULL, 0);
    char *path = xasprintf("%s%s%s", or_else(here, "/"), folder ? "/" : "", folder ? folder : "");
    free(here);
    return path;
}

/* What people call it: of an instance "FOLDER#ID" the id. */
static const char *label_of(const struct process_spec *spec)
{
    const char *mark = spec->instance ? strrchr(spec->instance, '#') : NULL;
    return mark ? mark + 1 : or_else(spec->instance, spec->argv[0]);
}

static void remember(struct process_order *o, const struct process_spec *spec,
                     const struct user *user)
{
    o->label = xstrdup(label_of(spec));
    o->command = xstrdup(spec->argv[0]);
    o->path =
        xstrdup(or_else(find_variable(spec->env, "PATH"), or_else(getenv("PATH"), DEFAULT_PATH)));
    o->folder = absolute(spec->cwd, user->uid != geteuid());
    o->user = xstrdup(user->name);
    o->uid = spec->instance ? user->uid : GUARD_NO_USER;
}

static int check_size(const struct process_spec *spec, struct err *err)
{
    size_t count = 0, bytes = 0;
    for (char *const *at = spec->argv; *at; at++, count++)
        bytes += strlen(*at) + 1;
    for (char *const *at = spec->env; at && *at; at++, count++)
        bytes += strlen(*at) + 1;
    if (!spec->argv[0] || !*spec->argv[0])
        return err_set(err, "invalid", "cannot start %s: its command is empty",
                       or_else(spec->instance, "a program"));
    if (count > MAX_ARGUMENTS || bytes > MAX_BYTES)
        return err_set(err, "invalid",
                       "cannot start %s: its arguments and environment take %zu bytes in %zu "
                       "strings; at most %u bytes in %d are passed on: use a file instead",
                       label_of(spec), bytes, count, MAX_BYTES, MAX_ARGUMENTS);
    return 0;
}

int process_order_init(struct process_order *o, const struct process_spec *spec, const char *mark,
                       struct err *err)
{
    struct guard_spec head = {.limits = (uint32_t)spec->limit_count};
    struct user user = {0};
    *o = (struct process_order){.signal = spec->death_signal ? spec->death_signal : SIGTERM};
    if (check_size(spec, err) < 0)
        return -1;
    if (find_ids(spec, &head, &user, err) < 0) {
        user_free(&user);
        return -1;
    }
    head.signal = o->signal;
    head.set_umask = spec->umask >= 0;
    head.umask = (uint32_t)(spec->umask & 0777);
    remember(o, spec, &user);
    serialise(o, spec, mark, &head, &user);
    user_free(&user);
    return 0;
}

void process_order_free(struct process_order *o)
{
    buf_free(&o->spec);
    free(o->label);
    free(o->command);
    free(o->path);
    free(o->folder);
    free(o->user);
    *o = (struct process_order){0};
}

/* ---- what to say ---- */

static void explain_missing(const struct process_order *o, struct err *err)
{
    if (!strchr(o->command, '/')) {
        err_set(err, "not_found",
                "cannot start %s: command '%s' was not found in PATH (%s): install it, or give its "
                "full path",
                o->label, o->command, o->path);
        return;
    }
    char *file =
        *o->command == '/' ? xstrdup(o->command) : xasprintf("%s/%s", o->folder, o->command);
    if (access(file, F_OK) == 0)
        err_set(err, "not_found",
                "cannot start %s: %s exists, but the interpreter that its first line names (or its "
                "loader) does not: install that",
                o->label, file);
    else
        err_set(err, "not_found",
                "cannot start %s: there is no file %s: install it, or correct the command",
                o->label, file);
    free(file);
}

static void explain_exec(const struct process_order *o, int number, struct err *err)
{
    if (number == ENOENT || number == ENOTDIR)
        explain_missing(o, err);
    else if (number == EACCES)
        err_set(err, "denied",
                "cannot start %s: user '%s' may not execute '%s': check the modes of the file and "
                "of its folders (chmod +x)",
                o->label, o->user, o->command);
    else if (number == ENOEXEC)
        err_set(err, "invalid",
                "cannot start %s: '%s' is no program for this machine; a script must begin with a "
                "line such as #!/bin/sh",
                o->label, o->command);
    else
        err_errno(err, number, "cannot start %s: cannot execute '%s'", o->label, o->command);
}

static const char *limit_name(uint32_t resource)
{
    switch (resource) {
    case RLIMIT_NOFILE:
        return "nofile";
    case RLIMIT_CORE:
        return "core";
    case RLIMIT_NPROC:
        return "nproc";
    case RLIMIT_MEMLOCK:
        return "memlock";
    default:
        return "resource";
    }
}

void process_order_explain(const struct process_order *o, const struct guard_report *report,
                           struct err *err)
{
    switch ((enum guard_stage)report->stage) {
    case GUARD_AT_EXEC:
        explain_exec(o, report->status, err);
        break;
    case GUARD_AT_FOLDER:
        err_errno(err, report->status,
                  "cannot start %s: user '%s' cannot enter its working folder %s (cwd): create it, "
                  "or correct `cwd`",
                  o->label, o->user, o->folder);
        break;
    case GUARD_AT_USER:
        err_errno(err, report->status, "cannot start %s as user '%s' (only root may change users)",
                  o->label, o->user);
        break;
    case GUARD_AT_LIMITS:
        err_errno(err, report->status,
                  "cannot start %s: cannot set its %s limit (only root may raise one)", o->label,
                  limit_name(report->detail));
        break;
    case GUARD_AT_FORK:
    case GUARD_AT_SPEC:
        err_errno(err, report->status, "cannot start %s: cannot make a process", o->label);
        break;
    }
}
