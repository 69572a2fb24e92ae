/* bare_spawn.c -- what starting N `sleep` processes costs with nothing around it: posix_spawn in a
 * loop, in the environment that services get. Prints milliseconds until the last was spawned (which
 * is when it has been exec'ed), and the seconds of processor, theirs included; then ends them. */
#define _GNU_SOURCE
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "usage.h"

static pid_t start(void)
{
    static char *argv[] = {"sleep", "100000", NULL};
    static char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    static char lang[] = "LANG=C.UTF-8";
    static char *env[] = {path, lang, NULL};
    pid_t pid;
    if (posix_spawnp(&pid, argv[0], NULL, NULL, argv, env) != 0)
        exit(1);
    return pid;
}

int main(int argc, char **argv)
{
    int count = argc > 1 ? atoi(argv[1]) : 500;
    pid_t *pids = calloc((size_t)count, sizeof *pids);
    struct rusage theirs;
    double began = now();
    for (int i = 0; i < count; i++)
        pids[i] = start();
    double took = now() - began;
    for (int i = 0; i < count; i++) {
        kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, 0);
    }
    getrusage(RUSAGE_CHILDREN, &theirs);
    printf("%.3f %.3f\n", took * 1e3,
           used() + (double)(theirs.ru_utime.tv_sec + theirs.ru_stime.tv_sec) +
               (double)(theirs.ru_utime.tv_usec + theirs.ru_stime.tv_usec) / 1e6);
    free(pids);
    return 0;
}
