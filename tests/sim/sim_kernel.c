/* sim_kernel.c: inotify as the kernel does it: one queue, a watch a directory, records in order,
 * equal neighbours merged, a full queue that says so once.
 *
 * watch_inotify.c is the production code: the calls of libc that it makes are wrapped at link time
 * (--wrap). The descriptor is an eventfd, so that closing it and adding it to an epoll work; the
 * real read(2) and ioctl(2) serve all others. A directory's handle here is a number, and the path
 * by which it is watched, /proc/self/fd/<handle>, says which. */
#include <errno.h>
#include <stdarg.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>

#include "num.h"
#include "sim.h"
#include "sim_handle.h"

int __wrap_inotify_init1(int flags);
int __wrap_inotify_add_watch(int fd, const char *path, uint32_t mask);
int __wrap_inotify_rm_watch(int fd, int watch);
ssize_t __wrap_read(int fd, void *out, size_t size);
ssize_t __real_read(int fd, void *out, size_t size);
int __wrap_ioctl(int fd, unsigned long request, ...);
int __real_ioctl(int fd, unsigned long request, ...);

static void append(struct sim_kernel *kernel, int64_t max, const struct sim_record *record)
{
    const struct sim_record *last = kernel->count ? &kernel->queue[kernel->count - 1] : NULL;
    if (last && last->watch == record->watch && last->mask == record->mask &&
        last->cookie == record->cookie && strcmp(last->name, record->name) == 0) {
        return;
    }
    if (kernel->overflowed) {
        return;
    }
    if (kernel->count >= max || kernel->count >= SIM_QUEUE - 1) {
        kernel->queue[kernel->count++] = (struct sim_record){-1, IN_Q_OVERFLOW, 0, ""};
        kernel->overflowed = true;
        return;
    }
    kernel->queue[kernel->count++] = *record;
}

void sim_kernel_tell(struct sim *sim, int dir, uint32_t mask, uint32_t cookie, int name)
{
    const struct sim_node *node = &sim->disk.nodes[dir];
    bool self = name < 0;
    if (node->watch && (!self || dir == SIM_ROOT)) {
        struct sim_record record = {node->watch, mask, cookie, ""};
        if (!self) {
            struct bytes text = sim_name(name);
            memcpy(record.name, text.at, text.len);
        }
        append(&sim->kernel, sim->config.queue_max, &record);
    }
}

void sim_kernel_drop(struct sim *sim, int dir)
{
    struct sim_node *node = &sim->disk.nodes[dir];
    if (node->watch) {
        append(&sim->kernel, sim->config.queue_max,
               &(struct sim_record){node->watch, IN_IGNORED, 0, ""});
        node->watch = 0;
    }
}

void sim_kernel_overflow(struct sim *sim)
{
    append(&sim->kernel, 0, &(struct sim_record){-1, IN_Q_OVERFLOW, 0, ""});
}

void sim_kernel_reset(struct sim *sim)
{
    for (int i = 0; i < sim->disk.next; i++) {
        sim->disk.nodes[i].watch = 0;
    }
    sim->kernel = (struct sim_kernel){.fd = -1};
}

void sim_kernel_barrier(struct sim *sim)
{
    struct sim_record record = {sim->kernel.barrier_watch, IN_CREATE, 0, ""};
    (void)snprintf(record.name, sizeof record.name, "%016llx",
                   (unsigned long long)sim->kernel.barrier_number++);
    append(&sim->kernel, sim->config.queue_max, &record);
}

int __wrap_inotify_init1(int flags)
{
    (void)flags;
    sim_world->kernel.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return sim_world->kernel.fd;
}

static int count_watches(const struct sim_disk *disk)
{
    int count = 0;
    for (int i = 0; i < disk->next; i++) {
        count += disk->nodes[i].watch != 0;
    }
    return count;
}

int __wrap_inotify_add_watch(int fd, const char *path, uint32_t mask)
{
    static const char prefix[] = "/proc/self/fd/";
    struct sim *sim = sim_world;
    struct sim_kernel *kernel = &sim->kernel;
    int64_t handle = 0;
    (void)fd;
    (void)mask;
    if (strncmp(path, prefix, sizeof prefix - 1) != 0 ||
        num_parse_i64(path + sizeof prefix - 1, 0, INT32_MAX, &handle) != 0) {
        errno = ENOENT;
        return -1;
    }
    if (handle < SIM_HANDLE) { /* a real directory: that of the barriers */
        kernel->barrier_watch = ++kernel->next_watch;
        return kernel->barrier_watch;
    }
    struct sim_node *node = &sim->disk.nodes[handle - SIM_HANDLE];
    if (node->links == 0) {
        errno = ENOENT;
    } else if (!(node->mode & 0400)) {
        errno = EACCES;
    } else if (!node->watch && count_watches(&sim->disk) >= sim->config.watch_max) {
        errno = ENOSPC;
    } else {
        if (!node->watch) {
            node->watch = ++kernel->next_watch;
        }
        return node->watch;
    }
    return -1;
}

