#include "core/quote.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "core/utf8.h"

static const char NOT_UTF8[] = "is not valid UTF-8";

/* ---- sets of bytes ---- */

struct byte_set {
    bool has[256];
};

#define LETTERS ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true
#define HIGH [0x80 ... 0xff] = true

/* What sh and systemd take as it is, anywhere in a value. */
static const struct byte_set env_bare = {
    {LETTERS, HIGH, ['_'] = true, ['@'] = true, ['%'] = true, ['+'] = true, [':'] = true,
     [','] = true, ['.'] = true, ['/'] = true, ['='] = true, ['-'] = true}};

static const struct byte_set shell_bare = {
    {LETTERS, ['_'] = true, ['@'] = true, ['%'] = true, ['+'] = true, [':'] = true, [','] = true,
     ['.'] = true, ['/'] = true, ['='] = true, ['-'] = true}};

static const struct byte_set url_bare = {
    {LETTERS, ['-'] = true, ['.'] = true, ['_'] = true, ['~'] = true}};

static bool all_in(const struct byte_set *set, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!set->has[(unsigned char)text[i]])
            return false;
    return true;
}

static bool is_control(unsigned char c) { return c < 0x20 || c == 0x7f; }

static char *put_byte(char *out, const char *format, unsigned c)
{
    char text[8];
    int len = snprintf(text, sizeof text, format, c);
    memcpy(out, text, (size_t)len);
    return out + len;
}

/* ---- JSON ---- */

/* The letter behind the backslash, 0 if the byte has none. */
static char json_letter(unsigned char c)
{
    static const char letters[256] = {['"'] = '"',  ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f',
                                      ['\n'] = 'n', ['\r'] = 'r',  ['\t'] = 't'};
    return letters[c];
}

/* A character of three bytes that is best escaped: U+2028, U+2029, U+FEFF, U+FFFE and U+FFFF. */
static unsigned rare_character(const unsigned char *c)
{
    unsigned code = (c[0] & 0x0fu) << 12 | (c[1] & 0x3fu) << 6 | (c[2] & 0x3fu);
    return code == 0x2028 || code == 0x2029 || code == 0xfeff || code >= 0xfffe ? code : 0;
}

/* How many bytes at `c` one \uXXXX stands for, and the code; 0 if they stay. */
static size_t json_unicode(const unsigned char *c, unsigned *ret_code)
{
    *ret_code = *c;
    if (is_control(*c))
        return 1;
    if (*c == 0xc2 && c[1] < 0xa0) {
        *ret_code = c[1];
        return 2;
    }
    if (*c != 0xe2 && *c != 0xef)
        return 0;
    *ret_code = rare_character(c);
    return *ret_code ? 3 : 0;
}

static const struct byte_set json_bare = {
    {[' ' ... '!'] = true, ['#' ... '['] = true, [']' ... '~'] = true}};

static size_t json_measure(const char *text, size_t len, const char **ret_why)
{
    if (all_in(&json_bare, text, len))
        return len + 2;
    if (utf8_prefix(text, len) != len) {
        *ret_why = NOT_UTF8;
        return 0;
    }
    size_t size = 2;
    for (size_t i = 0; i < len;) {
        unsigned code;
        const unsigned char *c = (const unsigned char *)text + i;
        size_t taken = json_letter(*c) ? 0 : json_unicode(c, &code);
        size += json_letter(*c) ? 2 : taken ? 6 : 1;
        i += taken ? taken : 1;
    }
    return size;
}

static void json_write(const char *text, size_t len, char *out)
{
    *out++ = '"';
    for (size_t i = 0; i < len;) {
        unsigned code;
        const unsigned char *c = (const unsigned char *)text + i;
        if (json_bare.has[*c]) {
            *out++ = (char)*c;
            i++;
        } else if (json_letter(*c)) {
            *out++ = '\\';
            *out++ = json_letter(*c);
            i++;
        } else {
            size_t taken = json_unicode(c, &code);
            if (taken)
                out = put_byte(out, "\\u%04X", code);
            else
                *out++ = (char)*c;
            i += taken ? taken : 1;
        }
    }
    *out = '"';
}

const struct quote_kind quote_json = {json_measure, json_write};

