/* ignore.h: gitignore patterns (gitignore(5)), as git itself decides them.
 *
 * A set holds the patterns of one source (the configuration, or one .spoorignore)
 * and answers for paths relative to the directory the source governs. Later patterns
 * win within a set; between sets the caller asks the deepest directory first. That
 * a directory which is ignored hides all below it is the caller's walk to honour.
 * Immutable after building; any thread may match. */
#ifndef SPOOR_IGNORE_H
#define SPOOR_IGNORE_H

struct err;
struct ignore;

#define IGNORE_PATTERNS_MAX 4096        /* patterns in one set */
#define IGNORE_FILE_MAX     (256 << 10) /* bytes of one .spoorignore */

enum ignore_verdict { IGNORE_NONE = 0, IGNORE_YES = 1, IGNORE_NO = -1 };

/* From the text of an ignore file: a pattern a line, # comments, trailing blanks trimmed, CRLF
 * taken. Never fails on content: what cannot match never matches. ERR_NOMEM, ERR_LIMIT. */
int ignore_parse(const char *text, size_t len, struct ignore **out, struct err *err);
void ignore_free(struct ignore *ignore);
size_t ignore_count(const struct ignore *ignore);

/* `path` is relative to the set's directory, '/'-separated, without leading or trailing '/'; raw
 * bytes. IGNORE_NONE: no pattern of this set matched. */
enum ignore_verdict ignore_match(const struct ignore *ignore, const char *path, size_t len,
                                 bool is_dir);

#endif
