/* change.c: the words of the enums in change.h, in one table each, used by the row
 * writer, the row reader and the command line. Any thread. */
#include "change.h"

static const char *const type_names[] = {
    [ENTRY_NONE] = "none",       [ENTRY_FILE] = "file",   [ENTRY_DIR] = "directory",
    [ENTRY_SYMLINK] = "symlink", [ENTRY_OTHER] = "other",
};

static const char *const kind_names[] = {
    [0] = "none",
    [CHANGE_CREATE] = "create",
    [CHANGE_MODIFY] = "modify",
    [CHANGE_ATTRIB] = "attrib",
    [CHANGE_MOVE] = "move",
    [CHANGE_EXCHANGE] = "exchange",
    [CHANGE_DELETE] = "delete",
    [CHANGE_GAP] = "gap",
};

static const struct {
    uint32_t flag;
    const char *name;
} reasons[] = {
    {CHANGE_OVERFLOW, "overflow"},
    {CHANGE_INTERNAL, "internal"},
    {CHANGE_ROOT_LOST, "root-lost"},
};

/* Index of `text`, 0 when it is no word of the table: index 0 is the absent value. */
static size_t find_word(const char *const *words, size_t count, const char *text)
{
    for (size_t i = 1; i < count; i++)
        if (strcmp(words[i], text) == 0)
            return i;
    return 0;
}

const char *entry_type_name(enum entry_type type)
{
    return (size_t)type < ARRAY_LEN(type_names) ? type_names[type] : type_names[0];
}

enum entry_type entry_type_parse(const char *text)
{
    return (enum entry_type)find_word(type_names, ARRAY_LEN(type_names), text);
}

const char *change_kind_name(enum change_kind kind)
{
    return (size_t)kind < ARRAY_LEN(kind_names) ? kind_names[kind] : kind_names[0];
}

enum change_kind change_kind_parse(const char *text)
{
    return (enum change_kind)find_word(kind_names, ARRAY_LEN(kind_names), text);
}

const char *change_reason_name(uint32_t flags)
{
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        if (flags & reasons[i].flag)
            return reasons[i].name;
    return NULL;
}

uint32_t change_reason_parse(const char *text)
{
    for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
        if (strcmp(reasons[i].name, text) == 0)
            return reasons[i].flag;
    return 0;
}