/* ---- env ---- */

static bool env_escaped(char c) { return c == '"' || c == '\\' || c == '$' || c == '`'; }

static size_t env_measure(const char *text, size_t len, const char **ret_why)
{
    size_t size = 2;
    bool ascii = true;
    bool bare = true;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (is_control(c) && c != '\t' && c != '\n') {
            *ret_why = "has a control character in it, which systemd refuses";
            return 0;
        }
        ascii = ascii && c < 0x80;
        bare = bare && env_bare.has[c];
        size += env_escaped(text[i]) ? 2 : 1;
    }
    if (!ascii && utf8_prefix(text, len) != len) {
        *ret_why = NOT_UTF8;
        return 0;
    }
    return bare ? len : size;
}

static void env_write(const char *text, size_t len, char *out)
{
    if (all_in(&env_bare, text, len)) {
        memcpy(out, text, len);
        return;
    }
    *out++ = '"';
    for (size_t i = 0; i < len; i++) {
        if (env_escaped(text[i]))
            *out++ = '\\';
        *out++ = text[i];
    }
    *out = '"';
}

const struct quote_kind quote_env = {env_measure, env_write};

/* ---- shell ---- */

static size_t shell_measure(const char *text, size_t len, const char **ret_why)
{
    if (len && all_in(&shell_bare, text, len))
        return len;
    size_t size = len + 2;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\0') {
            *ret_why = "has a NUL byte, which cannot be in a shell word";
            return 0;
        }
        size += text[i] == '\'' ? 3 : 0;
    }
    return size;
}

static void shell_write(const char *text, size_t len, char *out)
{
    if (len && all_in(&shell_bare, text, len)) {
        memcpy(out, text, len);
        return;
    }
    *out++ = '\'';
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '\'') {
            memcpy(out, "'\\'", 3);
            out += 3;
        }
        *out++ = text[i];
    }
    *out = '\'';
}

const struct quote_kind quote_shell = {shell_measure, shell_write};

/* ---- INI ---- */

static bool ini_special(unsigned char c) { return is_control(c) || c == '"' || c == '\\'; }

static bool is_visible(unsigned char c) { return c > ' ' && c < 0x7f; }

static bool ini_quoted(const char *text, size_t len)
{
    if (!len || !is_visible((unsigned char)text[0]) || !is_visible((unsigned char)text[len - 1]))
        return true; /* some readers take blanks of other scripts off the ends, too */
    for (size_t i = 0; i < len; i++)
        if (ini_special((unsigned char)text[i]) || strchr(";#'", text[i]))
            return true;
    return false;
}

static char ini_letter(unsigned char c)
{
    static const char letters[256] = {
        ['"'] = '"', ['\\'] = '\\', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
    return letters[c];
}

static size_t ini_measure(const char *text, size_t len, const char **ret_why)
{
    if (utf8_prefix(text, len) != len) {
        *ret_why = NOT_UTF8;
        return 0;
    }
    if (!ini_quoted(text, len))
        return len;
    size_t size = 2;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        size += !ini_special(c) ? 1 : ini_letter(c) ? 2 : 4;
    }
    return size;
}

static void ini_write(const char *text, size_t len, char *out)
{
    if (!ini_quoted(text, len)) {
        memcpy(out, text, len);
        return;
    }
    *out++ = '"';
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (!ini_special(c)) {
            *out++ = text[i];
        } else if (ini_letter(c)) {
            *out++ = '\\';
            *out++ = ini_letter(c);
        } else {
            out = put_byte(out, "\\x%02X", c);
        }
    }
    *out = '"';
}

const struct quote_kind quote_ini = {ini_measure, ini_write};

/* ---- URL ---- */

static size_t url_measure(const char *text, size_t len, const char **ret_why)
{
    (void)ret_why;
    size_t size = 0;
    for (size_t i = 0; i < len; i++)
        size += url_bare.has[(unsigned char)text[i]] ? 1 : 3;
    return size;
}

static void url_write(const char *text, size_t len, char *out)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (url_bare.has[c])
            *out++ = text[i];
        else
            out = put_byte(out, "%%%02X", c);
    }
}

const struct quote_kind quote_url = {url_measure, url_write};
