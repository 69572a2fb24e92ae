#include "io/user.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/err.h"
#include "core/mem.h"

#define RECORD_BYTES 65536
#define MAX_GROUPS 1024

static bool is_number(const char *text)
{
    return *text && text[strspn(text, "0123456789")] == '\0' && strlen(text) < 10;
}

static void fill(struct user *ret, const struct passwd *found)
{
    ret->uid = found->pw_uid;
    ret->gid = found->pw_gid;
    ret->name = xstrdup(found->pw_name);
    ret->home = xstrdup(found->pw_dir);
}

/* A number without an entry is still a user: containers run as such. */
static int unlisted(const char *name, struct user *ret, struct err *err)
{
    if (name && !is_number(name))
        return err_set(err, "not_found",
                       "there is no user '%s' on this machine: create it, or correct `user`", name);
    ret->uid = name ? (uid_t)strtoul(name, NULL, 10) : geteuid();
    ret->gid = name ? (gid_t)ret->uid : getegid();
    ret->name = xasprintf("%u", (unsigned)ret->uid);
    ret->home = xstrdup("/");
    return 0;
}

int user_find(const char *name, struct user *ret, struct err *err)
{
    struct passwd record, *found = NULL;
    char *space = xmalloc(RECORD_BYTES);
    *ret = (struct user){0};
    if (name && !is_number(name))
        getpwnam_r(name, &record, space, RECORD_BYTES, &found);
    else
        getpwuid_r(name ? (uid_t)strtoul(name, NULL, 10) : geteuid(), &record, space, RECORD_BYTES,
                   &found);
    if (found)
        fill(ret, found);
    free(space);
    return found ? 0 : unlisted(name, ret, err);
}

int group_find(const char *name, gid_t *ret, struct err *err)
{
    struct group record, *found = NULL;
    char *space = xmalloc(RECORD_BYTES);
    if (is_number(name)) {
        *ret = (gid_t)strtoul(name, NULL, 10);
        free(space);
        return 0;
    }
    getgrnam_r(name, &record, space, RECORD_BYTES, &found);
    if (found)
        *ret = found->gr_gid;
    free(space);
    if (found)
        return 0;
    return err_set(err, "not_found",
                   "there is no group '%s' on this machine: create it, or correct `group`", name);
}

void user_load_groups(struct user *u)
{
    int count = MAX_GROUPS;
    u->groups = xreallocarray(u->groups, MAX_GROUPS, sizeof *u->groups);
    if (getgrouplist(u->name, u->gid, u->groups, &count) < 0)
        count = MAX_GROUPS;
    u->group_count = (size_t)count;
}

void user_free(struct user *u)
{
    free(u->name);
    free(u->home);
    free(u->groups);
    *u = (struct user){0};
}
