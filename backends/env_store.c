#include "env_store.h"

#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/instance.h"
#include "core/mem.h"
#include "core/utf8.h"
#include "env_names.h"
#include "env_text.h"
#include "file_stamp.h"
#include "io/file.h"

#define MAX_FILE (4u << 20)

struct store {
    char *prefix;            /* owned */
    char *file;              /* owned; NULL: `memory` is in its place */
    struct file_stamp stamp; /* of what the sheets hold */
    json_t *environment;     /* owned; our variables as they were when it was opened */
    json_t *memory;          /* owned; likewise variables */
    struct sheet **sheets;   /* owned; the file's come before those of the environment */
    size_t count;
};

/* ---- sources ---- */

static int make_folder(void *self, struct err *err)
{
    static const struct file_options shared = {.mode = 0755};
    const struct store *s = self;
    char *copy = xstrdup(s->file);
    int result = file_mkdir(dirname(copy), &shared, err);
    free(copy);
    return result;
}

/* The file's variables, and its other lines; none of both if there is no file. */
static json_t *load(const struct store *s, struct buf *others, struct err *err)
{
    struct buf text = {0};
    struct err problem = {0};
    json_t *variables = json_object();
    if (file_read(s->file, MAX_FILE, &text, &problem) < 0) {
        if (strcmp(problem.code, "not_found") == 0)
            err_clear(&problem);
    } else if (env_text_read(text.data, text.len, s->prefix, variables, others, &problem) < 0) {
        err_set(err, "invalid", "%s:%s; mend or remove it", s->file, problem.message);
        err_clear(&problem);
        json_decref(variables);
        variables = NULL;
    }
    buf_free(&text);
    if (!problem.code)
        return variables;
    err_move(err, &problem);
    json_decref(variables);
    return NULL;
}

static json_t *variables_of(const struct store *s, struct buf *others, struct err *err)
{
    return s->file ? load(s, others, err) : json_incref(s->memory);
}

/* ---- reading ---- */

struct filling {
    struct store *store;
    size_t from; /* sheets of an earlier source are left alone */
};

static struct sheet *sheet_for(const struct filling *f, const char *service)
{
    struct store *s = f->store;
    for (size_t i = f->from; i < s->count; i++)
        if (strcmp(s->sheets[i]->name, service) == 0)
            return s->sheets[i];
    s->sheets = xreallocarray(s->sheets, s->count + 1, sizeof(struct sheet *));
    return s->sheets[s->count++] = sheet_new(service);
}

static void fill(void *data, const char *service, const struct env_record *record,
                 const struct err *err)
{
    struct sheet *sheet = sheet_for(data, service);
    if (err)
        err_set(&sheet->fault, err->code, "%s", err->message);
    else
        sheet_add(sheet, record->instance, "env", record->expires, (struct owner_ref){0});
}

static void drop_sheets(struct store *s)
{
    for (size_t i = 0; i < s->count; i++)
        sheet_free(s->sheets[i]);
    s->count = 0;
}

static void fill_from(struct store *s, const json_t *variables)
{
    struct filling filling = {s, s->count};
    env_import(variables, s->prefix, fill, &filling);
}

static int store_read(void *self, struct index *ret_index, struct err *err)
{
    struct store *s = self;
    struct file_stamp stamp = {0};
    if (s->file)
        stamp = file_stamp(s->file);
    if (!s->file || !file_stamp_holds(&s->stamp, &stamp)) {
        json_t *variables = variables_of(s, NULL, err);
        if (!variables)
            return -1;
        drop_sheets(s);
        fill_from(s, variables);
        fill_from(s, s->environment);
        json_decref(variables);
        s->stamp = stamp;
    }
    ret_index->sheets = s->sheets;
    ret_index->count = s->count;
    return 0;
}

/* ---- writing ---- */

struct records {
    struct env_record *list; /* owned, with its instances */
    size_t count;
    struct err fault; /* of the first that is none */
};

static void keep(struct records *r, const struct env_record *record)
{
    r->list = xreallocarray(r->list, r->count + 1, sizeof *r->list);
    r->list[r->count++] = *record;
}

static void collect(void *data, const char *service, const struct env_record *record,
                    const struct err *err)
{
    struct records *r = data;
    (void)service;
    if (err && !r->fault.code)
        err_set(&r->fault, err->code, "%s", err->message);
    else if (!err && record->expires && record->expires <= (int64_t)time(NULL))
        instance_free(record->instance);
    else if (!err)
        keep(r, record);
}

static struct env_record *find(const struct records *r, const char *service, const char *id)
{
    for (size_t i = 0; i < r->count; i++)
        if (strcmp(r->list[i].instance->service, service) == 0 &&
            strcmp(r->list[i].instance->id, id) == 0)
            return &r->list[i];
    return NULL;
}

static void set_lease(struct env_record *record, int64_t ttl)
{
    record->ttl = ttl;
    record->expires = ttl ? sheet_expiry(ttl) : 0;
}

static void put(struct records *r, const struct backend_request *request)
{
    json_t *json = instance_dump(request->record);
    struct env_record new = {.instance = instance_parse(json, NULL, NULL)};
    struct env_record *old = find(r, request->service, request->id);
    json_decref(json);
    new.instance->revision = sheet_revision(old ? old->instance : NULL, new.instance);
    set_lease(&new, (int64_t)request->ttl_s);
    if (!old) {
        keep(r, &new);
        return;
    }
    instance_free(old->instance);
    *old = new;
}

