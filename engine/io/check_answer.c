#include "io/check_answer.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/mem.h"
#include "io/check.h"

#define MAX_SHOWN 100 /* bytes of a value in a message */

/* ---- options ---- */

static int add_range(struct answer *a, int low, int high, struct err *err)
{
    if (low < 100 || high > 599 || low > high)
        return err_set(err, "invalid",
                       "expectedStatus: must be codes from 100 to 599, such as 200, \"200-299\"");
    a->ranges = xreallocarray(a->ranges, a->range_count + 1, sizeof *a->ranges);
    a->ranges[a->range_count++] = (struct status_range){low, high};
    return 0;
}

/* One code or range at the start of `text`; *ret_taken is its length, 0 if there is none. */
static void scan_range(const char *text, int *low, int *high, int *ret_taken)
{
    *ret_taken = 0;
    if (sscanf(text, " %3d-%3d %n", low, high, ret_taken) == 2 && *ret_taken)
        return;
    *ret_taken = 0;
    sscanf(text, " %3d %n", low, ret_taken);
    *high = *low;
}

/* 200, "200", "200-299" or "200,301-308" */
static int read_status(const json_t *value, struct answer *a, struct err *err)
{
    int low = 0, high = 0, taken;
    if (json_is_number(value)) {
        double code = json_number_value(value);
        low = code >= 100 && code <= 599 && code == (int)code ? (int)code : 0;
        return add_range(a, low, low, err);
    }
    const char *text = json_is_string(value) ? json_string_value(value) : "";
    do {
        scan_range(text, &low, &high, &taken);
        text += taken;
        if (!taken || (*text && *text != ','))
            return add_range(a, 0, 0, err);
        if (add_range(a, low, high, err) < 0)
            return -1;
    } while (*text++ == ',');
    return 0;
}

static int read_statuses(const json_t *options, struct answer *a, struct err *err)
{
    const json_t *value = json_object_get(options, "expectedStatus");
    if (!value)
        return add_range(a, 200, 200, err);
    if (!json_is_array(value))
        return read_status(value, a, err);
    if (json_array_size(value) == 0)
        return add_range(a, 0, 0, err);
    for (size_t i = 0; i < json_array_size(value); i++)
        if (read_status(json_array_get(value, i), a, err) < 0)
            return -1;
    return 0;
}

static int read_json(const json_t *options, struct answer *a, struct err *err)
{
    json_t *json = json_object_get(options, "expectJson");
    if (!json)
        return 0;
    if (!json_is_object(json))
        return err_set(err, "invalid", "expectJson: expected a map of pointers to values");
    const char *pointer;
    json_t *value;
    json_object_foreach(json, pointer, value) if (pointer[0] && pointer[0] != '/') return err_set(
        err, "invalid", "expectJson: \"%s\" is no JSON pointer such as \"/version\"", pointer);
    a->json = json_incref(json);
    return 0;
}

int answer_read(const json_t *options, struct answer *a, struct err *err)
{
    const char *text = NULL;
    *a = (struct answer){0};
    if (read_statuses(options, a, err) < 0 ||
        check_opt_string(options, "expectBody", &text, err) < 0 || read_json(options, a, err) < 0)
        return -1;
    a->text = xstrdup(text);
    return 0;
}

void answer_close(struct answer *a)
{
    free(a->ranges);
    free(a->text);
    json_decref(a->json);
}

/* ---- checking ---- */

static char *show_ranges(const struct answer *a)
{
    struct buf text = {0};
    for (size_t i = 0; i < a->range_count; i++) {
        buf_printf(&text, "%s%d", i ? " or " : "", a->ranges[i].low);
        if (a->ranges[i].high != a->ranges[i].low)
            buf_printf(&text, "-%d", a->ranges[i].high);
    }
    return buf_take(&text);
}

static int check_status(const struct answer *a, int status, struct err *err)
{
    for (size_t i = 0; i < a->range_count; i++)
        if (status >= a->ranges[i].low && status <= a->ranges[i].high)
            return 0;
    char *ranges = show_ranges(a);
    err_set(err, "bad_reply", "%d, expected %s", status, ranges);
    free(ranges);
    return -1;
}

/* "a~1b" is the key "a/b", and "~0" a tilde (RFC 6901). The caller frees the key. */
static char *decode(const char *part, size_t len)
{
    char *key = xmalloc(len + 1), *to = key;
    for (const char *from = part; from < part + len; from++) {
        bool escaped = *from == '~' && from + 1 < part + len && (from[1] == '0' || from[1] == '1');
        *to++ = *from;
        if (escaped)
            to[-1] = *++from == '1' ? '/' : '~';
    }
    *to = '\0';
    return key;
}

static const json_t *step(const json_t *value, const char *part, size_t len)
{
    char *key = decode(part, len), *end;
    const json_t *found = json_object_get(value, key);
    unsigned long index = strtoul(key, &end, 10);
    if (json_is_array(value) && *key && !*end)
        found = json_array_get(value, index);
    free(key);
    return found;
}

static const json_t *find(const json_t *value, const char *pointer)
{
    while (value && *pointer == '/') {
        size_t len = strcspn(++pointer, "/");
        value = step(value, pointer, len);
        pointer += len;
    }
    return value;
}

static bool equal(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b))
        return json_number_value(a) == json_number_value(b);
    return json_equal(a, b);
}

static char *show(const json_t *value)
{
    if (!value)
        return xstrdup("missing");
    char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    if (!text)
        return xstrdup("?");
    char *shown = strlen(text) > MAX_SHOWN ? xasprintf("%.*s...", MAX_SHOWN, text) : xstrdup(text);
    free(text);
    return shown;
}

static int check_value(const json_t *body, const char *pointer, const json_t *want, struct err *err)
{
    const json_t *found = find(body, pointer);
    if (found && equal(found, want))
        return 0;
    char *is = show(found), *should = show(want);
    err_set(err, "bad_reply", "JSON in which \"%s\" is %s, expected %s", pointer, is, should);
    free(is);
    free(should);
    return -1;
}

static int check_json(const struct answer *a, const char *body, size_t len, struct err *err)
{
    json_error_t problem;
    json_t *json = json_loadb(body, len, JSON_DECODE_ANY, &problem);
    if (!json)
        return err_set(err, "bad_reply", "what is not JSON: line %d: %s", problem.line,
                       problem.text);
    int result = 0;
    const char *pointer;
    json_t *want;
    json_object_foreach(a->json, pointer, want) if (result == 0) result =
        check_value(json, pointer, want, err);
    json_decref(json);
    return result;
}

int answer_check(const struct answer *a, int status, const char *body, size_t len, struct err *err)
{
    if (check_status(a, status, err) < 0)
        return -1;
    if (a->text && !memmem(body, len, a->text, strlen(a->text)))
        return err_set(err, "bad_reply", "%d, without \"%.*s\" in its body", status, MAX_SHOWN,
                       a->text);
    return a->json ? check_json(a, body, len, err) : 0;
}
