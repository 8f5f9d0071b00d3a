/* daemon_errand.c: what a client wants written into a journal: readers added, acknowledged,
 * removed. The folder's thread does it; the client is answered when it is committed. The main
 * thread, which waits for none of it. */
#include "daemon_private.h"

#include "buf.h"
#include "control.h"
#include "engine.h"
#include "folder.h"
#include "reader.h"

static void take(struct daemon *daemon, uint64_t client, struct folder *folder,
                 const struct journal_order *order)
{
    struct err err = {0};
    struct daemon_errand *free_one = NULL;

    for (size_t i = 0; i < ARRAY_LEN(daemon->errands) && !free_one; i++)
        if (!daemon->errands[i].errand)
            free_one = &daemon->errands[i];
    if (!free_one) {
        daemon_answer(daemon, client, "too many such requests wait already; try again later");
    } else if (folder_send(folder, order, &daemon->wake, &free_one->errand, &err) != 0) {
        daemon_answer(daemon, client, err.text);
    } else {
        free_one->client = client;
    }
}

static bool find_act(const struct buf *name, enum journal_resync *out)
{
    static const struct {
        const char *name;
        enum journal_resync what;
    } acts[] = {{"add", JOURNAL_READER_ADD},
                {"ack", JOURNAL_READER_ACK},
                {"remove", JOURNAL_READER_REMOVE}};

    for (size_t i = 0; name->data && i < ARRAY_LEN(acts); i++)
        if (strcmp(acts[i].name, name->data) == 0) {
            *out = acts[i].what;
            return true;
        }
    return false;
}

void daemon_handle_consumer(struct daemon *daemon, uint64_t client, const char *request, size_t len)
{
    struct buf act, folder_word, name;
    struct journal_order order = {0};
    struct folder *folder = NULL;

    buf_init(&act, CONTROL_REQUEST_MAX);
    buf_init(&folder_word, CONTROL_REQUEST_MAX);
    buf_init(&name, CONTROL_REQUEST_MAX);
    (void)reader_json_get(request, len, "$.act", &act, NULL);            /* absent: refused below */
    (void)reader_json_get(request, len, "$.folder", &folder_word, NULL); /* likewise */
    (void)reader_json_get(request, len, "$.name", &name, NULL);          /* likewise */
    (void)reader_json_get_i64(request, len, "$.seq", &order.value, NULL); /* 0 where none is due */
    for (size_t i = 0; folder_word.data && i < engine_folder_count(daemon->engine); i++)
        if (strcmp(folder_name(engine_folder(daemon->engine, i)), folder_word.data) == 0)
            folder = engine_folder(daemon->engine, i);
    if (!folder) {
        daemon_answer(daemon, client, "the daemon watches no folder of that name");
    } else if (!name.data || !find_act(&act, &order.what)) {
        daemon_answer(daemon, client, "consumer: it wants an act (add, ack, remove) and a name");
    } else {
        order.consumer = name.data;
        take(daemon, client, folder, &order);
    }
    buf_deinit(&act);
    buf_deinit(&folder_word);
    buf_deinit(&name);
}

void daemon_check_errands(struct daemon *daemon)
{
    for (size_t i = 0; i < ARRAY_LEN(daemon->errands); i++) {
        struct daemon_errand *item = &daemon->errands[i];
        struct err err = {0};
        int rc = 0;
        if (!item->errand || !folder_errand_done(item->errand, &rc, &err))
            continue;
        if (control_has_client(daemon->control, item->client))
            daemon_answer(daemon, item->client, rc == 0 ? NULL : err.text);
        folder_errand_free(item->errand);
        item->errand = NULL;
    }
}
