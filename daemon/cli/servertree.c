/* servertree.c: see servertree.h. A tree is only good together with the cursor it belongs to, and
 * batches may arrive while it is sent: so the cursor is asked before and after, and both must
 * agree. The server answers each request from one snapshot. One thread. */
#include "servertree.h"

#include <errno.h>
#include <inttypes.h>

#include "config.h"
#include "err.h"
#include "osfile.h"
#include "reader.h"
#include "rowread.h"
#include "upload.h"
#include "wire.h"

struct servertree {
    FILE *spool;
    int64_t spooled_bytes;
    const char *section; /* the upload's name, for messages */
    struct rowread *rows;
    char *line; /* getline's */
    size_t line_size;
    int64_t line_number;
};

static int add_piece(void *ctx, const char *bytes, size_t len)
{
    struct buf *text = ctx;
    buf_add(text, bytes, len);
    return buf_ok(text) ? 0 : ERR_LIMIT;
}

static int spool_piece(void *ctx, const char *bytes, size_t len)
{
    struct servertree *tree = ctx;
    tree->spooled_bytes += (int64_t)len;
    if (tree->spooled_bytes > SERVERTREE_BYTES_MAX)
        return ERR_LIMIT;
    return fwrite(bytes, 1, len, tree->spool) == len ? 0 : ERR_IO;
}

static int parse_cursor(const struct buf *text, struct servertree_cursor *out, struct err *err)
{
    struct buf sum;
    buf_init(&sum, 64);
    out->known = true;
    int rc = reader_json_get_i64(text->data, text->len, "$.epoch", &out->epoch, err);
    if (!rc)
        rc = reader_json_get_i64(text->data, text->len, "$.seq", &out->seq, err);
    if (!rc)
        rc = reader_json_get(text->data, text->len, "$.sum", &sum, err);
    if (!rc && !wire_parse_sum(sum.data, &out->sum))
        rc =
            err_set(err, ERR_INVALID, 0, "cursor: sum '%s' is not 16 hexadecimal digits", sum.data);
    buf_deinit(&sum);
    return rc;
}

/* 404 is an answer too: the server holds nothing yet. */
static int fetch_cursor(const struct config_upload *upload, const char *journal,
                        struct servertree_cursor *out, struct err *err)
{
    struct servertree_cursor cursor = {0};
    struct buf text;
    buf_init(&text, SERVERTREE_CURSOR_MAX);
    int rc = upload_fetch(upload, journal, "cursor", add_piece, &text, err);
    if (rc == ERR_NOTFOUND)
        rc = 0;
    else if (rc == 0 && text.len == 0)
        rc = err_set(err, ERR_INVALID, 0, "cursor: an empty answer");
    else if (rc == 0)
        rc = parse_cursor(&text, &cursor, err);
    buf_deinit(&text);
    if (!rc)
        *out = cursor;
    return rc;
}

static int open_spool(const char *dir, FILE **out, struct err *err)
{
    int dirfd = osfile_open_dir(dir, err);
    if (dirfd < 0)
        return dirfd;
    int fd = osfile_spool(dirfd, err);
    (void)close(dirfd); /* opened for reading */
    if (fd < 0)
        return fd;
    *out = fdopen(fd, "w+b");
    if (!*out) {
        (void)close(fd);
        return err_set(err, ERR_NOMEM, 0, "temporary file in '%s': no memory", dir);
    }
    return 0;
}

/* One tree, from an empty spool. */
static int fetch_tree(struct servertree *tree, const struct config_upload *upload,
                      const char *journal, struct err *err)
{
    rewind(tree->spool);
    tree->spooled_bytes = 0;
    if (ftruncate(fileno(tree->spool), 0))
        return err_os(err, errno, "cannot empty the temporary file");
    int rc = upload_fetch(upload, journal, "tree", spool_piece, tree, err);
    if (rc == ERR_NOTFOUND)
        return 0;
    if (!rc && fflush(tree->spool))
        rc = err_os(err, errno, "cannot write the temporary file");
    return rc;
}

int servertree_fetch(const struct config_upload *upload, const char *journal, const char *spool_dir,
                     struct servertree **out, struct servertree_cursor *cursor, struct err *err)
{
    struct servertree_cursor before = {0}, after = {0};
    struct servertree *tree = calloc(1, sizeof(*tree));
    if (!tree)
        return err_set(err, ERR_NOMEM, 0, "upload '%s': no memory", upload->name);
    tree->section = upload->name;
    int rc = open_spool(spool_dir, &tree->spool, err);
    if (!rc)
        rc = rowread_open(&tree->rows, err);
    if (!rc)
        rc = fetch_cursor(upload, journal, &after, err);
    for (int tries = 0; !rc; tries++) {
        before = after;
        rc = fetch_tree(tree, upload, journal, err);
        if (!rc)
            rc = fetch_cursor(upload, journal, &after, err);
        if (rc || (before.epoch == after.epoch && before.seq == after.seq))
            break;
        if (tries == SERVERTREE_TRIES_MAX)
            rc = err_set(err, ERR_BUSY, 0,
                         "the server's tree changes faster than it can be read; try again when "
                         "less is written");
    }
    if (!rc)
        rc = servertree_rewind(tree, err);
    if (rc) {
        (void)err_prefix(err, "upload '%s'", upload->name); /* rc is that code already */
        servertree_close(tree);
        return rc;
    }
    *out = tree;
    *cursor = after;
    return 0;
}

int servertree_rewind(struct servertree *tree, struct err *err)
{
    tree->line_number = 0;
    if (fseek(tree->spool, 0, SEEK_SET))
        return err_os(err, errno, "cannot read the temporary file");
    return 0;
}

int servertree_next(void *ctx, struct compare_item *out, struct err *err)
{
    struct servertree *tree = ctx;
    struct reader_entry entry;
    errno = 0;
    ssize_t len = getline(&tree->line, &tree->line_size, tree->spool);
    if (len < 0)
        return feof(tree->spool) ? 0 : err_os(err, errno, "cannot read the temporary file");
    tree->line_number++;
    if (len && tree->line[len - 1] == '\n')
        len--;
    int rc = rowread_parse_entry(tree->rows, tree->line, (size_t)len, &entry, err);
    if (rc)
        return err_prefix(err, "upload '%s', line %" PRId64 " of the server's tree", tree->section,
                          tree->line_number);
    *out = (struct compare_item){
        .path = entry.path, .type = entry.type, .attrs = entry.attrs, .id = entry.id};
    return 1;
}

void servertree_close(struct servertree *tree)
{
    if (!tree)
        return;
    if (tree->spool)
        (void)fclose(tree->spool); /* an unlinked file: nothing in it is kept */
    rowread_close(tree->rows);
    free(tree->line);
    free(tree);
}
