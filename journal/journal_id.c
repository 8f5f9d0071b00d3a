/* journal_id.c: see journal_id.h. The file's form, one item a line:
 *
 *   spoor-journal 1
 *   id 5f0c...          32 hexadecimal digits, random
 *   epoch 1790000000000
 *   machine 9a41...     SHA-256 of "spoor journal" and the machine's id, cut to 32 digits:
 *                       machine-id(5) asks never to show the id itself
 */
#include "journal_id.h"

#include "buf.h"
#include "err.h"
#include "num.h"
#include "osfile.h"
#include "sha256.h"
#include "text.h"

#define FILE_BYTES_MAX 512
#define FIRST_LINE     "spoor-journal 1"
#define MACHINE_SALT   "spoor journal\n"
#define ID_BYTES       16
#define HEX_DIGITS     "0123456789abcdef"

static void add_hex_text(char *out, size_t size, const void *bytes, size_t len)
{
    const unsigned char *at = bytes;
    size_t n = 0;
    for (size_t i = 0; i < len && n + 2 < size; i++) {
        out[n++] = HEX_DIGITS[at[i] >> 4];
        out[n++] = HEX_DIGITS[at[i] & 15];
    }
    out[n] = '\0';
}

/* A machine without an id is no error: the binding is then not to be had. */
static void read_machine(char *out, size_t size)
{
    struct buf text;
    uint8_t digest[SHA256_SIZE];
    buf_init(&text, FILE_BYTES_MAX);
    buf_add_str(&text, MACHINE_SALT);
    if (osfile_machine(&text, NULL) == 0 && buf_ok(&text) && text.len > sizeof MACHINE_SALT) {
        sha256(text.data, text.len, digest);
        add_hex_text(out, size, digest, ID_BYTES);
    } else {
        (void)snprintf(out, size, "unknown"); /* fits */
    }
    buf_deinit(&text);
}

/* Takes the line "<key> <value>\n" off the text; false when it is not there. */
static bool take_line(const char **text, const char *key, char *value, size_t size)
{
    size_t key_len = strlen(key);
    if (strncmp(*text, key, key_len) != 0 || (*text)[key_len] != ' ')
        return false;
    const char *at = *text + key_len + 1;
    const char *end = strchr(at, '\n');
    if (!end || end == at || (size_t)(end - at) >= size)
        return false;
    memcpy(value, at, (size_t)(end - at));
    value[end - at] = '\0';
    *text = end + 1;
    return true;
}

static bool parse(const char *text, struct journal_id *out)
{
    char version[8], epoch[24];
    if (!take_line(&text, "spoor-journal", version, sizeof version) || strcmp(version, "1") != 0 ||
        !take_line(&text, "id", out->id, sizeof out->id) ||
        !take_line(&text, "epoch", epoch, sizeof epoch) ||
        !take_line(&text, "machine", out->machine, sizeof out->machine) || *text != '\0')
        return false;
    return strlen(out->id) == 2 * ID_BYTES && strspn(out->id, HEX_DIGITS) == 2 * ID_BYTES &&
           num_parse_i64(epoch, 0, INT64_MAX - 1, &out->epoch) == 0;
}

int journal_id_read(int dirfd, struct journal_id *out, struct err *err)
{
    struct buf text;
    struct journal_id id = {0};
    buf_init(&text, FILE_BYTES_MAX);
    int code = osfile_read(dirfd, JOURNAL_ID_FILE, FILE_BYTES_MAX, &text, err);
    if (code == ERR_LIMIT || (code == 0 && (!text.data || !parse(text.data, &id))))
        code = err_set(err, ERR_CORRUPT, 0,
                       "journal id '%s': not in its form; move it away to get a new one (servers "
                       "will see a new journal)",
                       JOURNAL_ID_FILE);
    if (code == 0)
        *out = id;
    buf_deinit(&text);
    return code;
}

int journal_id_write(int dirfd, const struct journal_id *id, struct err *err)
{
    char text[FILE_BYTES_MAX];
    int len = snprintf(text, sizeof text, FIRST_LINE "\nid %s\nepoch %lld\nmachine %s\n", id->id,
                       (long long)id->epoch, id->machine);
    return osfile_replace(dirfd, JOURNAL_ID_FILE, text, (size_t)len, err);
}

int journal_id_renew(int dirfd, struct journal_id *id, struct err *err)
{
    unsigned char random[ID_BYTES];
    struct journal_id renewed = *id;
    int code = osfile_random(random, sizeof random, err);
    if (code)
        return code;
    add_hex_text(renewed.id, sizeof renewed.id, random, sizeof random);
    code = journal_id_write(dirfd, &renewed, err);
    if (code == 0)
        *id = renewed;
    return code;
}

int journal_id_obtain(int dirfd, struct journal_id *out, struct err *err)
{
    struct journal_id id = {0};
    char machine[sizeof id.machine];
    int code = journal_id_read(dirfd, &id, err);
    if (code && code != ERR_NOTFOUND)
        return code;
    read_machine(machine, sizeof machine);
    bool known = code == 0 && strcmp(id.machine, "unknown") != 0;
    bool same = strcmp(id.machine, machine) == 0;
    /* Where the machine's id cannot be read (now, or when the file was made) nothing is proved. */
    if (code == 0 && (same || strcmp(machine, "unknown") == 0)) {
        *out = id;
        return 0;
    }
    bool keep = code == 0 && !known;
    memcpy(id.machine, machine, sizeof id.machine);
    id.machine_changed = known;
    code = keep ? journal_id_write(dirfd, &id, err) : journal_id_renew(dirfd, &id, err);
    if (code == 0)
        *out = id;
    return code;
}
