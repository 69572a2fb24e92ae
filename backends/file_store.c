#include "file_store.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/instance.h"
#include "core/mem.h"
#include "core/texts.h"
#include "file_stamp.h"
#include "io/file.h"

#define MAX_FILE (4u << 20)
#define MAX_FILES 10000

/* What was read of one file, and when it need not be read again. */
struct page {
    struct sheet *sheet; /* owned; its name is the file's, without ".json" */
    struct file_stamp stamp;
    bool taken; /* while reading: the sheet has gone into the new page */
};

struct store {
    char *folder;       /* owned */
    struct owner self;  /* embedded: this process */
    struct page *pages; /* owned, sorted by name */
    size_t page_count;
    struct sheet **sheets; /* owned; those of the pages */
};

/* ---- the folder and its records ---- */

static int make_folder(void *self, struct err *err)
{
    static const struct file_options shared = {.mode = 0755};
    const struct store *s = self;
    return file_mkdir(s->folder, &shared, err);
}

static int64_t expiry_of(const json_t *record)
{
    return (int64_t)json_number_value(json_object_get(record, "expires"));
}

static bool is_over(const struct store *s, const json_t *record, struct owner_memo *owners)
{
    int64_t expires = expiry_of(record);
    struct owner_ref owner = owner_read(&s->self, json_object_get(record, "owner"));
    return (expires && expires <= (int64_t)time(NULL)) || owner_ref_is_dead(&owner, owners);
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

/* `lasting`: the change outlives a crash of the machine from now on. Else the file may then be the
 * one before, which is as good where only leases differ: whoever renewed them is gone, too. */
static int save(const char *path, json_t *root, bool lasting, struct err *err)
{
    const struct file_options public = {.mode = 0644, .late_name = !lasting};
    if (json_array_size(root) == 0 && json_object_size(root) == 0) {
        if (unlink(path) < 0 && errno != ENOENT)
            return err_errno(err, errno, "cannot remove %s", path);
        return lasting ? file_sync_folder(path, err) : 0;
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

/* ---- the folder ---- */

static char *stem_of(const char *name)
{
    size_t len = strlen(name);
    if (name[0] == '.' || len <= 5 || strcmp(name + len - 5, ".json") != 0)
        return NULL;
    return xstrndup(name, len - 5);
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
        texts_free(stems, count);
        err_set(err, "invalid", "%s holds more than %d files", s->folder, MAX_FILES - 1);
        return NULL;
    }
    texts_sort(stems, count);
    *ret_count = count;
    return stems;
}

/* ---- reading ---- */

struct reader {
    const struct store *store;
    struct sheet *sheet;
};

static int read_record(void *data, const char *service, json_t *record, struct err *err)
{
    struct reader *r = data;
    struct instance *instance = instance_parse(record, service, err);
    if (!instance)
        return -1;
    sheet_add(r->sheet, instance, "file", expiry_of(record),
              owner_read(&r->store->self, json_object_get(record, "owner")));
    return 0;
}

static struct sheet *read_file(const struct store *s, const char *stem, const char *path)
{
    struct reader r = {s, sheet_new(stem)};
    struct err problem = {0};
    json_t *root = load(path, &r.sheet->fault);
    if (root && visit_root(root, stem, read_record, &r, &problem) < 0)
        err_set(&r.sheet->fault, "invalid", "%s: %s", path, problem.message);
    err_clear(&problem);
    json_decref(root);
    return r.sheet;
}

static int compare_pages(const void *left, const void *right)
{
    const struct page *a = left, *b = right;
    return strcmp(a->sheet->name, b->sheet->name);
}

static struct page *find_page(const struct store *s, const char *stem)
{
    const struct sheet name = {.name = (char *)stem};
    const struct page key = {.sheet = (struct sheet *)&name};
    return s->page_count ? bsearch(&key, s->pages, s->page_count, sizeof *s->pages, compare_pages)
                         : NULL;
}

/* The page of a file: the old one if the file is as it was. */
static struct page turn(const struct store *s, const char *stem)
{
    struct page *old = find_page(s, stem), page = {0};
    char *path = path_of(s, stem);
    page.stamp = file_stamp(path);
    if (old && file_stamp_holds(&old->stamp, &page.stamp)) {
        page = *old;
        old->taken = true;
    } else {
        page.sheet = read_file(s, stem, path);
    }
    free(path);
    return page;
}

static void drop_pages(struct page *pages, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!pages[i].taken)
            sheet_free(pages[i].sheet);
    free(pages);
}

static int store_read(void *self, struct index *ret_index, struct err *err)
{
    struct store *s = self;
    size_t count;
    char **stems = list_stems(s, &count, err);
    if (!stems)
        return -1;
    struct page *pages = xcalloc(count + 1, sizeof *pages);
    s->sheets = xreallocarray(s->sheets, count + 1, sizeof(struct sheet *));
    for (size_t i = 0; i < count; i++) {
        pages[i] = turn(s, stems[i]);
        s->sheets[i] = pages[i].sheet;
    }
    drop_pages(s->pages, s->page_count);
    s->pages = pages;
    s->page_count = count;
    ret_index->sheets = s->sheets;
    ret_index->count = count;
    texts_free(stems, count);
    return 0;
}

/* ---- writing ---- */

/* One service's file, taken apart: `records` is the list to change, inside `root`. */
struct document {
    char *path;      /* owned */
    json_t *root;    /* owned */
    json_t *records; /* borrowed from root */
    bool changed;
    bool lasting; /* a record without a lease changes */
};

static void document_drop(struct document *d)
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
    struct owner_memo owners = {.round = 1};
    for (size_t i = json_array_size(records); i-- > 0;)
        if (is_over(s, json_array_get(records, i), &owners))
            json_array_remove(records, i);
}

