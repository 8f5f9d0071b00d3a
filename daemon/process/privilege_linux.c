/* privilege_linux.c: dropping capabilities(7) once fanotify has its marks, or was refused.
 *
 * By the system call itself: it is one call, and glibc has no wrapper for it. The mark stays
 * without them; a mark for another file system cannot be had any more, which is why a
 * reload may find inotify instead and says so. Main thread, before there are others. */
#include "privilege.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "err.h"

#define WORDS _LINUX_CAPABILITY_U32S_3

int privilege_give_up(struct err *err)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[WORDS];
    const uint32_t kept[WORDS] = {
        [CAP_TO_INDEX(CAP_DAC_READ_SEARCH)] =
            CAP_TO_MASK(CAP_DAC_READ_SEARCH) | CAP_TO_MASK(CAP_LEASE),
    };

    _Static_assert(CAP_TO_INDEX(CAP_DAC_READ_SEARCH) == CAP_TO_INDEX(CAP_LEASE), "one word");
    if (syscall(SYS_capget, &head, data) != 0)
        return err_os(err, errno, "cannot read the capabilities");
    for (size_t i = 0; i < WORDS; i++) {
        data[i].permitted &= kept[i];
        data[i].effective &= kept[i];
        data[i].inheritable = 0;
    }
    if (syscall(SYS_capset, &head, data) != 0)
        return err_os(err, errno, "cannot give up capabilities");
    /* EINVAL: a kernel before 4.3, which has no ambient ones. */
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0 && errno != EINVAL)
        return err_os(err, errno, "cannot give up ambient capabilities");
    return 0;
}