int __wrap_inotify_rm_watch(int fd, int watch)
{
    struct sim *sim = sim_world;
    (void)fd;
    for (int i = 0; i < sim->disk.next; i++) {
        if (sim->disk.nodes[i].watch == watch) {
            sim_kernel_drop(sim, i);
            return 0;
        }
    }
    errno = EINVAL;
    return -1;
}

static bool may_move(const struct sim_kernel *kernel, const struct sim_record *record)
{
    return record->watch >= 0 && record->watch != kernel->barrier_watch &&
           !(record->mask & (IN_IGNORED | IN_MOVE_SELF));
}

/* fanotify merges what is queued of one name into one record, wherever that stands. */
static int merge_run(struct sim *sim, int first, int last)
{
    struct sim_record *queue = sim->kernel.queue;
    int kept = first;
    for (int i = first; i < last; i++) {
        int same = first;
        while (same < kept && !(queue[same].watch == queue[i].watch &&
                                strcmp(queue[same].name, queue[i].name) == 0)) {
            same++;
        }
        if (same < kept) {
            queue[same].mask |= queue[i].mask;
            queue[same].cookie = queue[i].cookie;
        } else {
            queue[kept++] = queue[i];
        }
    }
    for (int i = first; i + 1 < kept; i++) {
        int other = i + (int)(sim_random(&sim->random) % (uint64_t)(kept - i));
        struct sim_record swap = queue[i];
        queue[i] = queue[other];
        queue[other] = swap;
    }
    return kept;
}

static void merge(struct sim *sim)
{
    struct sim_kernel *kernel = &sim->kernel;
    for (int first = 0; first < kernel->count; first++) {
        int last = first;
        while (last < kernel->count && may_move(kernel, &kernel->queue[last])) {
            last++;
        }
        if (last == first) {
            continue;
        }
        int kept = merge_run(sim, first, last);
        memmove(&kernel->queue[kept], &kernel->queue[last],
                (size_t)(kernel->count - last) * sizeof kernel->queue[0]);
        kernel->count -= last - kept;
        first = kept;
    }
}

static size_t record_size(const struct sim_record *record)
{
    size_t name = strlen(record->name);
    return sizeof(struct inotify_event) + (name ? (name / 16 + 1) * 16 : 0);
}

static ssize_t read_records(struct sim *sim, char *out, size_t size)
{
    struct sim_kernel *kernel = &sim->kernel;
    size_t used = 0;
    int taken = 0;
    if (sim->config.merge) {
        merge(sim);
    }
    while (taken < kernel->count && used + record_size(&kernel->queue[taken]) <= size) {
        const struct sim_record *record = &kernel->queue[taken++];
        size_t bytes = record_size(record);
        struct inotify_event event = {.wd = record->watch,
                                      .mask = record->mask,
                                      .cookie = record->cookie,
                                      .len = (uint32_t)(bytes - sizeof event)};
        memset(out + used, 0, bytes);
        memcpy(out + used, &event, sizeof event);
        if (event.len) {
            memcpy(out + used + sizeof event, record->name, strlen(record->name));
        }
        used += bytes;
        if (record->mask & IN_Q_OVERFLOW) {
            kernel->overflowed = false;
            sim->losses += !sim->crashed;
            if (sim->replica.gap_open) {
                sim->losses_told = sim->losses; /* the open gap speaks for this one, too */
            }
        }
    }
    kernel->count -= taken;
    memmove(kernel->queue, kernel->queue + taken, (size_t)kernel->count * sizeof kernel->queue[0]);
    if (used == 0) {
        errno = EAGAIN;
        return -1;
    }
    return (ssize_t)used;
}

ssize_t __wrap_read(int fd, void *out, size_t size)
{
    if (!sim_world || fd < 0 || fd != sim_world->kernel.fd) {
        return __real_read(fd, out, size);
    }
    sim_seam();
    return read_records(sim_world, out, size);
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
    va_list args;
    va_start(args, request);
    void *argument = va_arg(args, void *);
    va_end(args);
    if (!sim_world || fd < 0 || fd != sim_world->kernel.fd || request != FIONREAD) {
        return __real_ioctl(fd, request, argument);
    }
    size_t bytes = 0;
    for (int i = 0; i < sim_world->kernel.count; i++) {
        bytes += record_size(&sim_world->kernel.queue[i]);
    }
    *(int *)argument = (int)bytes;
    return 0;
}
