/* watch_windows.c: the watch by ReadDirectoryChanges: one recursive read on the root, overlapped,
 * completed through a port.
 *
 * Reads are started and dequeued by one thread at a time, the pump: the watch thread while it runs,
 * before that and after it whoever calls, under the lock. Others post to the port and wait until
 * the pump has served them. Completed, a read's buffer is swapped for the other one and the next
 * read started before the first is parsed, so that the kernel's own buffer, which fills meanwhile,
 * is emptied soonest; what does not fit there is lost as a whole, and we are told by a read of no
 * bytes or by ERROR_NOTIFY_ENUM_DIR. Before a read is started again changes gather for a moment, as
 * on Linux. Idle, the thread sleeps in the port without a timeout. Each folder has a port as it has
 * a thread: so no folder's trouble is another's, and no state is shared.
 *
 * A blocking read would never end while nothing changes, and closing its handle from another thread
 * would wait for it. Here the stop is a packet in the port: the pump cancels the read, waits for
 * its completion (aborted, or good after all) and returns; then nothing of ours is the kernel's.
 *
 * The root's handle shares everything and the root alone has one: nobody is kept from renaming or
 * deleting it. That it was renamed raises nothing (the handle goes with it), so its path is asked
 * for at each drain. */
#include "watch_private.h"

#include <pthread.h>

#include "clock.h"
#include "err.h"
#include "native_windows.h"
#include "read_windows.h"
#include "watch_barrier.h"
#include "windows_records.h"

#define DRAIN_READS_MAX 3 /* what was read, and what the kernel kept meanwhile, at most in two */

enum packet { PACKET_READ = 1, PACKET_CALL = 2 };

/* What the pump does for a thread that waits for it. */
enum call { CALL_NONE, CALL_DRAIN, CALL_OPEN };

struct watch_windows {
    struct watch watch;
    struct watch_sink sink;
    wchar_t *root; /* in the \\?\ form */
    HANDLE port;
    HANDLE stop;   /* event: ends the gathering */
    bool stopping; /* atomic */

    pthread_mutex_t lock; /* guards all below, and the way from a read to the sink */
    pthread_cond_t served;
    bool running; /* the watch thread is the pump */
    bool calling; /* somebody waits for the pump, or will in a moment */
    enum call call;
    struct file_id call_file;
    int call_code;
    struct err call_err;
    struct read_windows read;
    struct windows_records records;
    struct watch_barriers barriers;
};

struct completion {
    enum packet packet;
    DWORD os; /* 0, or why the read failed */
    DWORD bytes;
};

static struct watch_windows *own(struct watch *watch)
{
    return (struct watch_windows *)watch;
}

static bool is_stopping(const struct watch_windows *watch)
{
    return __atomic_load_n(&watch->stopping, __ATOMIC_ACQUIRE);
}

/* False: nothing came within that time. */
static bool dequeue(const struct watch_windows *watch, DWORD wait_ms, struct completion *out)
{
    OVERLAPPED *over = NULL;
    ULONG_PTR key = 0;
    DWORD bytes = 0;
    BOOL good = GetQueuedCompletionStatus(watch->port, &bytes, &key, &over, wait_ms);
    *out = (struct completion){(enum packet)key, good ? 0 : GetLastError(), bytes};
    return good || over;
}

/* --- the root --- */

/* Waits for the completion: before that the kernel may write into the buffer. */
static void cancel_locked(struct watch_windows *watch)
{
    struct completion completion;
    if (watch->read.in_flight)
        read_cancel(&watch->read);
    while (watch->read.in_flight) {
        bool got = dequeue(watch, INFINITE, &completion);
        if (!got)
            read_wait(&watch->read); /* the port fails, which it does not in life */
        if (!got || completion.packet == PACKET_READ)
            (void)read_completed(&watch->read); /* whatever it read is of no use any more */
    }
}

static void root_gone_locked(struct watch_windows *watch)
{
    cancel_locked(watch);
    read_close(&watch->read); /* a directory that was deleted goes with its last handle */
    windows_records_root_gone(&watch->records);
    watch_barriers_lose_locked(&watch->barriers, &watch->sink);
}

static int open_locked(struct watch_windows *watch, struct file_id file, struct err *err)
{
    struct read_windows *read = &watch->read;
    if (read->in_flight && file_id_equal(read->file, file) && read_is_at(read, watch->root))
        return 0;
    cancel_locked(watch);
    read_close(read);
    watch_set_backend(&watch->watch, "windows");
    int code = read_open(read, watch->root, file, watch->port, PACKET_READ, err);
    if (!code)
        code = read_start(read, err);
    if (!code)
        return 0;
    read_close(read);
    if (code != ERR_UNSUPPORTED)
        return code;
    watch_set_backend(&watch->watch, "poll (the file system tells of no changes)");
    return 0;
}

