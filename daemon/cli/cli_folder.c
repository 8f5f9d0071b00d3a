/* cli_folder.c: `spoor folder adopt NAME`: the way out when the folder at the configured path is
 * another directory than the one that is journaled (RULES 27). Shows both, and what the next scan
 * would make of it; does it only when told --yes. Main thread. */
#include "cli.h"

#include "buf.h"
#include "cli_alone.h"
#include "clock.h"
#include "compare.h"
#include "config.h"
#include "control.h"
#include "disk.h"
#include "diskwalk.h"
#include "err.h"
#include "json.h"
#include "reader.h"
#include "rules.h"

struct adoption {
    const struct config *config;
    const struct config_folder *folder;
    struct reader *reader;
    struct disk disk;
    struct journal_info info;
    struct file_id there;
    int64_t fs_type; /* of what is there */
    struct buf lines;
    struct compare compare;
};

static int forget_line(void *ctx)
{
    buf_reset(ctx); /* the number of differences is wanted, not what they are */
    return 0;
}

static int visit(void *ctx, const struct reader_entry *entry)
{
    return compare_entry(ctx, entry, NULL);
}

/* How many differences there are between the journal and the directory that is there. */
static int count_differences(struct adoption *adoption, struct err *err)
{
    struct rules *rules = NULL;
    struct diskwalk *walk = NULL;
    struct compare_side side = {.name = "disk", .next = diskwalk_next};
    int rc = rules_new(&adoption->folder->ignore, &rules, err);
    rc = rc ? rc : diskwalk_open(&adoption->disk, rules, &walk, err);
    if (rc == 0) {
        side.ctx = walk;
        compare_init(&adoption->compare, &side, adoption->folder->name, true, &adoption->lines);
        adoption->compare.flush = forget_line;
        adoption->compare.flush_ctx = &adoption->lines;
        rc = reader_tree(adoption->reader, NULL, visit, &adoption->compare, err);
        rc = rc ? rc : compare_finish(&adoption->compare, err);
        compare_deinit(&adoption->compare); /* the counts stay */
    }
    diskwalk_close(walk);
    rules_free(rules);
    return rc;
}

static int look_at_both(struct adoption *adoption, struct err *err)
{
    struct disk_dir *root = NULL;
    int os = 0;
    int rc = reader_info(adoption->reader, &adoption->info, err);
    if (rc != 0) {
        return rc;
    }
    if (adoption->disk.ops->open_root(adoption->disk.ctx, &root, &adoption->there, &os) !=
        DISK_PRESENT) {
        return err_os(err, os, "folder '%s': cannot open '%s'", adoption->folder->name,
                      adoption->folder->path);
    }
    adoption->disk.ops->close(adoption->disk.ctx, root);
    rc = disk_real_fs_type(&adoption->disk, &adoption->fs_type, err);
    if (rc != 0) {
        return rc;
    }
    if (!adoption->info.root_known || (file_id_equal(adoption->info.root, adoption->there) &&
                                       adoption->info.root_fs_type == adoption->fs_type)) {
        return err_set(err, ERR_CONFLICT, 0,
                       "folder '%s': '%s' is the directory that is journaled: there is nothing to "
                       "adopt",
                       adoption->folder->name, adoption->folder->path);
    }
    return count_differences(adoption, err);
}

static void say_identity(const char *what, struct file_id file, int64_t fs_type)
{
    char born[CLOCK_TEXT_SIZE];
    clock_format_ns((int64_t)file.b, born);
    cli_say("  %-9s inode %llu, made %s, file system of type %llx", what,
            (unsigned long long)file.a, file.b ? born : "at an unknown time",
            (unsigned long long)fs_type);
}

static void say_both(const struct adoption *adoption)
{
    cli_say("%s: '%s' is another directory than the one that is journaled", adoption->folder->name,
            adoption->folder->path);
    say_identity("journaled", adoption->info.root, adoption->info.root_fs_type);
    say_identity("there now", adoption->there, adoption->fs_type);
    cli_say("  %lld entries are journaled; %lld differences from what is there now%s",
            (long long)adoption->compare.entries, (long long)adoption->compare.differences,
            adoption->compare.differences
                ? ": the next scan journals them, entries that are not there as deletes"
                : "");
}

/* The daemon does it when it runs; else we are the only writer, under its lock. */
static int adopt(struct adoption *adoption, struct err *err)
{
    struct buf request;
    struct cli_alone alone;
    buf_init(&request, CONTROL_REQUEST_MAX);
    json_begin(&request);
    json_cstr(&request, "do", "adopt");
    json_cstr(&request, "folder", adoption->folder->name);
    json_end(&request);
    int rc = cli_ask(adoption->config, &request, err);
    buf_deinit(&request);
    if (rc != ERR_NOTFOUND) {
        return rc;
    }
    rc = cli_alone_open(adoption->config, adoption->folder, &alone, err);
    rc = rc ? rc : journal_set_root(alone.journal, adoption->there, adoption->fs_type, err);
    cli_alone_close(&alone);
    return rc;
}

static int run(struct adoption *adoption, bool yes)
{
    struct err err = {0};
    int rc = disk_real_open(adoption->folder->path, NULL, &adoption->disk, &err);
    if (rc != 0) {
        return cli_fail(&err);
    }
    rc = look_at_both(adoption, &err);
    if (rc == 0) {
        say_both(adoption);
        rc = yes ? adopt(adoption, &err) : 0;
    }
    disk_real_close(&adoption->disk);
    if (rc != 0) {
        return cli_fail(&err);
    }
    cli_say("%s: %s", adoption->folder->name,
            yes ? "adopted" : "nothing was changed; --yes adopts it");
    return EXIT_OK;
}

int cli_folder(const struct cli *cli)
{
    int code = EXIT_OK;
    struct cli chosen = *cli;
    if (cli->arg_count < 1 || strcmp(cli->args[0], "adopt") != 0 || cli->arg_count > 2) {
        cli_say("spoor: folder: the one thing it does is 'spoor folder adopt NAME'");
        return EXIT_USAGE;
    }
    if (cli->arg_count == 2) {
        chosen.folder = cli->args[1];
    }
    struct config *config = cli_load_config(cli, &code);
    if (!config) {
        return code;
    }
    struct adoption adoption = {.config = config};
    buf_init(&adoption.lines, COMPARE_PATH_MAX);
    adoption.folder = cli_pick_folder(&chosen, config, &code);
    if (adoption.folder) {
        adoption.reader = cli_open_reader(config, adoption.folder, &code);
        if (adoption.reader) {
            code = run(&adoption, cli->yes);
        }
        reader_close(adoption.reader);
    }
    buf_deinit(&adoption.lines);
    config_free(config);
    return code;
}
