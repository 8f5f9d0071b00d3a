/* barrier.c: the `spoor sync` calls that wait for their folders.
 *
 * A folder's part is done when its ticket is (all that happened before the call is journaled) and,
 * where wanted, when every upload that serves it has acknowledged the row that was last then.
 * As many calls as the control socket has clients. Main thread. */
#include "barrier.h"

#include "buf.h"
#include "config.h"
#include "control.h"
#include "engine.h"
#include "err.h"
#include "folder.h"
#include "json.h"

struct part {
    uint64_t ticket;
    int64_t seq;
    bool wanted;
    bool journaled; /* seq is known */
};

struct barrier {
    bool used;
    bool uploaded;
    uint64_t client;
    char folder[CONFIG_NAME_MAX + 1];      /* "" all */
    struct part parts[CONFIG_FOLDERS_MAX]; /* by the engine's folders */
};

struct barriers {
    struct barrier items[CONTROL_CLIENTS_MAX];
};

int barriers_new(struct barriers **out)
{
    *out = calloc(1, sizeof **out);
    return *out ? 0 : ERR_NOMEM;
}

void barriers_free(struct barriers *barriers)
{
    free(barriers);
}

static void refuse(struct barrier *barrier, struct control *control, const char *why)
{
    struct buf answer;

    buf_init(&answer, CONTROL_LINE_MAX);
    json_begin(&answer);
    json_bool(&answer, "ok", false);
    json_cstr(&answer, "error", why);
    json_end(&answer);
    control_answer(control, barrier->client, answer.data ? answer.data : "", answer.len);
    buf_deinit(&answer);
    barrier->used = false;
}

static void answer_done(struct barrier *barrier, struct engine *engine, struct control *control)
{
    struct buf answer;

    buf_init(&answer, CONTROL_LINE_MAX);
    json_begin(&answer);
    json_bool(&answer, "ok", true);
    json_array_begin(&answer, "seqs");
    for (size_t f = 0; f < engine_folder_count(engine); f++) {
        if (!barrier->parts[f].wanted)
            continue;
        json_begin(&answer);
        json_cstr(&answer, "folder", folder_name(engine_folder(engine, f)));
        json_i64(&answer, "seq", barrier->parts[f].seq);
        json_end(&answer);
    }
    json_array_end(&answer);
    json_end(&answer);
    control_answer(control, barrier->client, answer.data ? answer.data : "", answer.len);
    buf_deinit(&answer);
    barrier->used = false;
}

static bool is_served(const struct engine *engine, size_t folder)
{
    for (size_t u = 0; u < engine_upload_count(engine); u++)
        if (engine_serves(engine, u, folder))
            return true;
    return false;
}

/* Takes the tickets; refuses what can never be done. */
static void begin(struct barrier *barrier, struct engine *engine, struct control *control)
{
    struct err err = {0};
    size_t wanted = 0;
    size_t served = 0;

    for (size_t f = 0; f < engine_folder_count(engine); f++) {
        struct folder *folder = engine_folder(engine, f);
        struct part *part = &barrier->parts[f];
        *part = (struct part){0};
        if (barrier->folder[0] != '\0' && strcmp(barrier->folder, folder_name(folder)) != 0)
            continue;
        part->wanted = true;
        wanted++;
        served += is_served(engine, f);
        if (folder_sync_start(folder, &part->ticket, &err) != 0) {
            (void)err_prefix(&err, "folder '%s'", folder_name(folder)); /* the code is not needed */
            refuse(barrier, control, err.text);
            return;
        }
    }
    if (wanted == 0) {
        (void)err_set(&err, ERR_NOTFOUND, 0, "folder '%s': the daemon watches none of that name",
                      barrier->folder); /* told, not returned */
        refuse(barrier, control, err.text);
    } else if (barrier->uploaded && served == 0) {
        refuse(barrier, control, "no [upload] serves what was asked for: nothing is delivered");
    }
}

/* True when this folder's part is done; negative when it cannot be. */
static int check_part(struct barrier *barrier, struct engine *engine, size_t index, struct err *err)
{
    struct part *part = &barrier->parts[index];
    struct folder *folder = engine_folder(engine, index);

    if (!part->wanted)
        return 1;
    if (!part->journaled) {
        int rc = folder_sync_done(folder, part->ticket, &part->seq, err);
        if (rc < 0) {
            (void)err_prefix(err, "folder '%s'", folder_name(folder)); /* rc says it already */
            return rc;
        }
        if (rc == 0)
            return 0;
        part->journaled = true;
        /* Somebody waits: what is in back-off need not wait for its time. Once a call. */
        if (barrier->uploaded && !engine_acknowledged(engine, index, part->seq))
            engine_retry(engine, index);
    }
    return !barrier->uploaded || engine_acknowledged(engine, index, part->seq);
}

static void check(struct barrier *barrier, struct engine *engine, struct control *control)
{
    struct err err = {0};
    bool done = true;

    for (size_t f = 0; f < engine_folder_count(engine); f++) {
        int rc = check_part(barrier, engine, f, &err);
        if (rc < 0) {
            refuse(barrier, control, err.text);
            return;
        }
        done &= rc > 0;
    }
    if (done)
        answer_done(barrier, engine, control);
}

void barriers_check(struct barriers *barriers, struct engine *engine, struct control *control)
{
    bool any = false;

    for (size_t i = 0; i < ARRAY_LEN(barriers->items); i++) {
        struct barrier *barrier = &barriers->items[i];
        if (barrier->used && !control_has_client(control, barrier->client))
            barrier->used = false;
        any |= barrier->used;
    }
    engine_watch(engine, any); /* before the look: what comes after it wakes us */
    for (size_t i = 0; i < ARRAY_LEN(barriers->items); i++)
        if (barriers->items[i].used)
            check(&barriers->items[i], engine, control);
}

void barriers_add(struct barriers *barriers, struct engine *engine, struct control *control,
                  uint64_t client, const char *folder, bool uploaded)
{
    struct barrier *barrier = NULL;

    for (size_t i = 0; i < ARRAY_LEN(barriers->items) && !barrier; i++)
        if (!barriers->items[i].used || !control_has_client(control, barriers->items[i].client))
            barrier = &barriers->items[i];
    if (!barrier || strlen(folder) > CONFIG_NAME_MAX) {
        struct barrier none = {.client = client};
        refuse(&none, control, barrier ? "no folder has such a name" : "too many calls of sync");
        return;
    }
    *barrier = (struct barrier){.used = true, .uploaded = uploaded, .client = client};
    memcpy(barrier->folder, folder, strlen(folder) + 1);
    begin(barrier, engine, control);
    barriers_check(barriers, engine, control);
}

void barriers_restart(struct barriers *barriers, struct engine *engine, struct control *control)
{
    for (size_t i = 0; i < ARRAY_LEN(barriers->items); i++)
        if (barriers->items[i].used)
            begin(&barriers->items[i], engine, control);
    barriers_check(barriers, engine, control);
}

void barriers_refuse(struct barriers *barriers, struct control *control, const char *why)
{
    for (size_t i = 0; i < ARRAY_LEN(barriers->items); i++)
        if (barriers->items[i].used)
            refuse(&barriers->items[i], control, why);
}
