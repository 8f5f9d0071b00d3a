/* cli_progress.c: see cli_progress.h. The main thread waits for the daemon's one answer, so another
 * looks at the status twice a second and draws; a wait that is over before the first look shows
 * nothing. Its numbers are those of `spoor status`. */
#include "cli_progress.h"

#include <pthread.h>

#include "buf.h"
#include "cli.h"
#include "cli_render.h"
#include "clock.h"
#include "status_view.h"

#define PROGRESS_EVERY_NS (CLOCK_NS_PER_S / 2)
#define PROGRESS_LINE_MAX 512
#define CLEAR_LINE        "\r\033[K"

struct progress {
    const struct config *config;
    const struct config_folder *only;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake; /* monotonic clock */
    bool stop;           /* guarded by lock */
    bool drawn;          /* the thread's; after its end the main thread's */
};

/* Rows acknowledged and to be acknowledged, of all uploads; of one that gets a snapshot entries. */
static void count(const struct status_view *view, int64_t *done, int64_t *all)
{
    *done = 0;
    *all = 0;
    for (size_t f = 0; f < view->folder_count; f++) {
        const struct status_folder *folder = &view->folders[f];
        for (size_t u = 0; u < folder->upload_count; u++) {
            const struct status_upload *upload = &folder->uploads[u];
            if (!upload->configured)
                continue;
            bool snapshot = upload->registered && upload->consumer.snapshot_entries >= 0;
            *done += snapshot ? upload->consumer.snapshot_sent : upload->acked;
            *all += snapshot ? upload->consumer.snapshot_entries : folder->info.last_seq;
        }
    }
}

static void put(const char *text)
{
    (void)!write(STDERR_FILENO, text, strlen(text)); /* a terminal that is gone misses nothing */
}

static void draw(struct progress *progress)
{
    struct status_view *view = NULL;
    struct buf line;
    int64_t done, all;
    if (status_view_load(progress->config, progress->only, clock_mono_ns() + PROGRESS_EVERY_NS,
                         &view, NULL) != 0)
        return; /* no memory: the next look may find some */
    count(view, &done, &all);
    status_view_free(view);
    if (all == 0 || (done >= all && !progress->drawn))
        return;
    buf_init(&line, PROGRESS_LINE_MAX);
    buf_add_str(&line, CLEAR_LINE);
    render_progress(&line, done, all);
    if (buf_ok(&line))
        put(line.data);
    buf_deinit(&line);
    progress->drawn = true;
}

static bool wait_for_stop(struct progress *progress, int64_t until_ns)
{
    struct timespec until = {.tv_sec = (time_t)(until_ns / CLOCK_NS_PER_S),
                             .tv_nsec = (long)(until_ns % CLOCK_NS_PER_S)};
    pthread_mutex_lock(&progress->lock);
    while (!progress->stop && clock_mono_ns() < until_ns)
        (void)pthread_cond_timedwait(&progress->wake, &progress->lock, &until); /* or its time */
    bool stop = progress->stop;
    pthread_mutex_unlock(&progress->lock);
    return stop;
}

static void *run(void *ctx)
{
    struct progress *progress = ctx;
    while (!wait_for_stop(progress, clock_mono_ns() + PROGRESS_EVERY_NS))
        draw(progress);
    return NULL;
}

static bool is_terminal(void)
{
    const char *term = getenv("TERM");
    return isatty(STDERR_FILENO) && term && *term && strcmp(term, "dumb") != 0;
}

static bool begin(struct progress *progress)
{
    pthread_condattr_t monotonic;
    if (pthread_mutex_init(&progress->lock, NULL) != 0)
        return false;
    if (pthread_condattr_init(&monotonic) != 0)
        return false;
    bool good = pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) == 0 &&
                pthread_cond_init(&progress->wake, &monotonic) == 0;
    (void)pthread_condattr_destroy(&monotonic); /* never fails on one that was initialised */
    return good && pthread_create(&progress->thread, NULL, run, progress) == 0;
}

struct progress *progress_start(const struct config *config, const struct config_folder *only)
{
    if (!is_terminal())
        return NULL;
    struct progress *progress = calloc(1, sizeof *progress);
    if (!progress)
        return NULL;
    *progress = (struct progress){.config = config, .only = only};
    if (!begin(progress)) {
        free(progress);
        return NULL;
    }
    return progress;
}

void progress_stop(struct progress *progress)
{
    if (!progress)
        return;
    pthread_mutex_lock(&progress->lock);
    progress->stop = true;
    pthread_cond_signal(&progress->wake);
    pthread_mutex_unlock(&progress->lock);
    (void)pthread_join(progress->thread, NULL); /* it ends after the look it is at */
    if (progress->drawn)
        put(CLEAR_LINE);
    (void)pthread_cond_destroy(&progress->wake);
    (void)pthread_mutex_destroy(&progress->lock);
    free(progress);
}
