/* check_systemd.c -- the check "systemd": a unit is in the state expected. */
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/mem.h"
#include "io/check.h"
#include "io/systemd.h"

#define MAX_UNIT 255

struct systemd_check {
    char *unit;    /* owned: the full name */
    char **states; /* owned: any of them passes */
    char *wanted;  /* owned: they, for messages */
};

/* One try. Freed when it is answered or cancelled. */
struct systemd_try {
    const struct systemd_check *spec; /* borrowed */
    struct check *check;              /* borrowed */
    struct systemd_query *query;      /* owned by its connection; NULL: there was none */
};

static bool in_list(const char *const *list, const char *text)
{
    for (; *list; list++)
        if (strcmp(*list, text) == 0)
            return true;
    return false;
}

/* A unit that reloads its configuration is up: `systemctl is-active` says so too. */
static bool expected(const struct systemd_check *s, const char *state)
{
    const char *const *states = (const char *const *)s->states;
    return in_list(states, state) || (strcmp(state, "reloading") == 0 && in_list(states, "active"));
}

static void judge(const struct systemd_check *s, struct check *c, const struct systemd_unit *u)
{
    bool loaded = strcmp(u->load, "loaded") == 0;
    if (strcmp(u->load, "not-found") == 0 && strcmp(u->active, "inactive") == 0)
        check_fail(c, "%s does not exist: systemd has no unit file of this name", s->unit);
    else if (expected(s, u->active))
        check_pass(c, "%s is %s (%s)", s->unit, u->active, u->sub);
    else
        check_fail(c, "%s is %s (%s), expected %s%s%s", s->unit, u->active, u->sub, s->wanted,
                   loaded ? "" : "; its unit file is ", loaded ? "" : u->load);
}

static void unit_told(void *data, const struct systemd_unit *unit, const struct err *err)
{
    struct systemd_try *t = data;
    const struct systemd_check *s = t->spec;
    struct check *c = t->check;
    free(t);
    if (err)
        check_fail(c, "%s: %s", s->unit, err->message);
    else
        judge(s, c, unit);
}

static void *systemd_start(struct io *io, const void *prepared, struct check *c)
{
    struct err err = {0};
    struct systemd_try *t = xcalloc(1, sizeof *t);
    *t = (struct systemd_try){.spec = prepared, .check = c};
    t->query = systemd_ask(io, t->spec->unit, unit_told, t, &err);
    if (t->query)
        return t;
    free(t);
    check_fail(c, "%s: %s", ((const struct systemd_check *)prepared)->unit, err.message);
    err_clear(&err);
    return NULL;
}

static void systemd_stop(void *op)
{
    struct systemd_try *t = op;
    systemd_cancel(t->query);
    free(t);
}

/* ---- options ---- */

static const char *const known_states[] = {"active",     "reloading",    "inactive",    "failed",
                                           "activating", "deactivating", "maintenance", NULL};

static const char *const suffixes[] = {"service",   "socket", "target", "timer", "path",   "mount",
                                       "automount", "swap",   "slice",  "scope", "device", NULL};

static void systemd_release(void *prepared)
{
    struct systemd_check *s = prepared;
    check_free_list(s->states);
    free(s->unit);
    free(s->wanted);
    free(s);
}

/* "nginx" is "nginx.service", as it is for systemctl. */
static char *full_name(const char *unit)
{
    const char *dot = strrchr(unit, '.');
    return xasprintf(dot && in_list(suffixes, dot + 1) ? "%s" : "%s.service", unit);
}

static int read_unit(const json_t *options, struct systemd_check *s, struct err *err)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:-_.\\@";
    const char *unit;
    if (check_need_string(options, "unit", &unit, err) < 0)
        return -1;
    if (!*unit || unit[strspn(unit, allowed)])
        return err_set(err, "invalid",
                       "unit: \"%s\" is no name of a unit; expected one such as nginx.service",
                       unit);
    s->unit = full_name(unit);
    if (strlen(s->unit) > MAX_UNIT)
        return err_set(err, "invalid", "unit: is longer than %d bytes", MAX_UNIT);
    return 0;
}

static char *join(const char *const *list, const char *separator)
{
    struct buf text = {0};
    for (size_t i = 0; list[i]; i++)
        buf_printf(&text, "%s%s", i ? separator : "", list[i]);
    return buf_take(&text);
}

static int check_states(const struct systemd_check *s, struct err *err)
{
    if (!s->states[0])
        return err_set(err, "invalid", "expectedState: is empty");
    for (char **state = s->states; *state; state++) {
        if (in_list(known_states, *state))
            continue;
        char *all = join(known_states, ", ");
        err_set(err, "invalid", "expectedState: \"%s\" is not one of %s", *state, all);
        free(all);
        return -1;
    }
    return 0;
}

static int read_states(const json_t *options, struct systemd_check *s, struct err *err)
{
    const char *one = "active";
    if (json_is_array(json_object_get(options, "expectedState"))) {
        if (check_opt_list(options, "expectedState", &s->states, err) < 0)
            return -1;
    } else {
        if (check_opt_string(options, "expectedState", &one, err) < 0)
            return -1;
        s->states = xcalloc(2, sizeof *s->states);
        s->states[0] = xstrdup(one);
    }
    if (check_states(s, err) < 0)
        return -1;
    s->wanted = join((const char *const *)s->states, " or ");
    return 0;
}

static void *systemd_prepare(const json_t *options, uint64_t timeout_ms, struct err *err)
{
    struct systemd_check *s = xcalloc(1, sizeof *s);
    (void)timeout_ms;
    if (read_unit(options, s, err) < 0 || read_states(options, s, err) < 0) {
        systemd_release(s);
        return NULL;
    }
    return s;
}

static const char *systemd_subject(const void *prepared)
{
    const struct systemd_check *s = prepared;
    return s->unit;
}

static const char *const systemd_keys[] = {"unit", "expectedState", NULL};

const struct check_kind check_systemd = {
    .name = "systemd",
    .cost = 1,
    .keys = systemd_keys,
    .prepare = systemd_prepare,
    .release = systemd_release,
    .subject = systemd_subject,
    .start = systemd_start,
    .cancel = systemd_stop,
};
