/* main.c -- the program `orrery`: forks the guard, then runs the Lua command line. */
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/err.h"
#include "core/mem.h"
#include "engine.h"
#include "guard.h"

/* The folder with lua/, profiles/ and templates/: ../share/orrery from an installed program, ..
 * from one in its build folder. The caller frees it; NULL if neither is there. */
static char *find_root(void)
{
    static const char *const places[] = {"../share/orrery", ".."};
    char program[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);
    if (len < 0)
        return NULL;
    program[len] = '\0';
    *strrchr(program, '/') = '\0';
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char *root = xasprintf("%s/%s", program, places[i]);
        char *probe = xasprintf("%s/lua/orrery/init.lua", root);
        bool found = access(probe, R_OK) == 0;
        char *real = found ? realpath(root, NULL) : NULL;
        free(probe);
        free(root);
        if (real)
            return real;
    }
    return NULL;
}

/* Whoever closed one of the descriptors 0 to 2 would have the next one that is opened, a socket of
 * the guard, take its number, and what is printed go there. In their place comes one that neither
 * reads nor writes, so that both fail as they would. */
static bool hold_standard_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++) {
        if (fcntl(fd, F_GETFD) >= 0)
            continue;
        int held = open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY); /* the lowest number: fd */
        if (held != fd)
            return false;
    }
    return true;
}

/* Threads only look up names and files: they need no heap of their own. What is large is mapped by
 * itself, however often such a block was freed before, and leaves no hole in the heap. */
static void spare_memory(void)
{
    mallopt(M_ARENA_MAX, 1);
    mallopt(M_MMAP_THRESHOLD, 128 * 1024);
}

int main(int argc, char **argv)
{
    struct err err = {0};
    if (!hold_standard_descriptors())
        return 1; /* there is nowhere to say why */
    signal(SIGPIPE, SIG_IGN);
    spare_memory();
    char *root = find_root();
    if (!root) {
        fprintf(stderr, "orrery: its Lua files are missing: expected ../share/orrery/lua or ../lua "
                        "beside the program; run `make install` again\n");
        return 1;
    }
    struct guard *guard = guard_fork(&err); /* while this process is small and has one thread */
    struct engine *e = guard ? engine_new(root, guard, &err) : NULL;
    free(root);
    if (!e) {
        fprintf(stderr, "orrery: %s\n", err.message);
        err_clear(&err);
        guard_close(guard);
        return 1;
    }
    engine_start(e, "orrery.cli", "main", argc, argv);
    engine_drive(e);
    int code = e->program.code;
    if (e->program.error)
        fprintf(stderr, "orrery: %s\n", e->program.error);
    engine_close(e);
    guard_close(guard);
    return code;
}
