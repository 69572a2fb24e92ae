/* sheet.h -- records that were read from files of this machine, and lookups among them.
 *
 * A sheet is what one file (or one part of one) holds: it is made when that is read and replaced
 * when that changes. Nothing here reads or waits. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"
#include "file_owner.h"

struct instance;

struct sheet_entry {
    struct instance *instance; /* owned */
    uint64_t hash;             /* of all its fields */
    int64_t expires;           /* unix seconds; 0: never */
    struct owner_ref owner;
};

struct sheet {
    char *name; /* owned: the service whose records it is expected to hold */
    struct sheet_entry *entries;
    size_t count, room;
    bool mixed;       /* it has records of other services, too */
    struct err fault; /* why what follows the entries could not be read */
};

struct sheet *sheet_new(const char *name);
void sheet_free(struct sheet *s); /* NULL is fine */

/* Takes the instance over, and tells where it comes from. */
void sheet_add(struct sheet *s, struct instance *instance, const char *source, int64_t expires,
               struct owner_ref owner);

/* Borrowed sheets, sorted by name; of two with one name the first one's records win. */
struct index {
    struct sheet *const *sheets;
    size_t count;
    struct owner_memo owners;
};

/* Borrowed instances, valid until the sheets change; free() the list. */
struct index_answer {
    struct instance **instances; /* in the order of their ids */
    size_t count;
    char cursor[17];     /* a hash of the instances: the same in every process */
    int64_t next_expiry; /* unix seconds; 0: none expires */
    bool has_owners;     /* one may vanish with its process, of which no event tells */
};

/* A fault in a sheet of another name counts only when nothing was found: it might have been there.
 */
int index_lookup(struct index *x, const char *service, struct index_answer *ret_answer,
                 struct err *err);

/* The services that have an instance: a sorted list of `*ret_count` names in one block to free().
 */
char **index_services(struct index *x, size_t *ret_count, struct err *err);

/* The revision of a record that takes the place of `before` (may be NULL): that one's if they do
 * not differ, else a higher one. */
int64_t sheet_revision(const struct instance *before, const struct instance *after);

/* When what is renewed now is over: after `ttl_s` seconds, or up to one more. */
int64_t sheet_expiry(int64_t ttl_s);