/* Whether a record without a lease changes: that must outlive a crash of the machine. */
static bool is_lasting(const struct records *r, const struct backend_request *request)
{
    const struct env_record *old = find(r, request->service, request->id);
    return (old && !old->ttl) || (request->verb == BACKEND_REGISTER && !request->ttl_s);
}

static int change(const struct store *s, struct records *r, const struct backend_request *request,
                  struct err *err)
{
    struct env_record *old = find(r, request->service, request->id);
    if (request->verb == BACKEND_REGISTER) {
        put(r, request);
    } else if (request->verb == BACKEND_DEREGISTER && old) {
        instance_free(old->instance);
        size_t behind = --r->count - (size_t)(old - r->list);
        memmove(old, old + 1, behind * sizeof *old); /* the others keep their order */
    } else if (request->verb == BACKEND_RENEW && old) {
        set_lease(old, old->ttl);
    } else if (request->verb == BACKEND_RENEW) {
        return err_set(err, "not_found", "%s is not registered in %s: register it again",
                       request->id, s->file ? s->file : "this process");
    }
    return 0;
}

static int save(struct store *s, json_t *variables, struct buf *others, bool lasting,
                struct err *err)
{
    const struct file_options private = {.keep = true, .mode = 0640, .late_name = !lasting};
    if (!s->file) {
        json_decref(s->memory);
        s->memory = json_incref(variables);
        return 0;
    }
    env_text_write(others, variables);
    return file_write(s->file, others->data ? others->data : "", others->len, &private, err);
}

/* Makes the changes that can be made. False if nothing is to be written. */
static bool change_all(const struct store *s, struct records *records, struct shelf_writing *list,
                       size_t count, bool *ret_lasting)
{
    bool changed = false;
    *ret_lasting = false;
    for (size_t i = 0; i < count; i++) {
        if (atomic_load(&list[i].given_up))
            continue;
        *ret_lasting = *ret_lasting || is_lasting(records, &list[i].request);
        changed = change(s, records, &list[i].request, &list[i].fault) == 0 || changed;
    }
    return changed;
}

/* One change of the file. `ret_odd` is set if there is a record that no variables can hold. */
static int rewrite(struct store *s, const json_t *before, struct buf *others,
                   struct shelf_writing *list, size_t count, bool *ret_odd, struct err *err)
{
    struct records records = {0};
    json_t *after = json_object();
    bool lasting;
    env_import(before, s->prefix, collect, &records);
    int result = records.fault.code ? -1 : 0;
    if (result < 0)
        err_set(err, "invalid", "%s: %s; mend or remove it", s->file, records.fault.message);
    if (result == 0 && change_all(s, &records, list, count, &lasting)) {
        *ret_odd = env_export(after, s->prefix, records.list, records.count, err) < 0;
        result = *ret_odd ? -1 : save(s, after, others, lasting, err);
    }
    for (size_t i = 0; i < records.count; i++)
        instance_free(records.list[i].instance);
    free(records.list);
    err_clear(&records.fault);
    json_decref(after);
    return result;
}

/* False, and nothing is done, if there are several and one of them cannot be written. */
static bool write_together(struct store *s, struct shelf_writing *list, size_t count)
{
    struct buf others = {0};
    struct err err = {0};
    bool odd = false;
    json_t *before = variables_of(s, &others, &err);
    if (before)
        rewrite(s, before, &others, list, count, &odd, &err);
    odd = odd && count > 1;
    for (size_t i = 0; err.code && i < count; i++)
        if (odd)
            err_clear(&list[i].fault);
        else if (!list[i].fault.code)
            err_set(&list[i].fault, err.code, "%s", err.message);
    err_clear(&err);
    json_decref(before);
    buf_free(&others);
    return !odd;
}

static void store_write(void *self, struct shelf_writing *list, size_t count)
{
    if (write_together(self, list, count))
        return;
    for (size_t i = 0; i < count; i++)
        write_together(self, &list[i], 1);
}

/* ---- life ---- */

/* What is no text is left out: it cannot be a record's. */
static json_t *our_environment(const char *prefix)
{
    json_t *variables = json_object();
    for (char **entry = environ; entry && *entry; entry++) {
        const char *value = strchr(*entry, '=');
        if (!value || strncmp(*entry, prefix, strlen(prefix)) != 0)
            continue;
        char *name = xstrndup(*entry, (size_t)(value - *entry));
        if (utf8_prefix(*entry, strlen(*entry)) == strlen(*entry))
            json_object_set_new(variables, name, json_string(value + 1));
        free(name);
    }
    return variables;
}

void *env_store_open(const char *prefix, const char *file)
{
    struct store *s = xcalloc(1, sizeof *s);
    s->prefix = xstrdup(prefix);
    s->file = xstrdup(file);
    s->environment = our_environment(prefix);
    s->memory = json_object();
    return s;
}

static void store_close(void *self)
{
    struct store *s = self;
    drop_sheets(s);
    free(s->sheets);
    json_decref(s->environment);
    json_decref(s->memory);
    free(s->prefix);
    free(s->file);
    free(s);
}

const struct store_kind env_store_kind = {
    .write = store_write, .read = store_read, .make_folder = make_folder, .close = store_close};
