/* host.c -- a program that has Orrery inside: it answers lines of its own on standard input while a
 * script runs. `make install` lets it be built with
 *     cc host.c $(pkg-config --cflags --libs orrery) */
#include <lauxlib.h>
#include <orrery.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int l_greet(lua_State *L)
{
    lua_pushfstring(L, "the host greets %s", luaL_checkstring(L, 1));
    return 1;
}

/* Returns false at the end of the input. */
static bool answer_line(void)
{
    char line[256];
    ssize_t n = read(STDIN_FILENO, line, sizeof line);
    if (n > 0)
        printf("host read %.*s", (int)n, line), fflush(stdout);
    return n > 0;
}

int main(int argc, char **argv)
{
    char *error = NULL;
    struct orrery *o = orrery_open(getenv("ORRERY_ROOT"), &error);
    if (!o)
        return fprintf(stderr, "host: %s\n", error), free(error), 2;
    lua_register(orrery_lua(o), "host_greet", l_greet);
    orrery_start(o, argc - 1, argv + 1);
    struct pollfd fds[2] = {{orrery_fd(o), POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
    while (orrery_step(o))
        if (poll(fds, 2, orrery_timeout(o)) > 0 && fds[1].revents && !answer_line())
            fds[1].fd = -1;
    int code = orrery_exit_code(o);
    if (orrery_error(o))
        fprintf(stderr, "host: %s\n", orrery_error(o));
    orrery_close(o);
    return code;
}
