#include "file_store.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/instance.h"
#include "core/mem.h"
#include "io/file.h"

#define MAX_FILE (4u << 20)
#define MAX_FILES 1000
#define MAX_RECORDS 10000

/* ---- the folder and its records ---- */

int store_make_folder(const struct store *s, struct err *err)
{
    static const struct file_options shared = {.mode = 0755};
    return file_mkdir(s->folder, &shared, err);
}

int store_init(struct store *s, const char *folder, struct err *err)
{
    s->folder = xstrdup(folder);
    if (store_make_folder(s, err) < 0) {
        free(s->folder);
        return -1;
    }
    owner_init(&s->self);
    return 0;
}

void store_close(struct store *s)
{
    free(s->folder);
    owner_close(&s->self);
}

static int64_t expiry_of(const json_t *record)
{
    return (int64_t)json_number_value(json_object_get(record, "expires"));
}

static bool is_over(const struct store *s, const json_t *record)
{
    int64_t expires = expiry_of(record);
    return (expires && expires <= (int64_t)time(NULL)) ||
           owner_is_dead(&s->self, json_object_get(record, "owner"));
}

/* ---- one file ---- */

static char *path_of(const struct store *s, const char *service)
{
    return xasprintf("%s/%s.json", s->folder, service);
}

/* The file's content; NULL without an error if there is no such file. */
static json_t *load(const char *path, struct err *err)
{
    struct err problem = {0};
    struct buf text = {0};
    json_error_t fault;
    json_t *root = NULL;
    if (file_read(path, MAX_FILE, &text, &problem) < 0) {
        if (strcmp(problem.code, "not_found") == 0)
            err_clear(&problem);
        else
            err_move(err, &problem);
    } else {
        root = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, &fault);
        if (!root)
            err_set(err, "invalid", "%s:%d:%d: %s; mend or remove the file", path, fault.line,
                    fault.column, fault.text);
    }
    buf_free(&text);
    return root;
}

static int save(const char *path, json_t *root, struct err *err)
{
    static const struct file_options public = {.mode = 0644};
    if (json_array_size(root) == 0 && json_object_size(root) == 0) {
        if (unlink(path) < 0 && errno != ENOENT)
            return err_errno(err, errno, "cannot remove %s", path);
        return 0;
    }
    char *text = json_dumps(root, JSON_INDENT(2));
    char *line = xasprintf("%s\n", text);
    int result = file_write(path, line, strlen(line), &public, err);
    free(line);
    free(text);
    return result;
}

/* Written by hand: {"address": ..., "port": ...}, as opposed to {"pds": {...}, "plc": {...}}. */
static bool is_record(const json_t *object)
{
    return json_is_string(json_object_get(object, "address")) ||
           json_is_integer(json_object_get(object, "port"));
}

typedef int record_fn(void *data, const char *service, json_t *record, struct err *err);

static int visit_entry(json_t *entry, const char *service, record_fn *visit, void *data,
                       struct err *err)
{
    if (!json_is_array(entry))
        return visit(data, service, entry, err);
    size_t index;
    json_t *record;
    json_array_foreach(entry, index, record)
    {
        if (visit(data, service, record, err) < 0)
            return err_set(err, "invalid", "[%zu].%s", index, err->message), -1;
    }
    return 0;
}

/* Visits every record of a file, whichever of the three forms it has. */
static int visit_root(json_t *root, const char *stem, record_fn *visit, void *data, struct err *err)
{
    const char *service;
    json_t *entry;
    if (json_is_array(root) || is_record(root))
        return visit_entry(root, stem, visit, data, err);
    json_object_foreach(root, service, entry)
    {
        if (visit_entry(entry, service, visit, data, err) < 0)
            return err_set(err, "invalid", "%s%s%s", service, err->message[0] == '[' ? "" : ".",
                           err->message),
                   -1;
    }
    return 0;
}

