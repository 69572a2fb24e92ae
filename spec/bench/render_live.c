/* render_live.c -- a service that notes when its file was replaced ("file <ns>") and when it was told
 * so ("signal <ns>"), on the clock that the bench reads.
 *   render_live FOLDER NAME LOG */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

static void note(FILE *log, const char *what)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    fprintf(log, "%s %lld%09ld\n", what, (long long)now.tv_sec, now.tv_nsec);
    fflush(log);
}

static void read_events(int fd, const char *name, FILE *log)
{
    char buffer[4096] __attribute__((aligned(8)));
    ssize_t size = read(fd, buffer, sizeof buffer);
    for (char *at = buffer; at < buffer + size;) {
        struct inotify_event *event = (struct inotify_event *)at;
        if (event->len && strcmp(event->name, name) == 0)
            note(log, "file");
        at += sizeof *event + event->len;
    }
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigprocmask(SIG_BLOCK, &set, NULL);
    FILE *log = fopen(argv[3], "a");
    struct pollfd fds[2] = {{.fd = inotify_init(), .events = POLLIN},
                            {.fd = signalfd(-1, &set, 0), .events = POLLIN}};
    if (!log || inotify_add_watch(fds[0].fd, argv[1], IN_MOVED_TO) < 0)
        return 1;
    note(log, "ready");
    for (;;) {
        if (poll(fds, 2, -1) < 0)
            return 1;
        if (fds[0].revents)
            read_events(fds[0].fd, argv[2], log);
        struct signalfd_siginfo info;
        if (fds[1].revents && read(fds[1].fd, &info, sizeof info) == sizeof info)
            note(log, "signal");
    }
}
