/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What it costs two threads of a process to hand over to each other by futexes: prints nanoseconds from one thread's wake-up
 * call to the other one's return from its wait. First argument: 1 both on one CPU, 2 on two; second: how many round trips.
 */
#define _GNU_SOURCE
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static uint32_t ping, pong;
static long rounds;
static int allowed[2];

static void wait_for(uint32_t *word, uint32_t value) {
    while (__atomic_load_n(word, __ATOMIC_ACQUIRE) != value) {
        syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value - 1, NULL, NULL, 0);
    }
}

static void set(uint32_t *word, uint32_t value) {
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void pin(int cpu) {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(cpu, &cpus);
    if (sched_setaffinity(0, sizeof cpus, &cpus) != 0) {
        perror("sched_setaffinity");
        exit(1);
    }
}

static void *answer(void *context) {
    (void)context;
    pin(allowed[1]);
    for (uint32_t i = 1; i <= (uint32_t)rounds; i++) {
        wait_for(&ping, i);
        set(&pong, i);
    }
    return NULL;
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* The first CPUs that this process may run on. */
static int choose(int wanted) {
    cpu_set_t cpus;
    int found = 0;
    if (sched_getaffinity(0, sizeof cpus, &cpus) != 0) {
        return 0;
    }
    for (int cpu = 0; cpu < CPU_SETSIZE && found < wanted; cpu++) {
        if (CPU_ISSET(cpu, &cpus)) {
            allowed[found++] = cpu;
        }
    }
    return found;
}

int main(int count, char **arguments) {
    pthread_t other;
    int wanted = count > 2 ? atoi(arguments[1]) : 0;
    if (wanted < 1 || wanted > 2 || choose(wanted) != wanted) {
        fprintf(stderr, "usage: futex CPUs rounds, on a host that has so many\n");
        return 1;
    }
    if (wanted == 1) {
        allowed[1] = allowed[0];
    }
    rounds = strtol(arguments[2], NULL, 10);
    pin(allowed[0]);
    pthread_create(&other, NULL, answer, NULL);
    double started = seconds();
    for (uint32_t i = 1; i <= (uint32_t)rounds; i++) {
        set(&ping, i);
        wait_for(&pong, i);
    }
    printf("%.1f\n", (seconds() - started) * 1e9 / (2.0 * (double)rounds));
    pthread_join(other, NULL);
    return 0;
}
