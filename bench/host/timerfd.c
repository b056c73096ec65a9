/* SPDX-License-Identifier: Apache-2.0 */
/* What arming and disarming a timer costs a process: nanoseconds of a pair of timerfd_settime. Argument: pairs to make. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

int main(int count, char **arguments) {
    if (count < 2) {
        return 2;
    }
    long rounds = strtol(arguments[1], NULL, 10);
    int timer = timerfd_create(CLOCK_MONOTONIC, 0);
    if (timer < 0) {
        perror("timerfd_create");
        return 1;
    }
    const struct itimerspec none = {{0, 0}, {0, 0}};
    double started = seconds();
    for (long i = 0; i < rounds; i++) {
        const struct itimerspec due = {{0, 0}, {60 + i % 1000, 0}};
        if (timerfd_settime(timer, 0, &due, NULL) != 0 || timerfd_settime(timer, 0, &none, NULL) != 0) {
            perror("timerfd_settime");
            return 1;
        }
    }
    printf("%.4f\n", (seconds() - started) * 1e9 / (double)rounds);
    return 0;
}
