/* SPDX-License-Identifier: Apache-2.0 */
/* What an uncontended spin lock costs a process: with an argument, nanoseconds of a pair; without, one pair to be stepped. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static pthread_spinlock_t lock;

void __attribute__((noinline)) pair(void) {
    pthread_spin_lock(&lock);
    pthread_spin_unlock(&lock);
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

int main(int count, char **arguments) {
    pthread_spin_init(&lock, PTHREAD_PROCESS_PRIVATE);
    pair(); /* the dynamic linker has resolved both by now */
    if (count < 2) {
        pair();
        return 0;
    }
    long rounds = strtol(arguments[1], NULL, 10);
    double started = seconds();
    for (long i = 0; i < rounds; i++) {
        pair();
    }
    printf("%.4f\n", (seconds() - started) * 1e9 / (double)rounds);
    return 0;
}
