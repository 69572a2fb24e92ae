/* fork_exec.c -- what starting N `sleep` processes costs with nothing around it. Prints milliseconds
 * until each has been exec'ed (its close-on-exec pipe has closed), then ends them. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static pid_t start(void)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) < 0)
        exit(1);
    pid_t pid = fork();
    if (pid == 0) {
        execlp("sleep", "sleep", "1000", (char *)NULL);
        _exit(127);
    }
    close(ends[1]);
    char c;
    if (read(ends[0], &c, 1) != 0)
        exit(1);
    close(ends[0]);
    return pid;
}

int main(int argc, char **argv)
{
    int count = argc > 1 ? atoi(argv[1]) : 200;
    pid_t *pids = calloc((size_t)count, sizeof *pids);
    double began = now_ms();
    for (int i = 0; i < count; i++)
        pids[i] = start();
    printf("%.3f\n", now_ms() - began);
    for (int i = 0; i < count; i++) {
        kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, 0);
    }
    free(pids);
    return 0;
}
