/* config.c: from the lines of the file to an immutable struct config.
 *
 * Walks what ini.c hands over, makes a section's struct with the table's defaults at each header
 * and sets one option a line, with the place of each remembered for messages and for `config
 * show`. Leaves values to config_option.c, checks across keys to config_check.c, the disk to
 * config_paths_linux.c and config_paths_windows.c. Any thread. */
#include "config.h"

#include "buf.h"
#include "config_option.h"
#include "err.h"
#include "ini.h"
#include "osfile.h"
#include "text.h"

/* What the walk over the lines carries along. */
struct loader {
    struct config *config;
    const char *file;
    const char *base_dir;
    bool in_section;
    enum option_scope scope; /* of the section at hand */
    size_t index;            /* and its place within the scope */
    int daemon_line;         /* of the [daemon] header, 0 none yet */
};

size_t config_section_count(const struct config *config, enum option_scope scope)
{
    return scope == SCOPE_DAEMON   ? 1
           : scope == SCOPE_FOLDER ? config->folder_count
                                   : config->upload_count;
}

void *config_section(const struct config *config, enum option_scope scope, size_t index)
{
    if (scope == SCOPE_FOLDER)
        return &config->folders[index];
    if (scope == SCOPE_UPLOAD)
        return &config->uploads[index];
    return (void *)&config->daemon; /* the caller knows whether the config may change */
}

const char *config_section_name(const struct config *config, enum option_scope scope, size_t index)
{
    return scope == SCOPE_FOLDER   ? config->folders[index].name
           : scope == SCOPE_UPLOAD ? config->uploads[index].name
                                   : "";
}

static int64_t header_line(const struct config *config, enum option_scope scope, size_t index)
{
    return scope == SCOPE_FOLDER   ? config->folders[index].line
           : scope == SCOPE_UPLOAD ? config->uploads[index].line
                                   : 0;
}

const struct origin *config_origin_next(const struct config *config, const struct option *option,
                                        size_t index, const struct origin *from)
{
    const struct config_origins *origins = config->origins;

    if (!origins || origins->count == 0)
        return NULL;
    for (const struct origin *at = from ? from : origins->items;
         at < origins->items + origins->count; at++)
        if (at->option == option && at->index == index)
            return at;
    return NULL;
}

int config_line_of(const struct config *config, enum option_scope scope, size_t index,
                   const char *key)
{
    const struct origin *origin =
        config_origin_next(config, config_option_find(scope, key), index, NULL);

    return origin ? origin->line : (int)header_line(config, scope, index);
}

static int add_origin(struct config *config, const struct option *option, size_t index, int line)
{
    struct config_origins *origins = config->origins;

    if (origins->count == origins->capacity) {
        size_t capacity = origins->capacity ? 2 * origins->capacity : 64;
        struct origin *items = realloc(origins->items, capacity * sizeof *items);
        if (!items)
            return ERR_NOMEM;
        origins->items = items;
        origins->capacity = capacity;
    }
    origins->items[origins->count++] = (struct origin){option, index, line};
    return 0;
}

static int set_defaults(enum option_scope scope, void *section, struct err *err)
{
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < config_option_count; i++) {
        const struct option *option = &config_options[i];
        if (option->scope == scope && option->default_text)
            rc = config_option_set(option, section, "/", option->default_text, err);
    }
    return rc;
}

/* The name becomes a file name in the state directory and a word in urls and on command lines. */
const char *config_name_fault(const char *name)
{
    size_t len = strlen(name);

    if (len == 0)
        return "it needs a name, as in [folder \"docs\"]";
    if (len > CONFIG_NAME_MAX)
        return "the name is longer than 64 bytes";
    if (*name == '.' || *name == '-')
        return "a name must not begin with . or -";
    /* Each folder's state lies beside these in the state directory. */
    static const char *const taken[] = {"lock", "control.sock", "spoor.log"};
    for (size_t i = 0; i < ARRAY_LEN(taken); i++)
        if (strcmp(name, taken[i]) == 0)
            return "this name is taken by a file of spoor's own in state_dir; choose another";
    for (; *name; name++) {
        char c = *name;
        if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
            c != '.' && c != '_' && c != '-')
            return "a name consists of letters, digits and . _ -";
    }
    return NULL;
}

_Static_assert(CONFIG_NAME_MAX == 64, "config_name_fault() says so");

/* Appends a zeroed section; the arrays move, so nothing may point into them while loading. */
static int grow_sections(struct config *config, enum option_scope scope)
{
    if (scope == SCOPE_FOLDER) {
        struct config_folder *folders =
            realloc(config->folders, (config->folder_count + 1) * sizeof *folders);
        if (!folders)
            return ERR_NOMEM;
        folders[config->folder_count++] = (struct config_folder){0};
        config->folders = folders;
        return 0;
    }
    struct config_upload *uploads =
        realloc(config->uploads, (config->upload_count + 1) * sizeof *uploads);
    if (!uploads)
        return ERR_NOMEM;
    uploads[config->upload_count++] =
        (struct config_upload){.ack = -1, .fold = -1}; /* not said yet */
    config->uploads = uploads;
    return 0;
}

