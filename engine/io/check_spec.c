#include "io/check_spec.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/hash.h"
#include "core/mem.h"

#define KIND(name) extern const struct check_kind check_##name;
#include "io/check_kinds.h"

static const struct check_kind *const kinds[] = {
#define KIND(name) &check_##name,
#include "io/check_kinds.h"
};

static const char *const common_keys[] = {"strategy", "interval",    "timeout", "rise",
                                          "fall",     "startPeriod", "backoff", NULL};

#define DAY_S 86400.0

/* ---- options ---- */

static const char *type_name(const json_t *value)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "map",     [JSON_ARRAY] = "list",  [JSON_STRING] = "string",
        [JSON_INTEGER] = "number", [JSON_REAL] = "number", [JSON_TRUE] = "boolean",
        [JSON_FALSE] = "boolean",  [JSON_NULL] = "null",
    };
    return names[json_typeof(value)];
}

static int wrong_type(const char *key, const char *want, const json_t *value, struct err *err)
{
    return err_set(err, "invalid", "%s: expected a %s, got a %s", key, want, type_name(value));
}

int check_opt_string(const json_t *options, const char *key, const char **value, struct err *err)
{
    const json_t *found = json_object_get(options, key);
    if (!found)
        return 0;
    if (!json_is_string(found))
        return wrong_type(key, "string", found, err);
    if (strlen(json_string_value(found)) != json_string_length(found))
        return err_set(err, "invalid", "%s: has a NUL byte", key);
    *value = json_string_value(found);
    return 0;
}

int check_need_string(const json_t *options, const char *key, const char **value, struct err *err)
{
    *value = NULL;
    if (check_opt_string(options, key, value, err) < 0)
        return -1;
    return *value ? 0 : err_set(err, "invalid", "%s: is missing", key);
}

int check_opt_bool(const json_t *options, const char *key, bool *value, struct err *err)
{
    const json_t *found = json_object_get(options, key);
    if (!found)
        return 0;
    if (!json_is_boolean(found))
        return wrong_type(key, "boolean", found, err);
    *value = json_is_true(found);
    return 0;
}

/* A whole number, be it written 5 or 5.0. */
static bool whole(const json_t *value, int64_t *ret)
{
    double number = json_number_value(value);
    if (json_is_real(value) && !(fabs(number) < 9e15 && number == floor(number)))
        return false;
    *ret = json_is_real(value) ? (int64_t)number : json_integer_value(value);
    return true;
}

int check_opt_int(const json_t *options, const char *key, int64_t min, int64_t max, int64_t *value,
                  struct err *err)
{
    int64_t number;
    const json_t *found = json_object_get(options, key);
    if (!found)
        return 0;
    if (!json_is_number(found))
        return wrong_type(key, "number", found, err);
    if (!whole(found, &number) || number < min || number > max)
        return err_set(err, "invalid", "%s: must be a whole number from %lld to %lld", key,
                       (long long)min, (long long)max);
    *value = number;
    return 0;
}

int check_opt_ms(const json_t *options, const char *key, uint64_t *value, struct err *err)
{
    const json_t *found = json_object_get(options, key);
    if (!found)
        return 0;
    if (!json_is_number(found))
        return wrong_type(key, "number", found, err);
    double seconds = json_number_value(found);
    if (!(seconds >= 0 && seconds <= DAY_S))
        return err_set(err, "invalid", "%s: must be from 0 to 86400 seconds", key);
    *value = (uint64_t)ceil(seconds * 1000);
    return 0;
}

/* ---- lists of strings ---- */

void check_free_list(char **list)
{
    for (size_t i = 0; list && list[i]; i++)
        free(list[i]);
    free(list);
}

/* A string or number as text, for the caller to free; NULL if it is neither. */
static char *text_of(const json_t *value)
{
    if (json_is_string(value) && strlen(json_string_value(value)) == json_string_length(value))
        return xstrdup(json_string_value(value));
    if (json_is_integer(value))
        return xasprintf("%lld", (long long)json_integer_value(value));
    if (json_is_real(value))
        return xasprintf("%.14g", json_real_value(value));
    return NULL;
}

int check_opt_list(const json_t *options, const char *key, char ***value, struct err *err)
{
    const json_t *found = json_object_get(options, key);
    if (!found)
        return 0;
    if (!json_is_array(found))
        return wrong_type(key, "list", found, err);
    size_t count = json_array_size(found);
    char **list = xcalloc(count + 1, sizeof *list);
    for (size_t i = 0; i < count; i++)
        if (!(list[i] = text_of(json_array_get(found, i)))) {
            check_free_list(list);
            return err_set(err, "invalid", "%s: its items must be strings without NUL bytes", key);
        }
    *value = list;
    return 0;
}

