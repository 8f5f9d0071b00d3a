/* sim_inotify.c: inotify as the kernel does it: one queue, a watch a directory, records in order,
 * equal neighbours merged, a full queue that says so once.
 *
 * watch_inotify.c is the production code: the calls of libc that it makes are wrapped at link time
 * (--wrap). A directory's handle here is a number, and the path by which it is watched,
 * /proc/self/fd/<handle>, says which. fanotify's back-end has the root's own fate told by an
 * inotify, too: then nothing else is told here. */
#include <errno.h>
#include <sys/inotify.h>

#include "num.h"
#include "sim.h"
#include "sim_handle.h"
#include "sim_kernel.h"

int __wrap_inotify_init1(int flags);
int __wrap_inotify_add_watch(int fd, const char *path, uint32_t mask);
int __wrap_inotify_rm_watch(int fd, int watch);

static void append(struct sim_inotify *kernel, int64_t max, const struct sim_record *record)
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

static void tell(struct sim *sim, int dir, uint32_t mask, uint32_t cookie, int name)
{
    const struct sim_node *node = &sim->disk.nodes[dir];
    if (node->watch) {
        struct sim_record record = {node->watch, mask, cookie, ""};
        if (name >= 0) {
            struct bytes text = sim_name(&sim->disk, name);
            memcpy(record.name, text.at, text.len);
        }
        append(&sim->kernel.inotify, sim->config.queue_max, &record);
    }
}

void sim_inotify_tell(struct sim *sim, const struct sim_event *event)
{
    static const uint32_t masks[] = {[TOLD_CREATE] = IN_CREATE,
                                     [TOLD_DELETE] = IN_DELETE,
                                     [TOLD_MODIFY] = IN_MODIFY,
                                     [TOLD_CLOSE] = IN_CLOSE_WRITE,
                                     [TOLD_ATTRIB] = IN_ATTRIB};
    uint32_t dir = event->dir ? IN_ISDIR : 0;
    switch (event->kind) {
    case TOLD_LINKS:
        break; /* no record */
    case TOLD_ROOT_MOVED:
        tell(sim, SIM_ROOT, IN_MOVE_SELF, 0, -1);
        break;
    case TOLD_RENAME: {
        uint32_t cookie = ++sim->kernel.inotify.next_cookie;
        tell(sim, event->place.dir, IN_MOVED_FROM | dir, cookie, event->place.name);
        tell(sim, event->to.dir, IN_MOVED_TO | dir, cookie, event->to.name);
        break;
    }
    default:
        tell(sim, event->place.dir, masks[event->kind] | dir, 0, event->place.name);
        break;
    }
}

void sim_inotify_drop(struct sim *sim, int dir)
{
    struct sim_node *node = &sim->disk.nodes[dir];
    if (node->watch) {
        append(&sim->kernel.inotify, sim->config.queue_max,
               &(struct sim_record){node->watch, IN_IGNORED, 0, ""});
        node->watch = 0;
    }
}

void sim_inotify_overflow(struct sim *sim)
{
    append(&sim->kernel.inotify, 0, &(struct sim_record){-1, IN_Q_OVERFLOW, 0, ""});
}

void sim_inotify_reset(struct sim *sim)
{
    for (int i = 0; i < sim->disk.next; i++) {
        sim->disk.nodes[i].watch = 0;
    }
    sim->kernel.inotify = (struct sim_inotify){0};
}

void sim_inotify_barrier(struct sim *sim, const char *name)
{
    struct sim_record record = {sim->kernel.inotify.barrier_watch, IN_CREATE, 0, ""};
    (void)snprintf(record.name, sizeof record.name, "%s", name);
    append(&sim->kernel.inotify, sim->config.queue_max, &record);
}

int __wrap_inotify_init1(int flags)
{
    (void)flags;
    return sim_kernel_open(&sim_world->kernel.inotify_fd);
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
    struct sim_inotify *kernel = &sim->kernel.inotify;
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
            sim_inotify_drop(sim, i);
            return 0;
        }
    }
    errno = EINVAL;
    return -1;
}

static size_t record_size(const struct sim_record *record)
{
    size_t name = strlen(record->name);
    return sizeof(struct inotify_event) + (name ? (name / 16 + 1) * 16 : 0);
}

size_t sim_inotify_queued(const struct sim *sim)
{
    size_t bytes = 0;
    for (int i = 0; i < sim->kernel.inotify.count; i++) {
        bytes += record_size(&sim->kernel.inotify.queue[i]);
    }
    return bytes;
}

static size_t encode(const struct sim_record *record, char *out)
{
    size_t bytes = record_size(record);
    struct inotify_event event = {.wd = record->watch,
                                  .mask = record->mask,
                                  .cookie = record->cookie,
                                  .len = (uint32_t)(bytes - sizeof event)};
    memset(out, 0, bytes);
    memcpy(out, &event, sizeof event);
    if (event.len) {
        memcpy(out + sizeof event, record->name, strlen(record->name));
    }
    return bytes;
}

ssize_t sim_inotify_read(struct sim *sim, char *out, size_t size)
{
    struct sim_inotify *kernel = &sim->kernel.inotify;
    size_t used = 0;
    int taken = 0;
    while (taken < kernel->count && used + record_size(&kernel->queue[taken]) <= size) {
        const struct sim_record *record = &kernel->queue[taken++];
        used += encode(record, out + used);
        if (record->mask & IN_Q_OVERFLOW) {
            kernel->overflowed = false;
            sim_kernel_lost(sim);
        }
    }
    kernel->count -= taken;
    memmove(kernel->queue, kernel->queue + taken, (size_t)kernel->count * sizeof kernel->queue[0]);
    return (ssize_t)used;
}
