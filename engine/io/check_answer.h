/* check_answer.h -- what an http check expects of an answer: its status, its text, values in its
 * JSON. */
#pragma once
#include <jansson.h>
#include <stddef.h>

struct err;

struct status_range {
    int low, high;
};

struct answer {
    struct status_range *ranges; /* owned */
    size_t range_count;
    char *text;   /* owned: must be in the body; NULL: any */
    json_t *json; /* owned: {pointer = value}; NULL: any */
};

/* Reads expectedStatus, expectBody and expectJson. Close the answer whatever the result. */
int answer_read(const json_t *options, struct answer *a, struct err *err);
void answer_close(struct answer *a);

/* -1 with a message that goes on after "answered ", such as "503, expected 200". */
int answer_check(const struct answer *a, int status, const char *body, size_t len, struct err *err);
