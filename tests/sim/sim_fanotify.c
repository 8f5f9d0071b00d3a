/* sim_fanotify.c: fanotify as the kernel does it for a mark on a file system and a group that
 * reports directory, name and inode (FAN_REPORT_DFID_NAME_TARGET): everything on the simulated disk
 * is told, outside the folder too, and a record is merged into an older one of the same object
 * wherever that stands in the queue, so that order is lost.
 *
 * watch_fanotify.c is the production code; the calls of libc that it makes are wrapped at link
 * time. An inode's file handle is its generation with its number, as tmpfs's. */
#include <errno.h>
#include <fcntl.h>
#include <sys/fanotify.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include "sim_handle.h"
#include "sim_kernel.h"

enum {
    FSID = 0x51,
    HANDLE_BYTES = 12,
    HANDLE_TYPE = 1,
    HEAD_BYTES = 24,
    PIDS = 2,                  /* users of the simulated system */
    PID_FIRST = 5000000,       /* no kernel gives such numbers, so /proc knows nothing of them */
    NODE_BARRIERS = SIM_NODES, /* stands for the directory of the barriers */
};

int __wrap_fanotify_init(unsigned flags, unsigned event_flags);
int __wrap_fanotify_mark(int fd, unsigned flags, uint64_t mask, int dirfd, const char *path);
int __wrap_name_to_handle_at(int dirfd, const char *path, struct file_handle *handle, int *mount_id,
                             int flags);
int __wrap_fstat(int fd, struct stat *out);
int __real_fstat(int fd, struct stat *out);
int __wrap_fstatfs(int fd, struct statfs *out);
int __real_fstatfs(int fd, struct statfs *out);

/* ---- the queue ---- */

static bool same_place(const struct sim_place *x, const struct sim_place *y)
{
    return x->dir == y->dir && x->name == y->name;
}

/* The kernel's own rule: same process, same object, and a rename with renames only. */
static bool merges(const struct sim_fan_record *x, const struct sim_fan_record *y)
{
    uint64_t alike = FAN_ONDIR | FAN_RENAME | FAN_Q_OVERFLOW;
    return (x->mask & alike) == (y->mask & alike) && x->pid == y->pid && x->target == y->target &&
           same_place(&x->place, &y->place) && same_place(&x->from, &y->from) &&
           same_place(&x->to, &y->to) && strcmp(x->name, y->name) == 0;
}

static void append(struct sim *sim, const struct sim_fan_record *record)
{
    struct sim_fanotify *kernel = &sim->kernel.fanotify;
    for (int i = 0; i < kernel->count; i++) {
        if (merges(&kernel->queue[i], record)) {
            kernel->queue[i].mask |= record->mask;
            return;
        }
    }
    if (kernel->overflowed) {
        return;
    }
    if (kernel->count >= sim->config.queue_max || kernel->count >= SIM_QUEUE - 1) {
        kernel->queue[kernel->count++] = (struct sim_fan_record){.mask = FAN_Q_OVERFLOW};
        kernel->overflowed = true;
        return;
    }
    kernel->queue[kernel->count++] = *record;
}

/* Directories tell of their own attributes as ".", inodes of their links without any name. */
void sim_fanotify_tell(struct sim *sim, const struct sim_event *event)
{
    static const uint64_t masks[] = {
        [TOLD_CREATE] = FAN_CREATE,     [TOLD_DELETE] = FAN_DELETE, [TOLD_MODIFY] = FAN_MODIFY,
        [TOLD_CLOSE] = FAN_CLOSE_WRITE, [TOLD_ATTRIB] = FAN_ATTRIB, [TOLD_RENAME] = FAN_RENAME,
        [TOLD_LINKS] = FAN_ATTRIB};
    struct sim_fan_record record = {.mask = masks[event->kind] | (event->dir ? FAN_ONDIR : 0),
                                    .pid = PID_FIRST + (int32_t)(sim->told++ / 8 % PIDS),
                                    .place = event->place,
                                    .target = event->place.node};
    if (event->kind == TOLD_RENAME) {
        record.place = (struct sim_place){0};
        record.from = event->place;
        record.to = event->to;
    } else if (event->kind == TOLD_LINKS) {
        record.place = (struct sim_place){0};
    } else if (event->kind == TOLD_ATTRIB && event->dir) {
        record.place = (struct sim_place){.dir = event->place.node, .name = -1};
        record.target = 0;
    }
    append(sim, &record);
}

void sim_fanotify_overflow(struct sim *sim)
{
    struct sim_fanotify *kernel = &sim->kernel.fanotify;
    if (!kernel->overflowed && kernel->count < SIM_QUEUE) {
        kernel->queue[kernel->count++] = (struct sim_fan_record){.mask = FAN_Q_OVERFLOW};
        kernel->overflowed = true;
    }
}

void sim_fanotify_reset(struct sim *sim)
{
    sim->kernel.fanotify = (struct sim_fanotify){0};
}

void sim_fanotify_barrier(struct sim *sim, const char *name)
{
    struct sim_fan_record record = {.mask = FAN_CREATE, .pid = 1, .place = {.dir = NODE_BARRIERS}};
    (void)snprintf(record.name, sizeof record.name, "%s", name);
    append(sim, &record);
}

size_t sim_fanotify_queued(const struct sim *sim)
{
    return (size_t)sim->kernel.fanotify.count * HEAD_BYTES;
}

