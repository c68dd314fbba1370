#pragma once
// Thousands of threads: with the usual 8 MiB of stack for each they would take too much of the address space.

#include <pthread.h>

inline void use_small_stacks() {
    pthread_attr_t small;
    ::pthread_attr_init(&small);
    ::pthread_attr_setstacksize(&small, 256 * 1024);
    ::pthread_setattr_default_np(&small);
    ::pthread_attr_destroy(&small);
}
