#include "sheet.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/instance.h"
#include "core/mem.h"
#include "core/texts.h"

#define MAX_RECORDS 10000
#define FNV_START 0xcbf29ce484222325u
#define FNV_PRIME 0x100000001b3u

/* ---- sheets ---- */

struct sheet *sheet_new(const char *name)
{
    struct sheet *s = xcalloc(1, sizeof *s);
    s->name = xstrdup(name);
    return s;
}

void sheet_free(struct sheet *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->count; i++)
        instance_free(s->entries[i].instance);
    free(s->entries);
    free(s->name);
    err_clear(&s->fault);
    free(s);
}

/* FNV-1a over the record's text: enough to tell two apart. */
static uint64_t hash_of(const struct instance *instance)
{
    json_t *json = instance_dump(instance);
    char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
    uint64_t h = FNV_START;
    for (const char *c = text; *c; c++)
        h = (h ^ (unsigned char)*c) * FNV_PRIME;
    free(text);
    json_decref(json);
    return h;
}

void sheet_add(struct sheet *s, struct instance *instance, const char *source, int64_t expires,
               struct owner_ref owner)
{
    if (s->count == s->room) {
        s->room = s->room ? s->room * 2 : 8;
        s->entries = xreallocarray(s->entries, s->room, sizeof *s->entries);
    }
    free(instance->source);
    instance->source = xstrdup(source);
    s->mixed |= strcmp(instance->service, s->name) != 0;
    s->entries[s->count++] = (struct sheet_entry){instance, hash_of(instance), expires, owner};
}

/* ---- lookup ---- */

static bool is_over(struct index *x, const struct sheet_entry *entry, int64_t now)
{
    return (entry->expires && entry->expires <= now) ||
           owner_ref_is_dead(&entry->owner, &x->owners);
}

struct hit {
    const struct sheet_entry *entry;
    size_t rank; /* of two with one id the one that was found first counts */
};

struct found {
    struct hit *hits;
    size_t count, room;
};

static void collect(struct index *x, const struct sheet *s, const char *service, struct found *f)
{
    int64_t now = (int64_t)time(NULL);
    for (size_t i = 0; i < s->count && f->count < MAX_RECORDS; i++) {
        const struct sheet_entry *entry = &s->entries[i];
        if (strcmp(entry->instance->service, service) != 0 || is_over(x, entry, now))
            continue;
        if (f->count == f->room) {
            f->room = f->room ? f->room * 2 : 16;
            f->hits = xreallocarray(f->hits, f->room, sizeof *f->hits);
        }
        f->hits[f->count] = (struct hit){entry, f->count};
        f->count++;
    }
}

static int compare_hits(const void *left, const void *right)
{
    const struct hit *a = left, *b = right;
    int order = strcmp(a->entry->instance->id, b->entry->instance->id);
    return order ? order : (a->rank > b->rank) - (a->rank < b->rank);
}

static void sort_hits(struct found *f)
{
    size_t kept = 0;
    if (f->count)
        qsort(f->hits, f->count, sizeof *f->hits, compare_hits);
    for (size_t i = 0; i < f->count; i++)
        if (!kept ||
            strcmp(f->hits[kept - 1].entry->instance->id, f->hits[i].entry->instance->id) != 0)
            f->hits[kept++] = f->hits[i];
    f->count = kept;
}

static void fill(struct index_answer *answer, const struct found *f)
{
    uint64_t h = FNV_START;
    answer->instances = xmalloc((f->count + 1) * sizeof *answer->instances);
    for (size_t i = 0; i < f->count; i++) {
        const struct sheet_entry *entry = f->hits[i].entry;
        answer->instances[answer->count++] = entry->instance;
        answer->has_owners |= entry->owner.pid != 0;
        if (entry->expires && (!answer->next_expiry || entry->expires < answer->next_expiry))
            answer->next_expiry = entry->expires;
        h = (h ^ entry->hash) * FNV_PRIME;
    }
    snprintf(answer->cursor, sizeof answer->cursor, "%016llx", (unsigned long long)h);
}

static int copy_fault(struct err *err, const struct err *fault)
{
    return err_set(err, fault->code, "%s", fault->message);
}

/* The sheets of the service's name first, so that their records win; then those of the others that
 * name it. */
static int collect_all(struct index *x, const char *service, struct found *f, struct err *err)
{
    const struct err *elsewhere = NULL;
    for (size_t i = 0; i < x->count; i++) {
        if (strcmp(x->sheets[i]->name, service) != 0)
            continue;
        if (x->sheets[i]->fault.code)
            return copy_fault(err, &x->sheets[i]->fault);
        collect(x, x->sheets[i], service, f);
    }
    for (size_t i = 0; i < x->count; i++) {
        const struct sheet *s = x->sheets[i];
        if (strcmp(s->name, service) == 0)
            continue;
        if (s->mixed)
            collect(x, s, service, f);
        if (s->fault.code && !elsewhere)
            elsewhere = &s->fault;
    }
    return elsewhere && f->count == 0 ? copy_fault(err, elsewhere) : 0;
}

int index_lookup(struct index *x, const char *service, struct index_answer *ret_answer,
                 struct err *err)
{
    struct found found = {0};
    *ret_answer = (struct index_answer){0};
    x->owners.round++;
    int result = collect_all(x, service, &found, err);
    sort_hits(&found);
    if (result == 0)
        fill(ret_answer, &found);
    free(found.hits);
    return result;
}

/* ---- services ---- */

static char **names_of(json_t *set, size_t *ret_count)
{
    const char *name;
    json_t *value;
    char **names = xcalloc(json_object_size(set) + 1, sizeof *names);
    size_t count = 0;
    json_object_foreach(set, name, value) names[count++] = (char *)name;
    texts_sort(names, count);
    char **copy = xstrvdup(names);
    free(names);
    *ret_count = count;
    return copy;
}

static void count_services(struct index *x, const struct sheet *s, json_t *set)
{
    int64_t now = (int64_t)time(NULL);
    for (size_t i = 0; i < s->count; i++) {
        const char *service = s->entries[i].instance->service;
        if (!json_object_get(set, service) && !is_over(x, &s->entries[i], now))
            json_object_set_new(set, service, json_true());
    }
}

char **index_services(struct index *x, size_t *ret_count, struct err *err)
{
    json_t *set = json_object();
    char **names = NULL;
    size_t i = 0;
    x->owners.round++;
    for (; i < x->count && !x->sheets[i]->fault.code; i++)
        count_services(x, x->sheets[i], set);
    if (i < x->count)
        copy_fault(err, &x->sheets[i]->fault);
    else
        names = names_of(set, ret_count);
    json_decref(set);
    return names;
}

/* ---- revisions ---- */

static json_t *content_of(const struct instance *instance)
{
    json_t *json = instance_dump(instance);
    json_object_del(json, "source");
    json_object_del(json, "revision");
    return json;
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t sheet_revision(const struct instance *before, const struct instance *after)
{
    if (!before)
        return now_ms();
    json_t *old = content_of(before), *new = content_of(after);
    int64_t revision = before->revision, now = now_ms();
    if (!json_equal(old, new))
        revision = now > revision ? now : revision + 1;
    json_decref(old);
    json_decref(new);
    return revision;
}

int64_t sheet_expiry(int64_t ttl_s)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec + ttl_s + (now.tv_nsec > 0);
}
