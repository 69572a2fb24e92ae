/* detach.h -- starts a program that is nobody's child: it outlives us, and our guard does not know
 * it. */
#pragma once
#include <sys/types.h>

struct err;

/* Runs argv (a file, or a command on our PATH) in a session of its own, with our environment and
 * working directory, standard input from /dev/null, output appended to `log` (NULL: dropped).
 * Blocks until it is executed. Returns its pid, or -1 with `err` set. */
pid_t detach_start(char *const *argv, const char *log, struct err *err);