static int visit_file(const struct store *s, const char *stem, record_fn *visit, void *data,
                      struct err *err)
{
    struct err problem = {0};
    char *path = path_of(s, stem);
    json_t *root = load(path, &problem);
    int result = problem.code ? -1 : 0;
    if (root && visit_root(root, stem, visit, data, &problem) < 0)
        result = err_set(&problem, "invalid", "%s: %s", path, problem.message);
    json_decref(root);
    free(path);
    if (result < 0)
        err_move(err, &problem);
    return result;
}

/* ---- the folder ---- */

static char *stem_of(const char *name)
{
    size_t len = strlen(name);
    if (name[0] == '.' || len <= 5 || strcmp(name + len - 5, ".json") != 0)
        return NULL;
    return xstrndup(name, len - 5);
}

static int compare_text(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static void free_list(char **list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(list[i]);
    free(list);
}

/* The names of the files without ".json", sorted. */
static char **list_stems(const struct store *s, size_t *ret_count, struct err *err)
{
    DIR *dir = opendir(s->folder);
    if (!dir) {
        err_errno(err, errno, "cannot list %s", s->folder);
        return NULL;
    }
    char **stems = xmalloc(MAX_FILES * sizeof *stems);
    size_t count = 0;
    const struct dirent *entry;
    while (count < MAX_FILES && (entry = readdir(dir)))
        if ((stems[count] = stem_of(entry->d_name)))
            count++;
    closedir(dir);
    if (count == MAX_FILES) {
        free_list(stems, count);
        err_set(err, "invalid", "%s holds more than %d files", s->folder, MAX_FILES - 1);
        return NULL;
    }
    qsort(stems, count, sizeof *stems, compare_text);
    *ret_count = count;
    return stems;
}

/* ---- lookup ---- */

struct search {
    const struct store *store;
    const char *service;
    struct store_answer *answer;
};

static bool has_id(const struct store_answer *answer, const char *id)
{
    for (size_t i = 0; i < answer->count; i++)
        if (strcmp(answer->instances[i]->id, id) == 0)
            return true;
    return false;
}

static void keep(struct store_answer *answer, struct instance *instance, const json_t *record)
{
    int64_t expires = expiry_of(record);
    if (expires && (!answer->next_expiry || expires < answer->next_expiry))
        answer->next_expiry = expires;
    answer->has_owners |= json_object_get(record, "owner") != NULL;
    free(instance->source);
    instance->source = xstrdup("file");
    answer->instances =
        xreallocarray(answer->instances, answer->count + 1, sizeof *answer->instances);
    answer->instances[answer->count++] = instance;
}

/* Every record is checked, of other services too: a file with a fault is a fault. */
static int search_record(void *data, const char *service, json_t *record, struct err *err)
{
    struct search *search = data;
    struct instance *instance = instance_parse(record, service, err);
    if (!instance)
        return -1;
    if (strcmp(instance->service, search->service) == 0 && !is_over(search->store, record) &&
        !has_id(search->answer, instance->id) && search->answer->count < MAX_RECORDS)
        keep(search->answer, instance, record);
    else
        instance_free(instance);
    return 0;
}

static int compare_ids(const void *left, const void *right)
{
    const struct instance *const *a = left, *const *b = right;
    return strcmp((*a)->id, (*b)->id);
}

/* FNV-1a over the answer's text: enough to tell two answers apart, and the same in every process.
 */
static void hash(struct store_answer *answer)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < answer->count; i++) {
        json_t *json = instance_dump(answer->instances[i]);
        char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
        for (const char *c = text; *c; c++)
            h = (h ^ (unsigned char)*c) * 0x100000001b3u;
        free(text);
        json_decref(json);
    }
    snprintf(answer->cursor, sizeof answer->cursor, "%016llx", (unsigned long long)h);
}

/* The service's own file first, so that its records win; then those of the others that name it. A
 * fault in another's file counts only when nothing was found: it might have been there. */
