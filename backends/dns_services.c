/* dns_services.c -- one look at the services there are. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"
#include "core/instance.h"
#include "core/mem.h"
#include "core/texts.h"
#include "dns_backend.h"
#include "dns_batch.h"
#include "dns_names.h"
#include "dns_read.h"
#include "dns_text.h"

struct dns_services {
    struct dns_backend *backend; /* borrowed */
    struct dns_batch list, full; /* the second: the names of those whose label is a hash */
    char **names;                /* owned */
    size_t count;
    dns_named_fn *done;
    void *data; /* borrowed */
};

void dns_services_cancel(struct dns_services *s)
{
    dns_batch_clear(&s->list);
    dns_batch_clear(&s->full);
    texts_free(s->names, s->count);
    free(s);
}

static void fail(struct dns_services *s, const struct err *err)
{
    s->done(s->data, NULL, 0, err);
    dns_services_cancel(s);
}

/* Takes `name`. */
static void add_name(struct dns_services *s, char *name)
{
    if (name && instance_is_name(name))
        s->names[s->count++] = name;
    else
        free(name);
}

static void answer(struct dns_services *s)
{
    size_t kept = 0;
    texts_sort(s->names, s->count);
    for (size_t i = 0; i < s->count; i++) {
        if (kept && strcmp(s->names[kept - 1], s->names[i]) == 0)
            free(s->names[i]);
        else
            s->names[kept++] = s->names[i];
    }
    s->count = kept;
    s->done(s->data, s->names, s->count, NULL);
    dns_services_cancel(s);
}

static void full_told(void *data, const struct err *err)
{
    struct dns_services *s = data;
    if (err) {
        fail(s, err);
        return;
    }
    for (size_t i = 0; i < s->full.count; i++) {
        const struct dns_question *q = &s->full.questions[i];
        struct dns_text text;
        char *label = NULL;
        dns_text_read(&q->answer, &text);
        if (!text.service && dns_service_label(s->backend->domain, q->name, &label))
            add_name(s, label); /* it only looks like a hash */
        else
            add_name(s, xstrdup(text.service));
        dns_text_clear(&text);
    }
    answer(s);
}

static void list_told(void *data, const struct err *err)
{
    struct dns_services *s = data;
    const struct dns_question *q = s->list.questions;
    const struct dns_record *p = NULL;
    char *label;
    if (err) {
        fail(s, err);
        return;
    }
    s->names = xcalloc(q->answer.count + 1, sizeof *s->names);
    while ((p = dns_question_next(q, p))) {
        if (!dns_service_label(s->backend->domain, p->target, &label))
            continue;
        if (dns_label_is_hashed(label)) {
            dns_batch_add(&s->full, xstrdup(p->target), DNS_TXT);
            free(label);
        } else {
            add_name(s, label);
        }
    }
    if (s->full.count)
        dns_batch_start(&s->full, full_told, s);
    else
        answer(s);
}

struct dns_services *dns_services_start(struct dns_backend *b, dns_named_fn *done, void *data)
{
    struct dns_services *s = xcalloc(1, sizeof *s);
    *s = (struct dns_services){.backend = b, .done = done, .data = data};
    dns_batch_init(&s->list, b->reader);
    dns_batch_init(&s->full, b->reader);
    dns_batch_add(&s->list, dns_services_name(b->domain), DNS_PTR);
    dns_batch_start(&s->list, list_told, s);
    return s;
}
