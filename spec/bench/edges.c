/* edges.c -- prints a random graph without cycles as pairs for tsort: edges NAMES EDGES. Every name
 * is there, in no helpful order, and the same arguments give the same text. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t state = 42;

static uint64_t next_random(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static uint64_t coprime(uint64_t wanted, uint64_t count)
{
    for (;; wanted++) {
        uint64_t a = wanted, b = count;
        while (b) {
            uint64_t rest = a % b;
            a = b;
            b = rest;
        }
        if (a == 1)
            return wanted;
    }
}

int main(int argc, char **argv)
{
    uint64_t names = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000;
    uint64_t edges = argc > 2 ? strtoull(argv[2], NULL, 10) : 5000;
    if (names < 2)
        return 1;
    uint64_t stride = coprime(names * 618 / 1000 + 1, names);
    uint64_t scramble = coprime(names * 382 / 1000 + 1, names);
    for (uint64_t e = 0; e < edges; e++) {
        uint64_t later = e * stride % names;
        uint64_t earlier = later ? next_random() % later : 0; /* "x x" only names x */
        printf("node%07lu node%07lu\n", (unsigned long)(earlier * scramble % names),
               (unsigned long)(later * scramble % names));
    }
    return 0;
}