int check_opt_map(const json_t *options, const char *key, const char *separator, char ***value,
                  struct err *err)
{
    json_t *found = json_object_get(options, key);
    if (!found)
        return 0;
    if (!json_is_object(found))
        return wrong_type(key, "map", found, err);
    char **list = xcalloc(json_object_size(found) + 1, sizeof *list);
    size_t count = 0;
    const char *name;
    json_t *item;
    json_object_foreach(found, name, item)
    {
        char *text = text_of(item);
        if (!text) {
            check_free_list(list);
            return err_set(err, "invalid", "%s.%s: expected a string, got a %s", key, name,
                           type_name(item));
        }
        list[count++] = xasprintf("%s%s%s", name, separator, text);
        free(text);
    }
    *value = list;
    return 0;
}

/* ---- the spec ---- */

static bool in_list(const char *const *list, const char *text)
{
    for (; *list; list++)
        if (strcmp(*list, text) == 0)
            return true;
    return false;
}

static int check_keys(const json_t *options, const struct check_kind *kind, struct err *err)
{
    const char *key;
    json_t *value;
    json_object_foreach(
        (json_t *)options, key,
        value) if (!in_list(common_keys, key) &&
                   !in_list(kind->keys,
                            key)) return err_set(err, "invalid",
                                                 "%s: is no option of a check with strategy \"%s\"",
                                                 key, kind->name);
    return 0;
}

static const struct check_kind *find_kind(const json_t *options, struct err *err)
{
    const char *name;
    if (check_need_string(options, "strategy", &name, err) < 0)
        return NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i]->name, name) == 0)
            return kinds[i];
    err_set(err, "invalid", "strategy: \"%s\" is none that is built in", name);
    return NULL;
}

static int read_backoff(const json_t *options, struct check_spec *spec, struct err *err)
{
    const char *name = "exponential";
    if (check_opt_string(options, "backoff", &name, err) < 0)
        return -1;
    spec->backoff = backoff_kind_of(name);
    if (spec->backoff == BACKOFF_KINDS)
        return err_set(err, "invalid",
                       "backoff: \"%s\" is not one of exponential, linear, constant", name);
    return 0;
}

static int read_schedule(const json_t *options, struct check_spec *spec, struct err *err)
{
    int64_t rise = 1, fall = 3;
    spec->interval_ms = 10000;
    spec->timeout_ms = 30000;
    if (check_opt_ms(options, "interval", &spec->interval_ms, err) < 0 ||
        check_opt_ms(options, "timeout", &spec->timeout_ms, err) < 0 ||
        check_opt_ms(options, "startPeriod", &spec->start_period_ms, err) < 0 ||
        check_opt_int(options, "rise", 1, 1000, &rise, err) < 0 ||
        check_opt_int(options, "fall", 1, 1000, &fall, err) < 0)
        return -1;
    if (spec->interval_ms < 10)
        return err_set(err, "invalid", "interval: must be at least 0.01 seconds");
    if (spec->timeout_ms == 0)
        return err_set(err, "invalid", "timeout: must be above 0 seconds");
    spec->rise = (int)rise;
    spec->fall = (int)fall;
    return read_backoff(options, spec, err);
}

struct check_spec *check_spec_new(const json_t *options, struct err *err)
{
    const struct check_kind *kind = find_kind(options, err);
    struct check_spec spec = {.kind = kind, .users = 1};
    if (!kind || check_keys(options, kind, err) < 0 || read_schedule(options, &spec, err) < 0)
        return NULL;
    spec.prepared = kind->prepare(options, spec.timeout_ms, err);
    if (!spec.prepared)
        return NULL;
    struct check_spec *made = xmalloc(sizeof *made);
    *made = spec;
    return made;
}

void check_spec_free(struct check_spec *spec)
{
    if (!spec || --spec->users)
        return;
    spec->kind->release(spec->prepared);
    free(spec);
}

void check_spec_once(struct check_spec *spec)
{
    spec->once = true;
    spec->rise = spec->fall = 1;
    spec->start_period_ms = 0;
}

/* Hashed twice, with other beginnings, so that two specs are never the same by chance. */
void check_spec_share(struct check_spec *spec, const json_t *options)
{
    json_t *tries = json_copy((json_t *)options);
    json_object_del(tries, "rise");
    json_object_del(tries, "fall");
    json_object_del(tries, "startPeriod");
    char *text = json_dumps(tries, JSON_SORT_KEYS | JSON_COMPACT);
    spec->same[0] = text ? hash_text(HASH_START, text) : (uintptr_t)spec;
    spec->same[1] = text ? hash_text(1099511628211u * 97, text) : 0;
    free(text);
    json_decref(tries);
}
