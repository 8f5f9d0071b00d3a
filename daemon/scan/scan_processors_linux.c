/* scan_processors_linux.c: see scan_crew.h. Any thread. */
#include "scan_crew.h"

#include <sched.h>

int scan_crew_processors(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    /* Fails only with more than 1024 processors: then two threads are as good a guess as any. */
    if (sched_getaffinity(0, sizeof set, &set))
        return 2;
    return CPU_COUNT(&set);
}
