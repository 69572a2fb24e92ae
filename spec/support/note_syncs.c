/* note_syncs.c -- a library to preload: the names of the files and folders that the program waits
 * for to be on the disk are appended to the file $SYNCS. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

int fsync(int fd)
{
    char link[64], name[4096];
    const char *notes = getenv("SYNCS");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, name, sizeof name - 1);
    int out = notes && len > 0 ? open(notes, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (out >= 0) {
        name[len] = '\n';
        if (write(out, name, (size_t)len + 1) < 0)
            abort();
        close(out);
    }
    return (int)syscall(SYS_fsync, fd);
}