/* --- the pump --- */

static void take_locked(struct watch_windows *watch, const struct completion *completion)
{
    struct read_windows *read = &watch->read;
    struct err err;
    enum windows_layout layout = read->layout;
    const char *filled = read_completed(read);
    bool lost = completion->os == ERROR_NOTIFY_ENUM_DIR;
    /* Aborted by nobody here: the thread that started it has ended. The kernel keeps what happens.
     */
    bool aborted = completion->os == ERROR_OPERATION_ABORTED;
    int code = ERR_IO;
    if (completion->os == 0 || lost || aborted)
        code = is_stopping(watch) ? 0 : read_start(read, &err);
    if (!aborted && (completion->os == 0 || lost) &&
        !windows_records_take(&watch->records, layout, filled, lost ? 0 : completion->bytes))
        watch_barriers_lose_locked(&watch->barriers, &watch->sink);
    /* Deleted (ERROR_ACCESS_DENIED), unplugged, or else: whoever is told adds it again if it is
     * there, and is told then why that fails. */
    if (code)
        root_gone_locked(watch);
}

static void drain_locked(struct watch_windows *watch)
{
    struct completion completion;
    for (int reads = 0; reads < DRAIN_READS_MAX && dequeue(watch, 0, &completion);)
        if (completion.packet == PACKET_READ) {
            take_locked(watch, &completion);
            reads++;
        }
    if (watch->read.in_flight && !read_is_at(&watch->read, watch->root))
        root_gone_locked(watch);
}

static int perform_locked(struct watch_windows *watch, enum call call, struct file_id file,
                          struct err *err)
{
    if (call == CALL_OPEN)
        return open_locked(watch, file, err);
    drain_locked(watch);
    return 0;
}

static void answer_locked(struct watch_windows *watch)
{
    if (watch->call == CALL_NONE)
        return;
    watch->call_code = perform_locked(watch, watch->call, watch->call_file, &watch->call_err);
    watch->call = CALL_NONE;
    pthread_cond_broadcast(&watch->served);
}

/* Has the pump do it, or is the pump. */
static int call_locked(struct watch_windows *watch, enum call call, struct file_id file,
                       struct err *err)
{
    while (watch->running && watch->calling)
        pthread_cond_wait(&watch->served, &watch->lock);
    if (!watch->running)
        return is_stopping(watch) ? 0 : perform_locked(watch, call, file, err);
    watch->calling = true;
    watch->call = call;
    watch->call_file = file;
    watch->call_code = 0;
    /* Should there be no memory for it, the call is seen with the next change. */
    (void)PostQueuedCompletionStatus(watch->port, 0, PACKET_CALL, NULL);
    while (watch->running && watch->call != CALL_NONE)
        pthread_cond_wait(&watch->served, &watch->lock);
    watch->call = CALL_NONE;
    watch->calling = false;
    int code = watch->call_code;
    if (code && err)
        *err = watch->call_err;
    pthread_cond_broadcast(&watch->served);
    return code;
}

/* Lets changes gather, unless the buffer fills. */
static void linger(const struct watch_windows *watch, const struct completion *completion)
{
    if (completion->packet == PACKET_READ && completion->bytes < READ_BYTES_REMOTE / 4)
        (void)WaitForSingleObject(watch->stop, WATCH_LINGER_MS); /* either way we go on */
}

static int windows_run(struct watch *base, struct err *err)
{
    struct watch_windows *watch = own(base);
    struct completion completion;
    int code = 0;
    pthread_mutex_lock(&watch->lock);
    watch->running = true;
    while (!is_stopping(watch) && !code) {
        pthread_mutex_unlock(&watch->lock);
        bool got = dequeue(watch, INFINITE, &completion);
        if (got && !is_stopping(watch))
            linger(watch, &completion);
        pthread_mutex_lock(&watch->lock);
        if (!got)
            code = err_native(err, completion.os, "cannot wait for changes");
        else if (completion.packet == PACKET_READ)
            take_locked(watch, &completion);
        answer_locked(watch);
    }
    cancel_locked(watch);
    watch->running = false;
    pthread_cond_broadcast(&watch->served);
    pthread_mutex_unlock(&watch->lock);
    return code;
}

