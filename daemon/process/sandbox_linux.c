/* sandbox_linux.c: Landlock and the process attributes, by system calls.
 *
 * glibc has no wrappers for Landlock, and kernel headers are often older than the kernel, so that
 * the numbers are spelt out here from the kernel's userspace-api/landlock documentation. All that
 * the kernel's version can confine is confined; rights it does not know are left out. What is open
 * already stays usable. Main thread. */
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "err.h"

#define FS_EXECUTE     (UINT64_C(1) << 0)
#define FS_WRITE_FILE  (UINT64_C(1) << 1)
#define FS_READ_FILE   (UINT64_C(1) << 2)
#define FS_READ_DIR    (UINT64_C(1) << 3)
#define FS_REMOVE_DIR  (UINT64_C(1) << 4)
#define FS_REMOVE_FILE (UINT64_C(1) << 5)
#define FS_MAKE_DIR    (UINT64_C(1) << 7)
#define FS_MAKE_REG    (UINT64_C(1) << 8)
#define FS_MAKE_SOCK   (UINT64_C(1) << 9)
#define FS_REFER       (UINT64_C(1) << 13) /* ABI 2 */
#define FS_TRUNCATE    (UINT64_C(1) << 14) /* ABI 3 */
#define FS_IOCTL_DEV   (UINT64_C(1) << 15) /* ABI 5 */
#define FS_ABI_1       (FS_REFER - 1)      /* bits 0 to 12 */
/* A rule on a file takes these alone. */
#define FS_OF_FILE      (FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV)
#define NET_BIND_TCP    (UINT64_C(1) << 0) /* ABI 4 */
#define NET_CONNECT_TCP (UINT64_C(1) << 1)
#define SCOPE_ABSTRACT  (UINT64_C(1) << 0) /* ABI 6: abstract unix sockets */
#define SCOPE_SIGNAL    (UINT64_C(1) << 1)

#define CREATE_VERSION 1u /* flag: ask for the ABI */
#define RULE_PATH      1  /* struct rule_path */
#define RULE_PORT      2  /* struct rule_port */

/* A kernel that knows fewer fields takes the longer struct when the rest is zero. */
struct ruleset {
    uint64_t fs;
    uint64_t net;
    uint64_t scoped;
};

struct rule_path {
    uint64_t allowed;
    int32_t fd;
} __attribute__((packed));

struct rule_port {
    uint64_t allowed;
    uint64_t port; /* host order */
};

int sandbox_harden(struct err *err)
{
    struct rlimit none = {0, 0};

    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return err_os(err, errno, "cannot set no_new_privs");
    if (setrlimit(RLIMIT_CORE, &none) != 0)
        return err_os(err, errno, "cannot forbid core dumps");
    /* A core that is piped to a program (core(5)) is made whatever its limit: this forbids it too,
     * and ptrace(2) and /proc/PID/mem to other processes of our user. */
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
        return err_os(err, errno, "cannot forbid core dumps");
    return 0;
}

static struct ruleset handled(int abi)
{
    struct ruleset set = {.fs = FS_ABI_1};

    if (abi >= 2)
        set.fs |= FS_REFER;
    if (abi >= 3)
        set.fs |= FS_TRUNCATE;
    if (abi >= SANDBOX_ABI_PORTS)
        set.net = NET_BIND_TCP | NET_CONNECT_TCP;
    if (abi >= 5)
        set.fs |= FS_IOCTL_DEV;
    if (abi >= 6)
        set.scoped = SCOPE_ABSTRACT | SCOPE_SIGNAL;
    return set;
}

static uint64_t rights_of(unsigned rights)
{
    uint64_t fs = 0;

    if (rights & SANDBOX_LIST)
        fs |= FS_READ_DIR;
    if (rights & SANDBOX_READ)
        fs |= FS_READ_FILE;
    if (rights & SANDBOX_APPEND)
        fs |= FS_WRITE_FILE | FS_MAKE_REG;
    if (rights & SANDBOX_OWN)
        fs |= FS_READ_DIR | FS_READ_FILE | FS_WRITE_FILE | FS_TRUNCATE | FS_REMOVE_DIR |
              FS_REMOVE_FILE | FS_MAKE_DIR | FS_MAKE_REG | FS_MAKE_SOCK | FS_REFER;
    return fs;
}

static int add_path(int ruleset, const struct sandbox_rule *rule, uint64_t fs, struct err *err)
{
    struct statx status;
    int rc = 0;
    int fd = open(rule->path, O_PATH | O_CLOEXEC);

    if (fd < 0)
        return 0; /* not there, or not ours to reach: then nothing need be granted */
    struct rule_path path = {.allowed = rights_of(rule->rights) & fs, .fd = fd};
    /* Not asking the file system, which may hang. */
    if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &status) != 0) {
        rc = err_os(err, errno, "cannot look at '%s'", rule->path);
        goto out;
    }
    if (!S_ISDIR(status.stx_mode))
        path.allowed &= FS_OF_FILE;
    if (path.allowed != 0 && syscall(SYS_landlock_add_rule, ruleset, RULE_PATH, &path, 0) != 0)
        rc = err_os(err, errno, "cannot allow '%s' in the sandbox", rule->path);
out:
    (void)close(fd); /* the rule holds what it needs */
    return rc;
}

int sandbox_enter(const struct sandbox *sandbox, int *abi, struct err *err)
{
    int rc = 0;
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_VERSION);

    if (version < 1) {
        /* ENOSYS: not built in; EOPNOTSUPP: not switched on; EPERM: a container's filter. */
        *abi = 0;
        return 0;
    }
    struct ruleset set = handled((int)version);
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &set, sizeof set, 0);
    if (ruleset < 0)
        return err_os(err, errno, "cannot make a Landlock ruleset");
    for (size_t i = 0; rc == 0 && i < sandbox->rule_count; i++)
        rc = add_path(ruleset, &sandbox->rules[i], set.fs, err);
    for (size_t i = 0; rc == 0 && set.net != 0 && i < sandbox->port_count; i++) {
        struct rule_port port = {.allowed = NET_CONNECT_TCP, .port = sandbox->ports[i]};
        if (syscall(SYS_landlock_add_rule, ruleset, RULE_PORT, &port, 0) != 0)
            rc = err_os(err, errno, "cannot allow port %u in the sandbox", sandbox->ports[i]);
    }
    if (rc == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
        rc = err_os(err, errno, "cannot enter the sandbox");
    (void)close(ruleset); /* the process holds its own reference now */
    if (rc == 0)
        *abi = (int)version;
    return rc;
}
