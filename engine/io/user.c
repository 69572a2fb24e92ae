#include "io/user.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <pthread.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/err.h"
#include "core/mem.h"

#define RECORD_BYTES 65536
#define MAX_GROUPS 1024
#define KEPT 4     /* users: services run as few */
#define KEPT_S 1.0 /* a start of hundreds of services asks for the same user hundreds of times */

/* A user that was found a moment ago. Who is missing is looked up anew each time. */
struct kept {
    char *asked;      /* owned: the name that was asked for; NULL: free */
    struct user user; /* owned; with its groups once they were asked for */
    double until;
};

static struct kept kept[KEPT]; /* checks look users up on threads too */
static size_t next_kept;
static pthread_mutex_t kept_lock = PTHREAD_MUTEX_INITIALIZER;

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

/* ---- what was found a moment ago ---- */

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct kept *find_kept(const char *asked)
{
    double now = now_s();
    for (size_t i = 0; i < KEPT; i++)
        if (kept[i].asked && strcmp(kept[i].asked, asked) == 0 && now < kept[i].until)
            return &kept[i];
    return NULL;
}

/* The Lua module may be unloaded. */
static void forget_kept(void) __attribute__((destructor));

static void forget_kept(void)
{
    for (size_t i = 0; i < KEPT; i++) {
        free(kept[i].asked);
        user_free(&kept[i].user);
        kept[i].asked = NULL;
    }
}

static bool recall(const char *asked, struct user *ret)
{
    pthread_mutex_lock(&kept_lock);
    const struct kept *k = find_kept(asked);
    if (k)
        *ret = (struct user){.uid = k->user.uid,
                             .gid = k->user.gid,
                             .name = xstrdup(k->user.name),
                             .home = xstrdup(k->user.home)};
    pthread_mutex_unlock(&kept_lock);
    return k != NULL;
}

static void keep(const char *asked, const struct user *found)
{
    pthread_mutex_lock(&kept_lock);
    struct kept *k = &kept[next_kept++ % KEPT];
    free(k->asked);
    user_free(&k->user);
    k->asked = xstrdup(asked);
    k->user = (struct user){.uid = found->uid,
                            .gid = found->gid,
                            .name = xstrdup(found->name),
                            .home = xstrdup(found->home)};
    k->until = now_s() + KEPT_S;
    pthread_mutex_unlock(&kept_lock);
}

static void copy_groups(struct user *to, const struct user *from)
{
    size_t count = from->group_count ? from->group_count : 1;
    free(to->groups);
    to->groups = xreallocarray(NULL, count, sizeof *to->groups);
    memcpy(to->groups, from->groups, from->group_count * sizeof *to->groups);
    to->group_count = from->group_count;
}

/* Who shares the name and the group has the same groups. */
static bool recall_groups(struct user *u)
{
    bool known = false;
    double now = now_s();
    pthread_mutex_lock(&kept_lock);
    for (size_t i = 0; i < KEPT && !known; i++) {
        const struct kept *k = &kept[i];
        known = k->asked && now < k->until && k->user.groups && k->user.gid == u->gid &&
                strcmp(k->user.name, u->name) == 0;
        if (known)
            copy_groups(u, &k->user);
    }
    pthread_mutex_unlock(&kept_lock);
    return known;
}

static void keep_groups(const struct user *u)
{
    pthread_mutex_lock(&kept_lock);
    for (size_t i = 0; i < KEPT; i++)
        if (kept[i].asked && kept[i].user.gid == u->gid && strcmp(kept[i].user.name, u->name) == 0)
            copy_groups(&kept[i].user, u);
    pthread_mutex_unlock(&kept_lock);
}

/* ---- looking up ---- */

int user_find(const char *name, struct user *ret, struct err *err)
{
    const char *asked = name ? name : "";
    if (recall(asked, ret))
        return 0;
    struct passwd record, *found = NULL;
    char *space = xmalloc(RECORD_BYTES);
    *ret = (struct user){0};
    if (name && !is_number(name))
        getpwnam_r(name, &record, space, RECORD_BYTES, &found);
    else
        getpwuid_r(name ? (uid_t)strtoul(name, NULL, 10) : geteuid(), &record, space, RECORD_BYTES,
                   &found);
    if (found) {
        fill(ret, found);
        keep(asked, ret);
    }
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
    if (recall_groups(u))
        return;
    u->groups = xreallocarray(u->groups, MAX_GROUPS, sizeof *u->groups);
    if (getgrouplist(u->name, u->gid, u->groups, &count) < 0)
        count = MAX_GROUPS;
    u->group_count = (size_t)count;
    keep_groups(u);
}

void user_free(struct user *u)
{
    free(u->name);
    free(u->home);
    free(u->groups);
    *u = (struct user){0};
}