static bool is_leftover(const char *name, const char *const *services, size_t count)
{
    bool found = false;
    for (size_t i = 0; i < count && !found; i++) {
        char *base = xasprintf("%s.json", services[i]);
        found = file_is_temporary(name, base);
        free(base);
    }
    return found;
}

/* A writer that was killed leaves its temporary file; we hold the lock, so no other is at work. */
static void sweep(void *self, const char *const *services, size_t count)
{
    const struct store *s = self;
    DIR *dir = opendir(s->folder);
    const struct dirent *entry;
    while (dir && (entry = readdir(dir)))
        if (entry->d_name[0] == '.' && is_leftover(entry->d_name, services, count))
            unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        closedir(dir);
}

static int document_open(const struct store *s, const char *service, struct document *d,
                         struct err *err)
{
    struct err problem = {0};
    *d = (struct document){.path = path_of(s, service)};
    d->root = load(d->path, &problem);
    if (problem.code) {
        err_move(err, &problem);
        document_drop(d);
        return -1;
    }
    d->records = make_list(d, service);
    prune(s, d->records);
    return 0;
}

/* Writes what has changed. */
static void document_close(struct document *d, const char *service, struct err *err)
{
    if (json_is_object(d->root) && json_array_size(d->records) == 0)
        json_object_del(d->root, service);
    if (d->changed)
        save(d->path, d->root, d->lasting, err);
    document_drop(d);
}

static bool has_id(const json_t *record, const char *service, const char *id)
{
    const char *own = json_string_value(json_object_get(record, "id"));
    if (own)
        return strcmp(own, id) == 0;
    struct instance *instance = instance_parse(record, service, NULL);
    bool same = instance && strcmp(instance->id, id) == 0;
    instance_free(instance);
    return same;
}

/* Where the record of this id is; the number of records if it is not there. */
static size_t find(const json_t *records, const char *service, const char *id)
{
    size_t index;
    json_t *record;
    json_array_foreach((json_t *)records, index, record)
    {
        if (has_id(record, service, id))
            break;
    }
    return index;
}

static bool is_leased(const json_t *record)
{
    return json_integer_value(json_object_get(record, "ttl")) != 0;
}

static void lease(const struct store *s, json_t *record, json_int_t ttl_s, bool owned)
{
    json_object_set_new(record, "ttl", json_integer(ttl_s));
    json_object_set_new(record, "expires", json_integer(sheet_expiry(ttl_s)));
    if (owned)
        json_object_set_new(record, "owner", owner_dump(&s->self));
}

