/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What memory costs a process. `malloc THREADS PAIRS`: pairs of malloc and free a second, on that many threads at once. `fault ROUNDS`:
 * nanoseconds of a touch of a page that madvise has taken away.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define BYTES 64
#define MOST  64

static pthread_barrier_t start;
static long pairs;

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void *run(void *context) {
    (void)context;
    pthread_barrier_wait(&start);
    for (long i = 0; i < pairs; i++) {
        void *block = malloc(BYTES);
        __asm__ volatile("" : "+r"(block) : : "memory"); /* or the compiler drops both */
        free(block);
    }
    return NULL;
}

static int measure_malloc(long threads) {
    pthread_t thread[MOST];
    if (threads < 1 || threads > MOST || pthread_barrier_init(&start, NULL, (unsigned)threads + 1) != 0) {
        return 2;
    }
    for (long i = 0; i < threads; i++) {
        if (pthread_create(&thread[i], NULL, run, NULL) != 0) {
            return 1;
        }
    }
    double started = seconds();
    pthread_barrier_wait(&start);
    for (long i = 0; i < threads; i++) {
        pthread_join(thread[i], NULL);
    }
    printf("%.1f\n", (double)(threads * pairs) / (seconds() - started));
    return 0;
}

static int measure_fault(long rounds) {
    volatile char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    double spent = 0;
    if (page == MAP_FAILED) {
        return 1;
    }
    for (long i = 0; i < rounds; i++) {
        if (madvise((void *)page, 4096, MADV_DONTNEED) != 0) {
            return 1;
        }
        double started = seconds();
        *page = 1;
        spent += seconds() - started;
    }
    printf("%.1f\n", spent * 1e9 / (double)rounds);
    return 0;
}

int main(int count, char **arguments) {
    if (count == 4 && strcmp(arguments[1], "malloc") == 0) {
        pairs = strtol(arguments[3], NULL, 10);
        return measure_malloc(strtol(arguments[2], NULL, 10));
    }
    return count == 3 && strcmp(arguments[1], "fault") == 0 ? measure_fault(strtol(arguments[2], NULL, 10)) : 2;
}
