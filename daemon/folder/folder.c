/* folder.c: the folder as others see it: opening and stopping, what the watch hands in, and its
 * status. Lock order: the watch's own lock, then folder->lock; nothing here calls the watch while
 * it holds folder->lock. */
#include "folder.h"

#include <errno.h>

#include "clock.h"
#include "condwait.h"
#include "folder_private.h"
#include "osfile.h"

const char *folder_state_name(enum folder_state state)
{
    static const char *const names[] = {"starting",  "indexing", "scanning", "watching",
                                        "root-lost", "failed",   "stopped"};
    return (size_t)state < ARRAY_LEN(names) ? names[state] : "unknown";
}

/* --- what the watch hands in; called with its lock held --- */

void folder_lost_locked(struct folder *folder, uint32_t reason)
{
    folder->lost_reason |= reason;
    pthread_cond_signal(&folder->wake_thread);
}

static void sink_hint(void *ctx, struct file_id dir, struct bytes name, uint8_t hints,
                      const struct actor *actor)
{
    struct folder *folder = ctx;
    int64_t now = clock_mono_ns();
    pthread_mutex_lock(&folder->lock);
    if (!settle_mark_name(folder->settle, dir, name, hints, actor, now)) {
        folder_lost_locked(folder, CHANGE_INTERNAL);
    }
    folder->touched = true;
    pthread_mutex_unlock(&folder->lock);
}

static void sink_inode(void *ctx, uint64_t number, uint8_t hints, const struct actor *actor)
{
    struct folder *folder = ctx;
    int64_t now = clock_mono_ns();
    pthread_mutex_lock(&folder->lock);
    if (!inodes_add(&folder->inodes, number, hints, actor, now)) {
        folder_lost_locked(folder, CHANGE_INTERNAL);
    }
    pthread_cond_signal(&folder->wake_thread);
    pthread_mutex_unlock(&folder->lock);
}

static void sink_unwatched(void *ctx, struct file_id dir, int32_t number)
{
    struct folder *folder = ctx;
    pthread_mutex_lock(&folder->lock);
    /* Beyond the limit they are directories that were deleted: their entries go anyway. */
    if (folder->dropped_count == 0) {
        folder->dropped_first_ns = clock_mono_ns();
    }
    if (folder->dropped_count < FOLDER_DROPPED_MAX) {
        folder->dropped[folder->dropped_count++] = (struct folder_dropped){dir, number};
    }
    pthread_mutex_unlock(&folder->lock);
}

static void sink_lost(void *ctx, enum watch_loss loss)
{
    struct folder *folder = ctx;
    pthread_mutex_lock(&folder->lock);
    if (loss != WATCH_ROOT_GONE) {
        folder->watches_forgotten |= loss == WATCH_FORGOTTEN;
        folder_lost_locked(folder, CHANGE_OVERFLOW);
    } else {
        /* Should it be there all the same (unmounted and mounted again), its watches are gone. */
        folder_lost_locked(folder, CHANGE_ROOT_LOST);
        folder->root_asked++;
        pthread_cond_signal(&folder->wake_thread);
    }
    pthread_mutex_unlock(&folder->lock);
}

static void sink_barrier(void *ctx, uint64_t token)
{
    struct folder *folder = ctx;
    int64_t now = clock_mono_ns();
    pthread_mutex_lock(&folder->lock);
    for (size_t i = 0; i < FOLDER_TICKETS_MAX; i++) {
        struct folder_ticket *ticket = &folder->tickets[i];
        if (ticket->state == TICKET_SENT && ticket->number == token) {
            ticket->state = TICKET_ARRIVED;
            ticket->arrived_ns = now + 1; /* what was marked in this very moment is before it */
            pthread_cond_signal(&folder->wake_thread);
        }
    }
    pthread_mutex_unlock(&folder->lock);
}

static void sink_batch(void *ctx)
{
    struct folder *folder = ctx;
    pthread_mutex_lock(&folder->lock);
    if (folder->waiting_until_ns &&
        (folder->dropped_count ||
         (folder->touched && settle_next_due(folder->settle) < folder->waiting_until_ns))) {
        pthread_cond_signal(&folder->wake_thread);
    }
    folder->touched = false;
    pthread_mutex_unlock(&folder->lock);
}

_Static_assert((int)WATCH_AUTO == CONFIG_BACKEND_AUTO && (int)WATCH_POLL == CONFIG_BACKEND_POLL &&
                   (int)WATCH_INOTIFY == CONFIG_BACKEND_INOTIFY,
               "enum watch_kind follows enum config_backend");