static int search_all(struct search *search, char **stems, size_t count, struct err *err)
{
    struct err elsewhere = {0};
    if (visit_file(search->store, search->service, search_record, search, err) < 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        if (strcmp(stems[i], search->service) != 0)
            visit_file(search->store, stems[i], search_record, search,
                       elsewhere.code ? NULL : &elsewhere);
    if (elsewhere.code && search->answer->count == 0) {
        err_move(err, &elsewhere);
        return -1;
    }
    err_clear(&elsewhere);
    return 0;
}

int store_lookup(const struct store *s, const char *service, struct store_answer *ret_answer,
                 struct err *err)
{
    struct search search = {s, service, ret_answer};
    size_t count;
    *ret_answer = (struct store_answer){0};
    char **stems = list_stems(s, &count, err);
    if (!stems)
        return -1;
    int result = search_all(&search, stems, count, err);
    free_list(stems, count);
    if (result < 0) {
        store_answer_free(ret_answer);
        return -1;
    }
    if (ret_answer->count)
        qsort(ret_answer->instances, ret_answer->count, sizeof *ret_answer->instances, compare_ids);
    hash(ret_answer);
    return 0;
}

void store_answer_free(struct store_answer *answer)
{
    for (size_t i = 0; i < answer->count; i++)
        instance_free(answer->instances[i]);
    free(answer->instances);
    *answer = (struct store_answer){0};
}

/* ---- services ---- */

struct census {
    const struct store *store;
    json_t *names; /* a map used as a set */
};

static int count_record(void *data, const char *service, json_t *record, struct err *err)
{
    struct census *census = data;
    struct instance *instance = instance_parse(record, service, err);
    if (!instance)
        return -1;
    if (!is_over(census->store, record))
        json_object_set_new(census->names, instance->service, json_true());
    instance_free(instance);
    return 0;
}

static char **names_of(json_t *set, size_t *ret_count)
{
    const char *name;
    json_t *value;
    char **names = xcalloc(json_object_size(set) + 1, sizeof *names);
    size_t count = 0;
    json_object_foreach(set, name, value) names[count++] = (char *)name;
    qsort(names, count, sizeof *names, compare_text);
    char **copy = xstrvdup(names);
    free(names);
    *ret_count = count;
    return copy;
}

char **store_services(const struct store *s, size_t *ret_count, struct err *err)
{
    struct census census = {s, json_object()};
    size_t count;
    char **stems = list_stems(s, &count, err), **names = NULL;
    int result = stems ? 0 : -1;
    for (size_t i = 0; stems && i < count && result == 0; i++)
        result = visit_file(s, stems[i], count_record, &census, err);
    if (result == 0)
        names = names_of(census.names, ret_count);
    if (stems)
        free_list(stems, count);
    json_decref(census.names);
    return names;
}

/* ---- writing ---- */

/* One service's file, taken apart: `records` is the list to change, inside `root`. */
struct document {
    char *path;      /* owned */
    json_t *root;    /* owned */
    json_t *records; /* borrowed from root */
};

static void document_close(struct document *d)
{
    json_decref(d->root);
    free(d->path);
}

/* A file by service name stays one; a single record becomes a list of one. */
static json_t *make_list(struct document *d, const char *service)
{
    bool by_service = json_is_object(d->root) && !is_record(d->root);
    json_t *entry = by_service ? json_object_get(d->root, service) : d->root;
    if (json_is_array(entry))
        return entry;
    json_t *list = json_array();
    if (entry)
        json_array_append(list, entry);
    if (by_service) {
        json_object_set_new(d->root, service, list);
    } else {
        json_decref(d->root);
        d->root = list;
    }
    return list;
}

static void prune(const struct store *s, json_t *records)
{
    for (size_t i = json_array_size(records); i-- > 0;)
        if (is_over(s, json_array_get(records, i)))
            json_array_remove(records, i);
}

/* A writer that was killed leaves its temporary file; we hold the lock, so no other is at work. */
static void sweep(const struct store *s, const char *service)
{
    char *base = xasprintf("%s.json", service);
    DIR *dir = opendir(s->folder);
    const struct dirent *entry;
    while (dir && (entry = readdir(dir)))
        if (file_is_temporary(entry->d_name, base))
            unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        closedir(dir);
    free(base);
}

static int document_open(const struct store *s, const char *service, struct document *d,
                         struct err *err)
{
    struct err problem = {0};
    d->path = path_of(s, service);
    d->root = load(d->path, &problem);
    if (problem.code) {
        err_move(err, &problem);
        document_close(d);
        return -1;
    }
    sweep(s, service);
    d->records = make_list(d, service);
    prune(s, d->records);
    return 0;
}

static int document_save(struct document *d, const char *service, struct err *err)
{
    if (json_is_object(d->root) && json_array_size(d->records) == 0)
        json_object_del(d->root, service);
    int result = save(d->path, d->root, err);
    document_close(d);
    return result;
}

/* Where the record of this id is; the number of records if it is not there. */
static size_t find(const json_t *records, const char *service, const char *id)
{
    size_t index;
    json_t *record;
    json_array_foreach((json_t *)records, index, record)
    {
        struct instance *instance = instance_parse(record, service, NULL);
        bool found = instance && strcmp(instance->id, id) == 0;
        instance_free(instance);
        if (found)
            break;
    }
    return index;
}

static json_int_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (json_int_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The old revision if nothing but the lease differs, else one that is higher than any before. */
static json_int_t revision_for(const json_t *old, const json_t *new, const char *service)
{
    struct instance *before = old ? instance_parse(old, service, NULL) : NULL;
    json_int_t revision = now_ms();
    if (!before)
        return revision;
    json_t *compared = instance_dump(before);
    json_object_del(compared, "source");
    json_object_set_new(compared, "revision", json_incref(json_object_get(new, "revision")));
    if (json_equal(compared, new))
        revision = before->revision;
    else if (revision <= before->revision)
        revision = before->revision + 1;
    json_decref(compared);
    instance_free(before);
    return revision;
}

static void lease(const struct store *s, json_t *record, json_int_t ttl_s, bool owned)
{
    json_object_set_new(record, "ttl", json_integer(ttl_s));
    json_object_set_new(record, "expires", json_integer((json_int_t)time(NULL) + ttl_s));
    if (owned)
        json_object_set_new(record, "owner", owner_dump(&s->self));
}

int store_register(const struct store *s, const struct instance *record, uint64_t ttl_s, bool owned,
                   struct err *err)
{
    struct document d;
    if (document_open(s, record->service, &d, err) < 0)
        return -1;
    json_t *new = instance_dump(record);
    json_object_del(new, "source");
    size_t at = find(d.records, record->service, record->id);
    const json_t *old = json_array_get(d.records, at);
    json_object_set_new(new, "revision", json_integer(revision_for(old, new, record->service)));
    if (ttl_s)
        lease(s, new, (json_int_t)ttl_s, owned);
    if (old)
        json_array_set_new(d.records, at, new);
    else
        json_array_append_new(d.records, new);
    return document_save(&d, record->service, err);
}

int store_renew(const struct store *s, const char *service, const char *id, struct err *err)
{
    struct document d;
    if (document_open(s, service, &d, err) < 0)
        return -1;
    json_t *record = json_array_get(d.records, find(d.records, service, id));
    if (!record) {
        err_set(err, "not_found", "%s is not registered in %s: register it again", id, d.path);
        document_close(&d);
        return -1;
    }
    json_int_t ttl_s = json_integer_value(json_object_get(record, "ttl"));
    if (ttl_s)
        lease(s, record, ttl_s, true);
    return document_save(&d, service, err);
}

int store_deregister(const struct store *s, const char *service, const char *id, struct err *err)
{
    struct document d;
    if (document_open(s, service, &d, err) < 0)
        return -1;
    size_t at = find(d.records, service, id);
    if (at == json_array_size(d.records) && at > 0) {
        document_close(&d);
        return 0;
    }
    json_array_remove(d.records, at);
    return document_save(&d, service, err);
}
