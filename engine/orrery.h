/* orrery.h -- Orrery inside a C program: run Lua scripts that have the whole engine, and drive them
 * from the program's own poll loop.
 *
 *     struct orrery *o = orrery_open(NULL, &error);
 *     orrery_start(o, 2, (char *[]){"deploy.lua", "staging"});
 *     while (orrery_step(o)) {
 *         struct pollfd fd = {orrery_fd(o), POLLIN, 0};
 *         poll(&fd, 1, orrery_timeout(o));      // beside the program's own descriptors
 *     }
 *     printf("it ended with %d\n", orrery_exit_code(o));
 *     orrery_close(o);
 *
 * An engine belongs to one thread; several may live in one process. Only orrery_run() and
 * orrery_close() wait. Services that a script starts are children of a guard, a small process that
 * the first of them makes; it ends them when the engine closes or the host dies. The host should
 * ignore SIGPIPE, and must leave SIGCHLD and the reaping of processes it does not know alone.
 *
 * A process that the host forks by itself shares the engine's descriptors: it must not step or
 * close the engine, but exec() or _exit(). All of them are closed by exec() but one pair of
 * libcurl's, from the first HTTP request on; a program that would mind is started after
 * close_range(3, ~0U, 0). */
#ifndef ORRERY_H
#define ORRERY_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

struct lua_State;
struct orrery;

/* Opens an engine. `root` is the folder that holds lua/, profiles/ and templates/; NULL: where it
 * was installed. Returns NULL and, if `ret_error` is not NULL, a sentence there that the caller
 * frees. */
struct orrery *orrery_open(const char *root, char **ret_error);

/* Starts the script argv[0] with its arguments (`arg` in Lua): it runs within orrery_step(). What
 * is wrong with the file is told at its end, as an error. Returns false if one still runs. */
bool orrery_start(struct orrery *o, int argc, char *const *argv);

/* The descriptor to poll for input between two steps, and for how many milliseconds at most (-1:
 * as long as the host likes; 0: not at all). */
int orrery_fd(const struct orrery *o);
int orrery_timeout(const struct orrery *o);

/* Runs what is ready; never waits. Returns true until the script has ended. */
bool orrery_step(struct orrery *o);

/* Of the script that ended last: what it returned or gave to os.exit(), 1 if it failed; and why it
 * failed (NULL if it did not; valid until the next one is started). */
int orrery_exit_code(const struct orrery *o);
const char *orrery_error(const struct orrery *o);

/* As orrery_start(), and waits for the end. Returns the exit code. */
int orrery_run(struct orrery *o, int argc, char *const *argv);

/* The Lua state (5.4), for functions of the host. Borrowed; not while a step runs, but from within
 * such a function. */
struct lua_State *orrery_lua(struct orrery *o);

/* Cancels what still runs, stops the processes it started, and frees the engine. NULL is allowed.
 */
void orrery_close(struct orrery *o);

#ifdef __cplusplus
}
#endif
#endif
