/* quote.h -- text as it must stand in a file of some kind, so that it stays one value.
 *
 * Each kind says first how long the result is, then writes just that many bytes. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct quote_kind {
    /* The length of the result. Sets *ret_why if the kind cannot hold the text. */
    size_t (*measure)(const char *text, size_t len, const char **ret_why);
    void (*write)(const char *text, size_t len, char *out);
};

/* In double quotes with escapes that JSON, YAML and TOML read alike: beside what must be escaped,
 * all that some reader takes for a line break or does not print. */
extern const struct quote_kind quote_json;

/* A value of an env file that sh and systemd read alike: bare, or in double quotes. */
extern const struct quote_kind quote_env;

/* One word of a shell command: bare, or in single quotes. */
extern const struct quote_kind quote_shell;

/* The value of a key in an INI file: bare, or in double quotes with \n \t \xHH. */
extern const struct quote_kind quote_ini;

/* One part of a URL. */
extern const struct quote_kind quote_url;
