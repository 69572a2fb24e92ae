/* slab_check.c -- core/slab.c at work: blocks of all sizes, made, resized and freed in no order.
 * Prints what is wrong, and how many KiB of memory it took: at its height, and once all is freed.
 */
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/slab.h"

#define BLOCKS 20000
#define ROUNDS 1000000

static struct {
    unsigned char *data;
    size_t size;
    unsigned char mark;
} blocks[BLOCKS];

static uint64_t state = 88172645463325252u;

static size_t any(size_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (size_t)(state % below);
}

static long resident_kib(void)
{
    long size = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%ld %ld", &size, &resident) != 2)
        abort();
    fclose(f);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

static void expect(int n, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (blocks[n].data[i] != blocks[n].mark) {
            printf("block %d has lost its byte %zu of %zu\n", n, i, size);
            exit(1);
        }
}

static void resize(struct slab *s, int n, size_t size)
{
    size_t old = blocks[n].size;
    if (old)
        expect(n, old);
    blocks[n].data = slab_resize(s, blocks[n].data, old, size);
    if (!size != !blocks[n].data || (uintptr_t)blocks[n].data % 8) {
        printf("%zu bytes are at %p\n", size, (void *)blocks[n].data);
        exit(1);
    }
    expect(n, old < size ? old : size);
    blocks[n].size = size;
    blocks[n].mark = (unsigned char)any(256);
    if (size)
        memset(blocks[n].data, blocks[n].mark, size);
}

int main(void)
{
    struct slab *s = slab_new();
    memset(blocks, 1, sizeof blocks); /* they take memory, too */
    memset(blocks, 0, sizeof blocks);
    long before = resident_kib();
    for (int i = 0; i < ROUNDS; i++)
        resize(s, (int)any(BLOCKS), any(4) ? any(any(50) ? 1100 : 5000) : 0);
    long height = resident_kib() - before;
    for (int n = 0; n < BLOCKS; n++)
        resize(s, n, 0);
    slab_trim(s);
    malloc_trim(0); /* the large ones */
    printf("%ld %ld\n", height, resident_kib() - before);
    for (int n = 0; n < BLOCKS; n++)
        resize(s, n, 100); /* of what was given back */
    for (int n = 0; n < BLOCKS; n++)
        resize(s, n, 0);
    slab_free(s);
    return 0;
}