/* ---- records as bytes ---- */

static void put_handle(int node, char out[HANDLE_BYTES])
{
    uint64_t inode = node < SIM_NODES ? sim_world->disk.nodes[node].inode : 0;
    uint32_t generation = (uint32_t)node;
    memcpy(out, &generation, sizeof generation);
    memcpy(out + sizeof generation, &inode, sizeof inode);
}

/* One information record: file system, handle and, unless NULL, a name. */
static size_t put_info(uint8_t type, int node, const char *name, size_t name_len, char *out)
{
    const uint32_t fsid[2] = {FSID, 0}, bytes = HANDLE_BYTES;
    const int32_t handle_type = HANDLE_TYPE;
    size_t len = 4;
    memcpy(out + len, fsid, sizeof fsid);
    len += sizeof fsid;
    memcpy(out + len, &bytes, sizeof bytes);
    memcpy(out + len + 4, &handle_type, sizeof handle_type);
    len += 8;
    put_handle(node, out + len);
    len += HANDLE_BYTES;
    if (name) {
        memcpy(out + len, name, name_len);
        len += name_len;
        out[len++] = '\0';
    }
    while (len % 4) {
        out[len++] = '\0';
    }
    uint16_t total = (uint16_t)len;
    out[0] = (char)type;
    out[1] = 0;
    memcpy(out + 2, &total, sizeof total);
    return len;
}

static size_t put_place(uint8_t type, const struct sim_fan_record *record,
                        const struct sim_place *place, char *out)
{
    struct bytes name = record->name[0]   ? bytes_str(record->name)
                        : place->name < 0 ? bytes_str(".")
                                          : sim_name(&sim_world->disk, place->name);
    return place->dir ? put_info(type, place->dir, name.at, name.len, out) : 0;
}

static size_t encode(const struct sim_fan_record *record, char *out)
{
    struct fanotify_event_metadata head = {.vers = FANOTIFY_METADATA_VERSION,
                                           .metadata_len = sizeof head,
                                           .mask = record->mask,
                                           .fd = FAN_NOFD,
                                           .pid = record->pid};
    size_t len = sizeof head;
    len += put_place(FAN_EVENT_INFO_TYPE_OLD_DFID_NAME, record, &record->from, out + len);
    len += put_place(FAN_EVENT_INFO_TYPE_NEW_DFID_NAME, record, &record->to, out + len);
    len += put_place(FAN_EVENT_INFO_TYPE_DFID_NAME, record, &record->place, out + len);
    if (record->target) {
        len += put_info(FAN_EVENT_INFO_TYPE_FID, record->target, NULL, 0, out + len);
    }
    head.event_len = (uint32_t)len;
    memcpy(out, &head, sizeof head);
    return len;
}

ssize_t sim_fanotify_read(struct sim *sim, char *out, size_t size)
{
    struct sim_fanotify *kernel = &sim->kernel.fanotify;
    char bytes[512];
    size_t used = 0;
    int taken = 0;
    while (taken < kernel->count) {
        const struct sim_fan_record *record = &kernel->queue[taken];
        size_t len = encode(record, bytes);
        if (used + len > size) {
            break;
        }
        memcpy(out + used, bytes, len);
        used += len;
        taken++;
        if (record->mask & FAN_Q_OVERFLOW) {
            kernel->overflowed = false;
            sim_kernel_lost(sim);
        }
    }
    kernel->count -= taken;
    memmove(kernel->queue, kernel->queue + taken, (size_t)kernel->count * sizeof kernel->queue[0]);
    return (ssize_t)used;
}

/* ---- the calls ---- */

int __wrap_fanotify_init(unsigned flags, unsigned event_flags)
{
    (void)flags;
    (void)event_flags;
    return sim_kernel_open(&sim_world->kernel.fanotify_fd);
}

int __wrap_fanotify_mark(int fd, unsigned flags, uint64_t mask, int dirfd, const char *path)
{
    (void)fd;
    (void)flags;
    (void)mask;
    (void)dirfd;
    (void)path;
    return 0;
}

/* A real directory has no number in this world, as its handle says. */
int __wrap_fstat(int fd, struct stat *out)
{
    int rc = __real_fstat(fd, out);
    if (rc == 0 && S_ISDIR(out->st_mode)) {
        out->st_ino = 0;
    }
    return rc;
}

int __wrap_fstatfs(int fd, struct statfs *out)
{
    int rc = fd >= SIM_HANDLE ? 0 : __real_fstatfs(fd, out);
    const uint32_t fsid[2] = {FSID, 0};
    memcpy(&out->f_fsid, fsid, sizeof fsid);
    return rc;
}

/* Of a real directory, which can only be that of the barriers, or the folder's path at the start,
 * whose handle nobody keeps. */
int __wrap_name_to_handle_at(int dirfd, const char *path, struct file_handle *handle, int *mount_id,
                             int flags)
{
    (void)path;
    (void)flags;
    sim_seam();
    handle->handle_bytes = HANDLE_BYTES;
    handle->handle_type = HANDLE_TYPE;
    put_handle(dirfd >= SIM_HANDLE ? dirfd - SIM_HANDLE : NODE_BARRIERS, (char *)handle->f_handle);
    *mount_id = 1;
    return 0;
}
