/* config_option.h: the option table, private to config/.
 *
 * Every key of the configuration is one row of config_options. Parsing, defaults, bounds,
 * `config show` and the example file walk it, so a key cannot exist in one and be missing in
 * another. A row says where its value lies in the section's struct; the functions below are the
 * only ones that go by that offset. Any thread; a section belongs to one thread until loaded. */
#ifndef SPOOR_CONFIG_OPTION_H
#define SPOOR_CONFIG_OPTION_H

#include "config.h"
#include "osfile.h"

enum option_scope { SCOPE_DAEMON, SCOPE_FOLDER, SCOPE_UPLOAD };
#define SCOPE_COUNT 3

enum option_kind {
    KIND_STRING,   /* char * */
    KIND_PATH,     /* char *, absolute, or "" for none */
    KIND_LIST,     /* struct config_list; the key may repeat */
    KIND_DURATION, /* int64_t, nanoseconds */
    KIND_BYTES,    /* int64_t */
    KIND_INTEGER,  /* int64_t */
    KIND_ENUM,     /* int64_t, index into choices */
    KIND_BOOL,     /* bool */
};

enum option_flag {
    OPTION_REQUIRED = 1, /* no default */
    OPTION_SPLIT = 2,    /* one line of a list holds several items, by blanks or commas */
    OPTION_SECRET = 4,   /* names a file that only we may open */
    OPTION_READABLE = 8, /* names a file that must be there */
};

struct option {
    enum option_scope scope;
    enum option_kind kind;
    const char *key;
    size_t offset;              /* of the value in the section's struct */
    size_t forever_offset;      /* of the bool that the word `forever` sets; 0: no such word */
    const char *default_text;   /* NULL: worked out when all is read, or required */
    const char *example;        /* shown in the example file instead of default_text; or NULL */
    int64_t min, max;           /* of the numeric kinds, both allowed */
    const char *const *choices; /* of KIND_ENUM, NULL-terminated */
    unsigned flags;
    const char *help; /* full sentences */
};

extern const struct option config_options[];
extern const size_t config_option_count;

/* Where a value was set: the n-th origin of a list is that of its n-th item. Kept in order. */
struct origin {
    const struct option *option;
    size_t index; /* of the section within its scope */
    int line;
};

struct config_origins {
    struct origin *items;
    size_t count;
    size_t capacity;
};

/* "daemon", "folder", "upload". */
const char *config_scope_name(enum option_scope scope);
/* How many sections of a kind there are, and the struct and the name ("" daemon) of one. */
size_t config_section_count(const struct config *config, enum option_scope scope);
void *config_section(const struct config *config, enum option_scope scope, size_t index);
const char *config_section_name(const struct config *config, enum option_scope scope, size_t index);

/* The row of a key, or NULL. */
const struct option *config_option_find(enum option_scope scope, const char *key);
/* The key most like a misspelt one, or NULL. */
const char *config_option_nearest(enum option_scope scope, const char *key);

/* Parses `text` into the section; a list's items are appended. On failure the section keeps its
 * old value and the message is "key 'text': why" without file and line. ERR_INVALID, ERR_LIMIT,
 * ERR_NOMEM. */
int config_option_set(const struct option *option, void *section, const char *base_dir,
                      const char *text, struct err *err);
/* Appends the value as text that config_option_set() reads back; `item` chooses a list's item. */
void config_option_format(const struct option *option, const void *section, size_t item,
                          struct buf *out);
/* Appends a bound of this option as its kind writes numbers. */
void config_option_format_number(const struct option *option, int64_t value, struct buf *out);
/* Items of a list, 1 for all other kinds. */
size_t config_option_items(const struct option *option, const void *section);
/* Frees what the section holds for this option. */
void config_option_clear(const struct option *option, void *section);

/* The first origin at or after `from` of this option in this section, or NULL. */
const struct origin *config_origin_next(const struct config *config, const struct option *option,
                                        size_t index, const struct origin *from);
/* The line where a key was set, or else that of its section's header (0: none). */
int config_line_of(const struct config *config, enum option_scope scope, size_t index,
                   const char *key);

/* What the text alone can tell once all is read: required keys, pairs of keys, urls, names of
 * folders. The message begins with "FILE:LINE: ". */
int config_check_text(const struct config *config, struct err *err);

/* Makes an absolute path of a configured one: "~" and "~/" are the home directory, a relative
 * path is taken from base_dir; doubled slashes and "." are dropped, ".." is kept, since it means
 * something else behind a symbolic link. Caller frees *out. */
int config_resolve_path(const char *base_dir, const char *text, char **out, struct err *err);
/* The path of a file as the command line names it, taken from the current directory; nothing else
 * is changed. Directories are parted by / in it. Caller frees *out. */
int config_absolute_path(const char *path, char **out, struct err *err);
/* Where the state goes when the configuration `file` says nothing: caller frees *out. */
int config_default_state_dir(const char *file, char **out, struct err *err);
/* How many bytes of an absolute path name its root, but for a slash at their end: 0 of "/x", 2 of
 * "C:/x". */
int config_place_root(const char *path);
/* Which directory a path leads to. ERR_NOTFOUND, or why it cannot be told. */
int config_place_identify(const char *path, struct osfile_identity *out, struct err *err);
/* After that failed: the directory is absent, or its file system fails for a while perhaps, which
 * is no fault of the configuration. */
bool config_place_may_come(const struct err *err);
/* Looks for one of `targets` among the directory and its ancestors: from itself on (skip 0) or from
 * its parent on (skip 1). *out is the target's index, or `count`. */
int config_place_above(const char *path, int skip, const struct osfile_identity *targets,
                       size_t count, size_t *out, struct err *err);

#endif
