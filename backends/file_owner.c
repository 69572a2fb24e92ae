#include "file_owner.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/mem.h"
#include "io/file.h"

static char *boot_id(void)
{
    struct buf text = {0};
    if (file_read("/proc/sys/kernel/random/boot_id", 64, &text, NULL) < 0)
        buf_puts(&text, "unknown");
    text.data[strcspn(text.data, "\n")] = '\0';
    return buf_take(&text);
}

/* When the process started, in ticks; -1 if there is none, or only its remains. */
static long long start_time_of(int pid)
{
    struct buf text = {0};
    char path[32], state = 'X';
    long long start = -1;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    if (file_read(path, 4096, &text, NULL) == 0) {
        const char *rest = strrchr(text.data, ')'); /* the name before it may hold anything */
        if (!rest || sscanf(rest,
                            ") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d "
                            "%*d %*d %*d %lld",
                            &state, &start) != 2)
            start = -1;
    }
    buf_free(&text);
    return state == 'Z' || state == 'X' ? -1 : start;
}

void owner_init(struct owner *o)
{
    char node[256] = "localhost";
    gethostname(node, sizeof node - 1);
    *o = (struct owner){.node = xstrdup(node),
                        .boot_id = boot_id(),
                        .pid = (int)getpid(),
                        .start_time = start_time_of((int)getpid())};
}

void owner_close(struct owner *o)
{
    free(o->node);
    free(o->boot_id);
}

json_t *owner_dump(const struct owner *o)
{
    return json_pack("{s:s, s:s, s:i, s:I}", "node", o->node, "bootId", o->boot_id, "pid", o->pid,
                     "startTime", (json_int_t)o->start_time);
}

static bool same_text(const json_t *object, const char *key, const char *text)
{
    const char *value = json_string_value(json_object_get(object, key));
    return value && strcmp(value, text) == 0;
}

struct owner_ref owner_read(const struct owner *self, const json_t *owner)
{
    if (!owner || !same_text(owner, "node", self->node))
        return (struct owner_ref){0};
    json_int_t pid = json_integer_value(json_object_get(owner, "pid"));
    if (!same_text(owner, "bootId", self->boot_id) || pid <= 0 || pid > INT32_MAX)
        return (struct owner_ref){-1, 0};
    return (struct owner_ref){(int)pid, json_integer_value(json_object_get(owner, "startTime"))};
}

bool owner_ref_is_dead(const struct owner_ref *owner, struct owner_memo *memo)
{
    if (owner->pid <= 0)
        return owner->pid < 0;
    if (!memo)
        return start_time_of(owner->pid) != owner->start_time;
    struct owner_verdict *known = &memo->slots[owner->pid % OWNER_MEMO_SIZE];
    if (known->round != memo->round || known->owner.pid != owner->pid ||
        known->owner.start_time != owner->start_time)
        *known = (struct owner_verdict){*owner, memo->round,
                                        start_time_of(owner->pid) != owner->start_time};
    return known->dead;
}