static void windows_stop(struct watch *base)
{
    struct watch_windows *watch = own(base);
    __atomic_store_n(&watch->stopping, true, __ATOMIC_RELEASE);
    (void)SetEvent(watch->stop); /* fails for a bad handle only */
    /* Without memory for a packet the pump is woken by the end of its read. */
    if (!PostQueuedCompletionStatus(watch->port, 0, PACKET_CALL, NULL))
        read_cancel(&watch->read);
}

static void windows_close(struct watch *base)
{
    struct watch_windows *watch = own(base);
    if (watch->port)
        cancel_locked(watch);
    read_close(&watch->read);
    watch_barriers_close(&watch->barriers);
    windows_records_deinit(&watch->records);
    if (watch->port)
        (void)CloseHandle(watch->port);
    if (watch->stop)
        (void)CloseHandle(watch->stop);
    pthread_cond_destroy(&watch->served);
    pthread_mutex_destroy(&watch->lock);
    free(watch->root);
    free(watch);
}

/* --- the other verbs --- */

static int windows_add(struct watch *base, const struct watch_dir *dir, int32_t *out,
                       struct err *err)
{
    struct watch_windows *watch = own(base);
    *out = -1;
    pthread_mutex_lock(&watch->lock);
    int code = dir->root ? call_locked(watch, CALL_OPEN, dir->file, err) : 0;
    if (!code && watch->read.in_flight)
        code = windows_records_add(&watch->records, dir, out, err);
    pthread_mutex_unlock(&watch->lock);
    return code;
}

static void windows_remove(struct watch *base, int32_t number)
{
    struct watch_windows *watch = own(base);
    pthread_mutex_lock(&watch->lock);
    windows_records_remove(&watch->records, number);
    pthread_mutex_unlock(&watch->lock);
}

static size_t windows_count(struct watch *base)
{
    struct watch_windows *watch = own(base);
    pthread_mutex_lock(&watch->lock);
    size_t count = windows_records_count(&watch->records);
    pthread_mutex_unlock(&watch->lock);
    return count;
}

static int windows_drain(struct watch *base, struct err *err)
{
    struct watch_windows *watch = own(base);
    pthread_mutex_lock(&watch->lock);
    int code = call_locked(watch, CALL_DRAIN, (struct file_id){0}, err);
    pthread_mutex_unlock(&watch->lock);
    return code;
}

static void on_barrier(void *ctx, struct bytes name)
{
    struct watch_windows *watch = ctx;
    uint64_t token;
    if (watch_barriers_take_locked(&watch->barriers, name, &token))
        watch->sink.barrier(watch->sink.ctx, token);
}

static int windows_barrier(struct watch *base, uint64_t token, struct err *err)
{
    struct watch_windows *watch = own(base);
    pthread_mutex_lock(&watch->lock);
    bool open = watch->read.in_flight;
    if (!open) /* the root is gone, as the sink knows: there is nothing to wait for */
        watch->sink.barrier(watch->sink.ctx, token);
    pthread_mutex_unlock(&watch->lock);
    return open ? watch_barriers_send(&watch->barriers, &watch->lock, token, err) : 0;
}

static const struct watch_ops windows_ops = {
    .run = windows_run,
    .stop = windows_stop,
    .close = windows_close,
    .add = windows_add,
    .remove = windows_remove,
    .count = windows_count,
    .drain = windows_drain,
    .barrier = windows_barrier,
};

int watch_windows_open(const struct watch_setup *setup, struct watch **out, struct err *err)
{
    struct watch_windows *watch = calloc(1, sizeof *watch);
    if (!watch)
        return err_set(err, ERR_NOMEM, 0, "no memory for a watch");
    watch->watch.ops = &windows_ops;
    watch->watch.backend = "windows";
    watch->sink = setup->sink;
    read_init(&watch->read);
    windows_records_init(&watch->records, &setup->sink, on_barrier, watch);
    pthread_mutex_init(&watch->lock, NULL);
    pthread_cond_init(&watch->served, NULL);
    int code = native_path(setup->root, &watch->root, err);
    if (!code)
        code = watch_barriers_open(&watch->barriers, setup->root, err);
    if (!code) {
        watch->port = CreateIoCompletionPort(INVALID_HANDLE_VALUE, NULL, 0, 1);
        watch->stop = CreateEventW(NULL, TRUE, FALSE, NULL);
        if (!watch->port || !watch->stop)
            code = err_native(err, GetLastError(), "cannot make a completion port");
    }
    if (code)
        windows_close(&watch->watch);
    else
        *out = &watch->watch;
    return code;
}
