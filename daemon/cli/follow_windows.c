/* follow_windows.c: see follow.h. A change notification (FindFirstChangeNotificationW) on the
 * journal's directory tells of writes to journal.db-wal.
 *
 * A write is told of when it is flushed, which a commit does before SQLite publishes it in the -shm
 * file, so that a row may become visible some time after. Therefore each notification is followed
 * by further looks at growing distances, up to FOLLOW_LOOK_LAST_MS; after that the wait is without
 * limit again. That a pipe's reader has gone shows at the next row. */
#include "follow.h"

#include "buf.h"
#include "err.h"
#include "journal.h"
#include "native_windows.h"

#define FOLLOW_LOOK_FIRST_MS 10
#define FOLLOW_LOOK_LAST_MS  10240
#define FOLLOW_PATH_MAX      (64 << 10)

struct follow {
    HANDLE changes;
    DWORD look_ms; /* distance of the next look, 0: none is due */
    struct buf file;
    struct osfile_identity identity; /* of journal.db, when looked at last */
};

static bool is_replaced(struct follow *follow)
{
    struct osfile_identity now;

    if (!osfile_identify(follow->file.data, &now) || osfile_same(&now, &follow->identity))
        return false;
    follow->identity = now;
    return true;
}

int follow_open(const char *dir, struct follow **out, struct err *err)
{
    struct follow *follow = calloc(1, sizeof *follow);
    wchar_t *path = NULL;

    if (!follow)
        return err_set(err, ERR_NOMEM, 0, "following '%s': no memory", dir);
    follow->changes = INVALID_HANDLE_VALUE;
    buf_init(&follow->file, FOLLOW_PATH_MAX);
    buf_addf(&follow->file, "%s/" JOURNAL_FILE, dir);
    int rc = buf_ok(&follow->file) ? native_path(dir, &path, err)
                                   : err_set(err, ERR_LIMIT, 0, "'%s': the path is too long", dir);
    if (rc == 0) {
        follow->changes = FindFirstChangeNotificationW(
            path, FALSE,
            FILE_NOTIFY_CHANGE_FILE_NAME | FILE_NOTIFY_CHANGE_SIZE | FILE_NOTIFY_CHANGE_LAST_WRITE);
        if (follow->changes == INVALID_HANDLE_VALUE)
            rc = err_native(err, GetLastError(), "cannot follow '%s'", dir);
    }
    free(path);
    if (rc != 0) {
        follow_close(follow);
        return rc;
    }
    (void)is_replaced(follow);              /* takes the identity it has now */
    follow->look_ms = FOLLOW_LOOK_FIRST_MS; /* a commit may be on its way just now */
    *out = follow;
    return 0;
}

int follow_wait(struct follow *follow, enum follow_event *out, struct err *err)
{
    DWORD got = WaitForSingleObject(follow->changes, follow->look_ms ? follow->look_ms : INFINITE);

    if (got == WAIT_TIMEOUT) {
        follow->look_ms = follow->look_ms < FOLLOW_LOOK_LAST_MS ? follow->look_ms * 2 : 0;
    } else if (got == WAIT_OBJECT_0 && FindNextChangeNotification(follow->changes)) {
        follow->look_ms = FOLLOW_LOOK_FIRST_MS;
    } else {
        return err_native(err, GetLastError(), "cannot wait for the journal");
    }
    *out = is_replaced(follow) ? FOLLOW_REPLACED : FOLLOW_CHANGED;
    return 0;
}

void follow_close(struct follow *follow)
{
    if (!follow)
        return;
    if (follow->changes != INVALID_HANDLE_VALUE)
        (void)FindCloseChangeNotification(follow->changes); /* nothing was written to it */
    buf_deinit(&follow->file);
    free(follow);
}
