#include "core/yaml_scalar.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool one_of(const char *text, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(text, *words) == 0)
            return true;
    return false;
}

static bool is_null_word(const char *text)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL", NULL};
    return one_of(text, words);
}

static bool is_true_word(const char *text)
{
    static const char *const words[] = {"true", "True", "TRUE", NULL};
    return one_of(text, words);
}

static bool is_false_word(const char *text)
{
    static const char *const words[] = {"false", "False", "FALSE", NULL};
    return one_of(text, words);
}

static bool all_of(const char *text, const char *accepted)
{
    return *text && text[strspn(text, accepted)] == '\0';
}

static struct yaml_scalar integer_of(const char *text, int base)
{
    errno = 0;
    long long value = strtoll(text, NULL, base);
    if (errno == ERANGE)
        return (struct yaml_scalar){.kind = YAML_IS_TOO_BIG};
    return (struct yaml_scalar){.kind = YAML_IS_INTEGER, .integer = value};
}

/* [-+]? ( . digits | digits ( . digits? )? ) ( [eE] [-+]? digits )? */
static bool is_float(const char *text)
{
    static const char digits[] = "0123456789";
    text += *text == '-' || *text == '+';
    size_t whole = strspn(text, digits);
    text += whole;
    bool point = *text == '.';
    text += point;
    size_t part = point ? strspn(text, digits) : 0;
    text += part;
    if (!whole && !part)
        return false;
    if (*text != 'e' && *text != 'E')
        return *text == '\0';
    text++;
    text += *text == '-' || *text == '+';
    return all_of(text, digits);
}

static bool is_infinity(const char *unsigned_text)
{
    static const char *const words[] = {".inf", ".Inf", ".INF", NULL};
    return one_of(unsigned_text, words);
}

static struct yaml_scalar number_of(const char *text)
{
    static const char *const nan_words[] = {".nan", ".NaN", ".NAN", NULL};
    bool is_signed = *text == '-' || *text == '+';
    const char *digits = text + is_signed;
    if (strncmp(text, "0o", 2) == 0 && all_of(text + 2, "01234567"))
        return integer_of(text + 2, 8);
    if (strncmp(text, "0x", 2) == 0 && all_of(text + 2, "0123456789abcdefABCDEF"))
        return integer_of(text + 2, 16);
    if (digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9')
        return (struct yaml_scalar){.kind = YAML_IS_STRING};
    if (all_of(digits, "0123456789"))
        return integer_of(text, 10);
    if (is_infinity(digits))
        return (struct yaml_scalar){.kind = YAML_IS_FLOAT,
                                    .number = *text == '-' ? -INFINITY : INFINITY};
    if (one_of(text, nan_words))
        return (struct yaml_scalar){.kind = YAML_IS_FLOAT, .number = NAN};
    if (is_float(text))
        return (struct yaml_scalar){.kind = YAML_IS_FLOAT, .number = strtod(text, NULL)};
    return (struct yaml_scalar){.kind = YAML_IS_STRING};
}

struct yaml_scalar yaml_resolve(const char *text)
{
    if (is_null_word(text))
        return (struct yaml_scalar){.kind = YAML_IS_NULL};
    if (is_true_word(text))
        return (struct yaml_scalar){.kind = YAML_IS_TRUE};
    if (is_false_word(text))
        return (struct yaml_scalar){.kind = YAML_IS_FALSE};
    return number_of(text);
}
