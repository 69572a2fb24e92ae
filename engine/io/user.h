/* user.h -- users and groups of this machine. Blocking look-ups, of local files as a rule; what was
 * found is good for a second. */
#pragma once
#include <stddef.h>
#include <sys/types.h>

struct err;

struct user {
    uid_t uid;
    gid_t gid;
    char *name, *home; /* owned */
    gid_t *groups; /* owned: all groups, gid among them; filled by user_find() with a group list */
    size_t group_count;
};

/* Finds a user by name or number. NULL for `name` is who we are. */
int user_find(const char *name, struct user *ret, struct err *err);
int group_find(const char *name, gid_t *ret, struct err *err);

/* Fills in the supplementary groups. */
void user_load_groups(struct user *u);
void user_free(struct user *u);