static void *watch_thread(void *ctx)
{
    struct folder *folder = ctx;
    struct err err = {0};
    if (watch_run(folder->watch, &err) != 0) {
        log_error("folder '%s': watching ended: %s; changes are found at the next start only",
                  folder->config->name, err.text);
        pthread_mutex_lock(&folder->lock);
        (void)snprintf(folder->status.trouble, sizeof folder->status.trouble,
                       "watching ended: %.400s; restart spoor", err.text);
        folder_lost_locked(folder, CHANGE_INTERNAL);
        pthread_mutex_unlock(&folder->lock);
    }
    return NULL;
}

/* --- opening, starting, stopping --- */

static char *join_path(const char *dir, const char *name)
{
    size_t size = strlen(dir) + strlen(name) + 2;
    char *path = malloc(size);
    if (path) {
        (void)snprintf(path, size, "%s/%s", dir, name);
    }
    return path;
}

static int init_sync(struct folder *folder)
{
    int rc = pthread_mutex_init(&folder->lock, NULL) ? ERR_NOMEM : 0;
    rc = rc ? rc : condwait_init(&folder->wake_thread);
    return rc ? rc : condwait_init(&folder->wake_askers);
}

static int open_parts(struct folder *folder, const char *state_dir, struct err *err)
{
    struct settle_times times = {.settle_ns = folder->config->settle_ns,
                                 .max_delay_ns = folder->config->max_delay_ns,
                                 .partial_max_ns = folder->config->partial_max_ns};
    folder->dir = join_path(state_dir, folder->config->name);
    folder->barrier_dir = folder->dir ? join_path(folder->dir, "barrier") : NULL;
    folder->dropped = calloc(FOLDER_DROPPED_MAX, sizeof *folder->dropped);
    if (!folder->barrier_dir || !folder->dropped || settle_new(&times, &folder->settle) != 0 ||
        script_new(&folder->script) != 0) {
        return err_set(err, ERR_NOMEM, 0, "folder '%s': out of memory", folder->config->name);
    }
    int rc = osfile_make_private_dir(folder->dir, err);
    rc = rc ? rc : osfile_make_private_dir(folder->barrier_dir, err);
    struct watch_setup setup = {.kind = (enum watch_kind)folder->config->backend,
                                .root = folder->config->path,
                                .barrier_dir = folder->barrier_dir,
                                .sink = {.ctx = folder,
                                         .hint = sink_hint,
                                         .unwatched = sink_unwatched,
                                         .lost = sink_lost,
                                         .barrier = sink_barrier,
                                         .batch = sink_batch,
                                         .inode = sink_inode}};
    return rc ? rc : watch_open(&setup, &folder->watch, err);
}

int folder_open(const struct config_folder *config, const char *state_dir,
                const struct folder_notify *notify, struct folder **out, struct err *err)
{
    struct folder *folder = calloc(1, sizeof *folder);
    if (!folder || init_sync(folder) != 0) {
        free(folder);
        return err_set(err, ERR_NOMEM, 0, "folder '%s': out of memory", config->name);
    }
    folder->config = config;
    folder->notify = *notify;
    folder->requests_tail = &folder->requests;
    folder->needs_open = true;
    folder->poll_ns = SETTLE_NEVER;
    buf_init(&folder->path, 1 << 20);
    (void)snprintf(folder->status.name, sizeof folder->status.name, "%s", config->name);
    int rc = open_parts(folder, state_dir, err);
    if (rc != 0) {
        folder_close(folder);
        return rc;
    }
    folder->status.backend = watch_backend(folder->watch);
    if (config->backend == CONFIG_BACKEND_FANOTIFY &&
        strcmp(folder->status.backend, "fanotify") != 0) {
        log_warn("folder '%s': watched by %s", config->name, folder->status.backend);
    }
    *out = folder;
    return 0;
}

int folder_start(struct folder *folder, struct err *err)
{
    int rc = pthread_create(&folder->watch_thread, NULL, watch_thread, folder);
    if (rc == 0) {
        folder->watch_started = true;
        rc = pthread_create(&folder->own_thread, NULL, folder_thread, folder);
        folder->own_started = rc == 0;
    }
    if (rc != 0) {
        return err_os(err, rc, "folder '%s': cannot start a thread", folder->config->name);
    }
    return 0;
}

void folder_stop(struct folder *folder)
{
    pthread_mutex_lock(&folder->lock);
    __atomic_store_n(&folder->stop, true, __ATOMIC_RELEASE);
    if (!folder->own_started) {
        folder->closed = true;
    }
    pthread_cond_broadcast(&folder->wake_thread);
    pthread_cond_broadcast(&folder->wake_askers);
    pthread_mutex_unlock(&folder->lock);
}

static void free_consumers(struct folder *folder)
{
    for (size_t i = 0; i < folder->consumer_count; i++) {
        free(folder->consumers[i]);
    }
    free(folder->consumers);
    folder->consumers = NULL;
    folder->consumer_count = 0;
}

/* Waits for askers to be woken, at most until then. */
void folder_wait_locked(struct folder *folder, int64_t until_ns)
{
    condwait_until(&folder->wake_askers, &folder->lock, until_ns);
}

