/* scan_processors_windows.c: see scan_crew.h. Any thread. */
#include "scan_crew.h"

#include "native_windows.h"

int scan_crew_processors(void)
{
    DWORD count = GetActiveProcessorCount(ALL_PROCESSOR_GROUPS);
    return count > 0 ? (int)count : 2; /* fails never, by its page */
}
