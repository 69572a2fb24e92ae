/* stamp.h -- moments as text. */
#pragma once
#include <time.h>

struct buf;

/* Room for a stamp of a year up to 9999, with its NUL. */
#define STAMP_SIZE 32

/* "2026-01-02T03:04:05.678Z" */
void stamp_format(char out[STAMP_SIZE], time_t seconds, int milliseconds);

/* Appends the present moment. */
void stamp_now(struct buf *b);