static int add_record(const struct store *s, struct document *d, const struct backend_request *r)
{
    const struct instance *record = r->record;
    json_t *new = instance_dump(record);
    json_object_del(new, "source");
    size_t at = find(d->records, record->service, record->id);
    json_t *old = json_array_get(d->records, at);
    struct instance *before = old ? instance_parse(old, record->service, NULL) : NULL;
    json_object_set_new(new, "revision", json_integer(sheet_revision(before, record)));
    instance_free(before);
    d->changed = true;
    d->lasting = d->lasting || !r->ttl_s || (old && !is_leased(old));
    if (r->ttl_s)
        lease(s, new, (json_int_t)r->ttl_s, r->owned);
    if (old)
        json_array_set_new(d->records, at, new);
    else
        json_array_append_new(d->records, new);
    return 0;
}

static int renew_record(const struct store *s, struct document *d, const struct backend_request *r,
                        struct err *err)
{
    json_t *record = json_array_get(d->records, find(d->records, r->service, r->id));
    if (!record)
        return err_set(err, "not_found", "%s is not registered in %s: register it again", r->id,
                       d->path);
    json_int_t ttl_s = json_integer_value(json_object_get(record, "ttl"));
    d->changed = true;
    if (ttl_s)
        lease(s, record, ttl_s, true);
    return 0;
}

/* A file in which nothing is left goes, also where others' records were over already. */
static int remove_record(struct document *d, const struct backend_request *r)
{
    size_t at = find(d->records, r->service, r->id);
    json_t *record = json_array_get(d->records, at);
    d->changed = d->changed || record || at == 0;
    d->lasting = d->lasting || (record && !is_leased(record));
    json_array_remove(d->records, at);
    return 0;
}

static int change(const struct store *s, struct document *d, struct shelf_writing *w)
{
    const struct backend_request *r = &w->request;
    if (atomic_load(&w->given_up))
        return 0;
    if (r->verb == BACKEND_REGISTER)
        return add_record(s, d, r);
    if (r->verb == BACKEND_RENEW)
        return renew_record(s, d, r, &w->fault);
    return remove_record(d, r);
}

/* The rest of the list as far as it is about the first one's service: one change of its file. */
static void write_service(const struct store *s, struct shelf_writing *list, size_t count)
{
    const char *service = list->request.service;
    struct document d;
    struct err err = {0};
    bool open = document_open(s, service, &d, &err) == 0;
    for (size_t i = 0; open && i < count; i++)
        if (strcmp(list[i].request.service, service) == 0)
            change(s, &d, &list[i]);
    if (open)
        document_close(&d, service, &err);
    for (size_t i = 0; err.code && i < count; i++)
        if (strcmp(list[i].request.service, service) == 0 && !list[i].fault.code)
            err_set(&list[i].fault, err.code, "%s", err.message);
    err_clear(&err);
}

static bool is_first(const struct shelf_writing *list, size_t at)
{
    for (size_t i = 0; i < at; i++)
        if (strcmp(list[i].request.service, list[at].request.service) == 0)
            return false;
    return true;
}

static void store_write(void *self, struct shelf_writing *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (is_first(list, i))
            write_service(self, list + i, count - i);
}

/* ---- life ---- */

void *file_store_open(const char *folder, struct err *err)
{
    struct store *s = xcalloc(1, sizeof *s);
    s->folder = xstrdup(folder);
    if (make_folder(s, err) < 0) {
        free(s->folder);
        free(s);
        return NULL;
    }
    owner_init(&s->self);
    return s;
}

static void store_close(void *self)
{
    struct store *s = self;
    drop_pages(s->pages, s->page_count);
    free(s->sheets);
    free(s->folder);
    owner_close(&s->self);
    free(s);
}

const struct store_kind file_store_kind = {.sweep = sweep,
                                           .write = store_write,
                                           .read = store_read,
                                           .make_folder = make_folder,
                                           .close = store_close};
