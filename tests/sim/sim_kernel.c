/* sim_kernel.c: the simulated kernel's side of the watch: who is told of a change, and the calls of
 * libc by which the engine reads. Each way to be told has a file of its own; a script says which
 * one the engine gets. The descriptors are eventfds, so that closing them and adding them to an
 * epoll work; the real read(2) and ioctl(2) serve all others. */
#include "sim_kernel.h"

#include <errno.h>
#include <stdarg.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>

ssize_t __wrap_read(int fd, void *out, size_t size);
ssize_t __real_read(int fd, void *out, size_t size);
int __wrap_ioctl(int fd, unsigned long request, ...);
int __real_ioctl(int fd, unsigned long request, ...);

int sim_kernel_open(int *fd)
{
    *fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return *fd;
}

void sim_kernel_lost(struct sim *sim)
{
    sim->losses += !sim->crashed;
    if (sim->replica.gap_open) {
        sim->losses_told = sim->losses; /* the open gap speaks for this one, too */
    }
}

void sim_kernel_tell(struct sim *sim, const struct sim_event *event)
{
    switch (sim->config.kernel) {
    case SIM_INOTIFY:
        sim_inotify_tell(sim, event);
        break;
    case SIM_FANOTIFY:
        if (event->kind == TOLD_ROOT_MOVED) {
            sim_inotify_tell(sim, event);
        } else {
            sim_fanotify_tell(sim, event);
        }
        break;
    case SIM_WINDOWS:
    case SIM_WINDOWS_PATHS:
        sim_windows_tell(sim, event);
        break;
    default:
        break; /* nobody is told */
    }
}

void sim_kernel_drop(struct sim *sim, int dir)
{
    sim_inotify_drop(sim, dir);
}

void sim_kernel_overflow(struct sim *sim)
{
    if (sim->config.kernel == SIM_INOTIFY) {
        sim_inotify_overflow(sim);
    } else if (sim->config.kernel == SIM_FANOTIFY) {
        sim_fanotify_overflow(sim);
    } else if (sim_is_windows(&sim->config)) {
        sim_windows_overflow(sim);
    }
}

void sim_kernel_reset(struct sim *sim)
{
    sim_inotify_reset(sim);
    sim_fanotify_reset(sim);
    sim_windows_reset(sim);
    sim->kernel.inotify_fd = sim->kernel.fanotify_fd = -1;
    sim->kernel.barrier_number = 0;
}

void sim_kernel_barrier(struct sim *sim)
{
    char name[24];
    (void)snprintf(name, sizeof name, "%016llx", (unsigned long long)sim->kernel.barrier_number++);
    if (sim->config.kernel == SIM_INOTIFY) {
        sim_inotify_barrier(sim, name);
    } else if (sim->config.kernel == SIM_FANOTIFY) {
        sim_fanotify_barrier(sim, name);
    }
}

static bool is_ours(const struct sim *sim, int fd)
{
    return sim && fd >= 0 && (fd == sim->kernel.inotify_fd || fd == sim->kernel.fanotify_fd);
}

ssize_t __wrap_read(int fd, void *out, size_t size)
{
    struct sim *sim = sim_world;
    if (!is_ours(sim, fd)) {
        return __real_read(fd, out, size);
    }
    sim_seam();
    ssize_t used = fd == sim->kernel.inotify_fd ? sim_inotify_read(sim, out, size)
                                                : sim_fanotify_read(sim, out, size);
    if (used == 0) {
        errno = EAGAIN;
        return -1;
    }
    return used;
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
    va_list args;
    va_start(args, request);
    void *argument = va_arg(args, void *);
    va_end(args);
    if (!is_ours(sim_world, fd) || request != FIONREAD) {
        return __real_ioctl(fd, request, argument);
    }
    size_t bytes = fd == sim_world->kernel.inotify_fd ? sim_inotify_queued(sim_world)
                                                      : sim_fanotify_queued(sim_world);
    *(int *)argument = (int)bytes;
    return 0;
}
