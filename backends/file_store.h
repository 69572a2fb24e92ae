/* file_store.h -- the folder of the file backend: `<folder>/<service>.json`.
 *
 * A file that we write is a list of records; each may bear, beyond the record, `ttl` and `expires`
 * (unix seconds) and `owner` (the process that renews it). Files written by hand may also hold one
 * record, or an object of such by service name. Whatever cannot be read is an error that names the
 * file, never an empty answer. Nothing here waits; whoever writes holds the folder's lock. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "file_owner.h"

struct err;
struct instance;

struct store {
    char *folder;      /* owned */
    struct owner self; /* embedded: this process */
};

int store_init(struct store *s, const char *folder, struct err *err);
void store_close(struct store *s);

/* Makes the folder, and those above it, if somebody has removed it. */
int store_make_folder(const struct store *s, struct err *err);

/* What a lookup found: its instances in the order of their ids. */
struct store_answer {
    struct instance **instances; /* owned, all of it */
    size_t count;
    char cursor[17];     /* a hash of the instances */
    int64_t next_expiry; /* unix seconds; 0: none expires */
    bool has_owners;     /* one may vanish with its process, of which no event tells */
};

int store_lookup(const struct store *s, const char *service, struct store_answer *ret_answer,
                 struct err *err);
void store_answer_free(struct store_answer *answer);

/* The services that have an instance: a sorted list of `*ret_count` names in one block to free().
 */
char **store_services(const struct store *s, size_t *ret_count, struct err *err);

/* All three drop what has expired, or lost its owner, from the same file. */
int store_register(const struct store *s, const struct instance *record, uint64_t ttl_s, bool owned,
                   struct err *err);
int store_renew(const struct store *s, const char *service, const char *id, struct err *err);
int store_deregister(const struct store *s, const char *service, const char *id, struct err *err);