bool folder_wait_end(struct folder *folder, int64_t deadline_mono_ns)
{
    pthread_mutex_lock(&folder->lock);
    while (folder->own_started && !folder->ended && clock_mono_ns() < deadline_mono_ns) {
        folder_wait_locked(folder, deadline_mono_ns);
    }
    bool ended = !folder->own_started || folder->ended;
    pthread_mutex_unlock(&folder->lock);
    return ended;
}

void folder_close(struct folder *folder)
{
    if (!folder) {
        return;
    }
    folder_stop(folder);
    if (folder->own_started) {
        (void)pthread_join(folder->own_thread, NULL);
    }
    if (folder->watch) {
        watch_stop(folder->watch);
        if (folder->watch_started) {
            (void)pthread_join(folder->watch_thread, NULL);
        }
        watch_close(folder->watch);
    }
    settle_free(folder->settle);
    inodes_clear(&folder->inodes);
    script_free(folder->script);
    buf_deinit(&folder->path);
    free_consumers(folder);
    free(folder->unwatch);
    free(folder->dropped);
    free(folder->dir);
    free(folder->barrier_dir);
    (void)pthread_cond_destroy(&folder->wake_thread);
    (void)pthread_cond_destroy(&folder->wake_askers);
    (void)pthread_mutex_destroy(&folder->lock);
    free(folder);
}

int folder_set_consumers(struct folder *folder, const char *const *names, size_t count,
                         struct err *err)
{
    pthread_mutex_lock(&folder->lock);
    free_consumers(folder);
    folder->consumers = calloc(count + 1, sizeof(char *));
    int rc = folder->consumers ? 0 : ERR_NOMEM;
    for (size_t i = 0; i < count && rc == 0; i++) {
        folder->consumers[i] = strdup(names[i]);
        rc = folder->consumers[i] ? 0 : ERR_NOMEM;
        folder->consumer_count += rc == 0;
    }
    pthread_mutex_unlock(&folder->lock);
    return rc ? err_set(err, rc, 0, "folder '%s': out of memory", folder->config->name) : 0;
}

const char *folder_name(const struct folder *folder)
{
    return folder->config->name;
}

const char *folder_dir(const struct folder *folder)
{
    return folder->dir;
}

/* --- status --- */

/* The thread is at work and has got no answer for long. */
int64_t folder_hung_ms_locked(const struct folder *folder)
{
    int64_t beat_ns = __atomic_load_n(&folder->beat_ns, __ATOMIC_RELAXED);
    if (beat_ns == 0 || folder->waiting_until_ns != 0 || folder->closed) {
        return 0;
    }
    int64_t ms = (clock_mono_ns() - beat_ns) / CLOCK_NS_PER_MS;
    return ms >= FOLDER_HUNG_MS ? ms : 0;
}

void folder_get_status(struct folder *folder, struct folder_status *out)
{
    pthread_mutex_lock(&folder->lock);
    *out = folder->status;
    out->dirty_names = (int64_t)settle_name_count(folder->settle);
    out->dirty_dirs = (int64_t)settle_dir_count(folder->settle);
    out->unknown_names = (int64_t)settle_unknown_count(folder->settle);
    out->hung_ms = folder_hung_ms_locked(folder);
    pthread_mutex_unlock(&folder->lock);
}

void folder_set_state(struct folder *folder, enum folder_state state, const char *error)
{
    pthread_mutex_lock(&folder->lock);
    folder->status.state = state;
    (void)snprintf(folder->status.error, sizeof folder->status.error, "%s", error);
    pthread_mutex_unlock(&folder->lock);
    folder->notify.changed(folder->notify.ctx);
}

bool folder_note_trouble(struct folder *folder, const char *text, int64_t *skipped)
{
    pthread_mutex_lock(&folder->lock);
    (void)snprintf(folder->status.trouble, sizeof folder->status.trouble, "%s", text);
    folder->had_trouble = true;
    bool speak = log_allowed(&folder->trouble_limit, 60 * CLOCK_NS_PER_S, skipped);
    pthread_mutex_unlock(&folder->lock);
    return speak;
}

void folder_trouble(void *ctx, struct bytes path, int os)
{
    struct folder *folder = ctx;
    char text[sizeof folder->status.trouble];
    (void)snprintf(text, sizeof text, "cannot look at '%.*s': %s", (int)path.len,
                   path.len ? path.at : "",
                   os == EXDEV ? "another file system is mounted there" : strerrordesc_np(os));
    int64_t skipped = 0;
    if (folder_note_trouble(folder, text, &skipped)) {
        log_warn("folder '%s': %s; nothing of it is journaled until it can be looked at again "
                 "(%lld more since the last such message)",
                 folder->config->name, text, (long long)skipped);
    }
}
