#include "dns_key.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "core/buf.h"
#include "core/err.h"
#include "core/mem.h"
#include "io/dns_name.h"
#include "io/file.h"

#define MAX_FILE 65536

/* What libldns can sign with. MD5 is left out: servers drop it. */
static const char *const algorithms[] = {"hmac-sha256", "hmac-sha512", "hmac-sha1"};

/* ---- words ---- */

static bool starts_comment(const char *at)
{
    return *at == '#' || (at[0] == '/' && (at[1] == '/' || at[1] == '*'));
}

static const char *skip_comment(const char *at)
{
    const char *end = at[0] == '/' && at[1] == '*' ? strstr(at, "*/") : strchr(at, '\n');
    if (!end)
        return at + strlen(at);
    return *end == '*' ? end + 2 : end;
}

static bool separates(char c) { return isspace((unsigned char)c) || strchr("{};[],", c); }

/* Takes the next word, in quotes or not, from *at. NULL at the end; else the caller frees it. */
static char *next_word(const char **at)
{
    while (**at && (separates(**at) || starts_comment(*at)))
        *at = starts_comment(*at) ? skip_comment(*at) : *at + 1;
    if (!**at)
        return NULL;
    const char *start = *at;
    if (*start == '"') {
        const char *end = strchr(++start, '"');
        *at = end ? end + 1 : start + strlen(start);
        return xstrndup(start, end ? (size_t)(end - start) : strlen(start));
    }
    while (**at && !separates(**at))
        (*at)++;
    return xstrndup(start, (size_t)(*at - start));
}

/* ---- the forms ---- */

/* [algorithm:]name:secret */
static void read_line(const char *word, struct dns_key *key)
{
    const char *first = strchr(word, ':'), *second = strchr(first + 1, ':');
    const char *name = second ? first + 1 : word, *end = second ? second : first;
    key->algorithm = second ? xstrndup(word, (size_t)(first - word)) : xstrdup(algorithms[0]);
    key->name = xstrndup(name, (size_t)(end - name));
    key->secret = xstrdup(end + 1);
}

static bool takes(const char *word, const char *wanted)
{
    size_t len = strlen(wanted);
    return strncasecmp(word, wanted, len) == 0 && (!word[len] || strcmp(word + len, ":") == 0);
}

static void set(char **field, const char **at)
{
    char *word = next_word(at);
    if (*field)
        free(word); /* of a second key */
    else
        *field = word;
}

static void read_words(const char *at, struct dns_key *key)
{
    char *word;
    while ((!key->name || !key->secret || !key->algorithm) && (word = next_word(&at))) {
        const char *colon = strchr(word, ':');
        if (strcmp(word, "key") == 0 || takes(word, "id"))
            set(&key->name, &at);
        else if (takes(word, "algorithm"))
            set(&key->algorithm, &at);
        else if (takes(word, "secret"))
            set(&key->secret, &at);
        else if (colon && colon[1] && !key->name)
            read_line(word, key);
        free(word);
    }
}

static void drop_dot(char *text)
{
    size_t len = text ? strlen(text) : 0;
    if (len && text[len - 1] == '.')
        text[len - 1] = '\0';
}

static bool is_base64(const char *text)
{
    size_t len = strlen(text), digits = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                                     "abcdefghijklmnopqrstuvwxyz0123456789+/");
    return digits && digits + strspn(text + digits, "=") == len && len % 4 == 0 &&
           len - digits <= 2;
}

static bool is_name(const char *text)
{
    struct buf wire = {0};
    int result = dns_name_write(text, &wire);
    buf_free(&wire);
    return *text && result == 0;
}

static int check(const char *path, struct dns_key *key, struct err *err)
{
    drop_dot(key->name);
    drop_dot(key->algorithm);
    if (!key->name || !key->secret || !key->algorithm)
        return err_set(err, "invalid",
                       "%s: holds no TSIG key: expected key \"name\" { algorithm hmac-sha256; "
                       "secret \"...\"; }; or hmac-sha256:name:secret",
                       path);
    if (!is_name(key->name))
        return err_set(err, "invalid", "%s: the key's name is no domain name", path);
    if (!is_base64(key->secret))
        return err_set(err, "invalid", "%s: the secret of key %s is not base64", path, key->name);
    for (size_t i = 0; i < sizeof algorithms / sizeof *algorithms; i++) {
        if (strcasecmp(key->algorithm, algorithms[i]) != 0)
            continue;
        free(key->algorithm);
        key->algorithm = xstrdup(algorithms[i]);
        return 0;
    }
    return err_set(err, "invalid",
                   "%s: key %s is for \"%.40s\", which cannot be signed with: make one for "
                   "hmac-sha256 (also hmac-sha512, hmac-sha1)",
                   path, key->name, key->algorithm);
}

int dns_key_read(const char *path, struct dns_key *ret_key, struct err *err)
{
    struct buf text = {0};
    struct stat stat_of;
    int result = -1;
    *ret_key = (struct dns_key){0};
    if (file_read(path, MAX_FILE, &text, err) == 0) {
        read_words(text.data ? text.data : "", ret_key);
        ret_key->exposed = stat(path, &stat_of) == 0 && (stat_of.st_mode & 077);
        result = check(path, ret_key, err);
    }
    if (text.data)
        explicit_bzero(text.data, text.len);
    buf_free(&text);
    if (result < 0)
        dns_key_clear(ret_key);
    return result;
}

void dns_key_clear(struct dns_key *key)
{
    if (key->secret)
        explicit_bzero(key->secret, strlen(key->secret));
    free(key->secret);
    free(key->name);
    free(key->algorithm);
    *key = (struct dns_key){0};
}
