#include "core/detach.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/err.h"
#include "core/mem.h"

extern char **environ;

/* What the detached process tells: first its pid, then, if that failed, why. */
struct word {
    pid_t pid;
    int failure;
};

static void tell(int pipe, pid_t pid, int failure)
{
    struct word word = {pid, failure};
    ssize_t written = write(pipe, &word, sizeof word);
    (void)written;
}

/* By these a guard knows what its children left behind. What is detached on purpose is nobody's. */
static bool is_mark(const char *variable)
{
    return strncmp(variable, "ORRERY_CHILD=", 13) == 0 ||
           strncmp(variable, "ORRERY_INSTANCE=", 16) == 0;
}

/* Our environment without the marks. The caller frees the list, not its strings. */
static char **unmarked_environment(void)
{
    size_t count = 0, kept = 0;
    while (environ[count])
        count++;
    char **list = xcalloc(count + 1, sizeof *list);
    for (size_t i = 0; i < count; i++)
        if (!is_mark(environ[i]))
            list[kept++] = environ[i];
    return list;
}

static void become(char *const *argv, char *const *env, const int fds[2], int pipe)
{
    sigset_t none;
    for (int i = 1; i < NSIG; i++)
        signal(i, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    dup2(fds[0], 0);
    dup2(fds[1], 1);
    dup2(fds[1], 2);
    syscall(SYS_close_range, 3u, ~0u, 4u); /* 4: CLOSE_RANGE_CLOEXEC */
    tell(pipe, getpid(), 0);
    execvpe(argv[0], argv, env);
    tell(pipe, getpid(), errno);
    _exit(127);
}

/* In the child that only lives to fork: its child has no parent then. */
static void fork_again(char *const *argv, char *const *env, const int fds[2], int pipe)
{
    setsid();
    pid_t pid = _Fork();
    if (pid == 0)
        become(argv, env, fds, pipe);
    if (pid < 0)
        tell(pipe, -1, errno);
    _exit(0);
}

/* While we are a subreaper, what is orphaned below us would come to us, not to init. */
static int fork_orphan(char *const *argv, const int fds[2], int pipe)
{
    int subreaper = 0;
    char **env = unmarked_environment();
    prctl(PR_GET_CHILD_SUBREAPER, &subreaper);
    prctl(PR_SET_CHILD_SUBREAPER, 0);
    pid_t pid = _Fork();
    if (pid == 0)
        fork_again(argv, env, fds, pipe);
    int failure = pid < 0 ? errno : 0;
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
    prctl(PR_SET_CHILD_SUBREAPER, subreaper);
    free(env);
    return failure;
}

static pid_t hear(int pipe, int *ret_failure)
{
    struct word word = {.pid = -1};
    struct word last = {.pid = -1, .failure = EIO};
    while (read(pipe, &word, sizeof word) == (ssize_t)sizeof word)
        last = word;
    *ret_failure = last.failure;
    return last.pid;
}

static int open_output(const char *log)
{
    if (!log)
        return open("/dev/null", O_WRONLY | O_CLOEXEC);
    return open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
}

pid_t detach_start(char *const *argv, const char *log, struct err *err)
{
    int pipe[2];
    if (pipe2(pipe, O_CLOEXEC) < 0)
        return err_errno(err, errno, "cannot detach %s: cannot make a pipe", argv[0]);
    int fds[2] = {open("/dev/null", O_RDONLY | O_CLOEXEC), open_output(log)};
    int failure = fds[0] < 0 || fds[1] < 0 ? errno : 0;
    pid_t pid = -1;
    if (failure)
        err_errno(err, failure, "cannot detach %s: cannot open %s", argv[0],
                  log ? log : "/dev/null");
    else
        failure = fork_orphan(argv, fds, pipe[1]);
    close(pipe[1]);
    if (fds[0] >= 0)
        close(fds[0]);
    if (fds[1] >= 0)
        close(fds[1]);
    if (!failure)
        pid = hear(pipe[0], &failure);
    close(pipe[0]);
    if (failure && !err->code)
        err_errno(err, failure, "cannot detach %s: cannot execute it", argv[0]);
    return failure ? -1 : pid;
}