static int start_daemon(struct loader *in, const struct ini_item *item, struct err *err)
{
    if (*item->name)
        return err_set(err, ERR_INVALID, 0, "section [daemon]: it takes no name");
    if (in->daemon_line)
        return err_set(err, ERR_INVALID, 0, "section [daemon]: it stands in line %d already",
                       in->daemon_line);
    in->daemon_line = item->line;
    return 0;
}

static int start_named(struct loader *in, const struct ini_item *item, struct err *err)
{
    struct config *config = in->config;
    const char *fault = config_name_fault(item->name);
    size_t count = config_section_count(config, in->scope);
    size_t limit = in->scope == SCOPE_FOLDER ? CONFIG_FOLDERS_MAX : CONFIG_UPLOADS_MAX;

    if (fault)
        return err_set(err, ERR_INVALID, 0, "section [%s \"%.64s\"]: %s", item->section, item->name,
                       fault);
    for (size_t i = 0; i < count; i++)
        if (strcmp(config_section_name(config, in->scope, i), item->name) == 0)
            return err_set(err, ERR_INVALID, 0, "section [%s \"%s\"]: it stands in line %d already",
                           item->section, item->name, (int)header_line(config, in->scope, i));
    if (count == limit)
        return err_set(err, ERR_LIMIT, 0, "section [%s \"%s\"]: more than %zu of this kind",
                       item->section, item->name, limit);
    char *name = strdup(item->name);
    if (!name || grow_sections(config, in->scope) != 0) {
        free(name);
        return err_set(err, ERR_NOMEM, 0, "section [%s \"%s\"]: out of memory", item->section,
                       item->name);
    }
    in->index = count;
    if (in->scope == SCOPE_FOLDER) {
        config->folders[count].name = name;
        config->folders[count].line = item->line;
    } else {
        config->uploads[count].name = name;
        config->uploads[count].line = item->line;
    }
    return set_defaults(in->scope, config_section(config, in->scope, count), err);
}

static int start_section(struct loader *in, const struct ini_item *item, struct err *err)
{
    const char *words[SCOPE_COUNT];

    for (int i = 0; i < SCOPE_COUNT; i++) {
        words[i] = config_scope_name((enum option_scope)i);
        if (strcmp(words[i], item->section) == 0) {
            in->in_section = true;
            in->scope = (enum option_scope)i;
            in->index = 0;
            return i == SCOPE_DAEMON ? start_daemon(in, item, err) : start_named(in, item, err);
        }
    }
    const char *nearest = text_nearest(item->section, words, SCOPE_COUNT);
    if (nearest)
        return err_set(err, ERR_INVALID, 0, "unknown section [%.64s]; did you mean [%s]?",
                       item->section, nearest);
    return err_set(err, ERR_INVALID, 0,
                   "unknown section [%.64s]; there are [daemon], [folder \"NAME\"] and [upload "
                   "\"NAME\"]",
                   item->section);
}

static int unknown_key(enum option_scope scope, const char *key, struct err *err)
{
    const char *nearest = config_option_nearest(scope, key);

    if (nearest)
        return err_set(err, ERR_INVALID, 0, "unknown key '%.64s' in [%s]; did you mean '%s'?", key,
                       config_scope_name(scope), nearest);
    for (int i = 0; i < SCOPE_COUNT; i++)
        if (config_option_find((enum option_scope)i, key))
            return err_set(err, ERR_INVALID, 0, "unknown key '%s' in [%s]; it belongs in [%s]", key,
                           config_scope_name(scope), config_scope_name((enum option_scope)i));
    return err_set(err, ERR_INVALID, 0, "unknown key '%.64s' in [%s]", key,
                   config_scope_name(scope));
}

static int set_key(struct loader *in, const struct ini_item *item, struct err *err)
{
    const struct option *option = config_option_find(in->scope, item->key);
    void *section = config_section(in->config, in->scope, in->index);

    if (!option)
        return unknown_key(in->scope, item->key, err);
    const struct origin *earlier = config_origin_next(in->config, option, in->index, NULL);
    if (earlier && option->kind != KIND_LIST)
        return err_set(err, ERR_INVALID, 0, "key '%s': it is set in line %d already", item->key,
                       earlier->line);
    size_t before = config_option_items(option, section);
    int rc = config_option_set(option, section, in->base_dir, item->value, err);
    size_t added = option->kind == KIND_LIST ? config_option_items(option, section) - before : 1;
    for (size_t i = 0; rc == 0 && i < added; i++)
        if (add_origin(in->config, option, in->index, item->line) != 0)
            rc = err_set(err, ERR_NOMEM, 0, "key '%s': out of memory", item->key);
    return rc;
}

static int visit(void *ctx, const struct ini_item *item, struct err *err)
{
    struct loader *in = ctx;
    /* A key cannot come before the first header, ini.c sees to that. */
    int rc = item->key ? set_key(in, item, err) : start_section(in, item, err);

    return rc == 0 ? 0 : err_prefix(err, "%s:%d", in->file, item->line);
}

/* Defaults that depend on the user or on other keys. */
static int set_late_defaults(struct config *config, struct err *err)
{
    if (!config->daemon.state_dir || !*config->daemon.state_dir) {
        free(config->daemon.state_dir);
        config->daemon.state_dir = NULL;
        int rc = config_default_state_dir(config->file, &config->daemon.state_dir, err);
        if (rc != 0)
            return err_prefix(err, "%s: state_dir is not set", config->file);
    }
    for (size_t i = 0; i < config->upload_count; i++) {
        struct config_upload *upload = &config->uploads[i];
        bool replica = upload->format == CONFIG_FORMAT_SPOOR;
        if (upload->ack < 0)
            upload->ack = replica ? CONFIG_ACK_SEQUENCE : CONFIG_ACK_STATUS;
        if (upload->fold < 0)
            upload->fold = replica;
    }
    return 0;
}

int config_parse(const char *name, const char *base_dir, const char *text, size_t len,
                 struct config **out, struct err *err)
{
    struct err local = {0}; /* err_prefix() builds on the message even where nobody asked for it */
    struct config *config = calloc(1, sizeof *config);
    struct loader in = {.config = config, .file = name, .base_dir = base_dir};
    int rc;

    if (!err)
        err = &local;
    if (config) {
        config->file = strdup(name);
        config->origins = calloc(1, sizeof(struct config_origins));
    }
    if (!config || !config->file || !config->origins) {
        rc = err_set(err, ERR_NOMEM, 0, "cannot load '%s': out of memory", name);
        goto out;
    }
    rc = set_defaults(SCOPE_DAEMON, &config->daemon, err);
    if (rc == 0)
        rc = ini_parse(name, text, len, visit, &in, err);
    if (rc == 0)
        rc = config_check_text(config, err);
    if (rc == 0)
        rc = set_late_defaults(config, err);
    if (rc == 0) {
        *out = config;
        return 0;
    }
out:
    config_free(config);
    return rc;
}

int config_load(const char *path, struct config **out, struct err *err)
{
    struct buf text;
    char *absolute = NULL;
    char *base_dir = NULL;

    buf_init(&text, CONFIG_FILE_MAX);
    int rc = config_absolute_path(path, &absolute, err);
    if (rc != 0)
        goto out;
    base_dir = strndup(absolute, (size_t)(strrchr(absolute, '/') - absolute) + 1);
    if (!base_dir) {
        rc = err_set(err, ERR_NOMEM, 0, "cannot load '%s': out of memory", path);
        goto out;
    }
    rc = osfile_read(OSFILE_CWD, absolute, CONFIG_FILE_MAX, &text, err);
    if (rc != 0)
        goto out;
    rc = config_parse(absolute, base_dir, text.data ? text.data : "", text.len, out, err);
out:
    free(base_dir);
    free(absolute);
    buf_deinit(&text);
    return rc;
}

static void clear_section(struct config *config, enum option_scope scope, size_t index)
{
    for (size_t i = 0; i < config_option_count; i++)
        if (config_options[i].scope == scope)
            config_option_clear(&config_options[i], config_section(config, scope, index));
}

void config_free(struct config *config)
{
    if (!config)
        return;
    clear_section(config, SCOPE_DAEMON, 0);
    for (size_t i = 0; i < config->folder_count; i++) {
        clear_section(config, SCOPE_FOLDER, i);
        free(config->folders[i].name);
    }
    for (size_t i = 0; i < config->upload_count; i++) {
        clear_section(config, SCOPE_UPLOAD, i);
        free(config->uploads[i].name);
    }
    struct config_origins *origins = config->origins;
    if (origins)
        free(origins->items);
    free(origins);
    free(config->folders);
    free(config->uploads);
    free(config->file);
    free(config);
}

const struct config_folder *config_find_folder(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->folder_count; i++)
        if (strcmp(config->folders[i].name, name) == 0)
            return &config->folders[i];
    return NULL;
}

bool config_upload_serves(const struct config_upload *upload, const char *name)
{
    for (size_t i = 0; i < upload->folders.count; i++)
        if (strcmp(upload->folders.items[i], name) == 0)
            return true;
    return upload->folders.count == 0;
}
