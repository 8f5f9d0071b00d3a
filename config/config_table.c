/* config_table.c: the option table.
 *
 * To add a key: a field in config.h, a row here, done; the parser, `config show` and the example
 * file follow. Leaves reading and printing values to config_option.c, and what concerns several
 * keys at once to config_check.c. Any thread: it is constant. */
#include "config_option.h"

#include "log.h"
#include "text.h"

#define MS  INT64_C(1000000)
#define S   (1000 * MS)
#define MIN (60 * S)
#define H   (60 * MIN)
#define DAY (24 * H)
#define KIB INT64_C(1024)
#define MIB (1024 * KIB)

#define SCOPE_KEYS_MAX 64 /* keys of one kind of section */

static const char *const log_levels[] = {"error", "warn", "info", "debug", NULL};
static const char *const backends[] = {"auto", "inotify", "fanotify", "poll", NULL};
static const char *const formats[] = {"spoor", "ndjson", "cloudevents", NULL};
static const char *const redirects[] = {"off", "same-host", NULL};
static const char *const folds[] = {"off", "on", NULL};
static const char *const acks[] = {"sequence", "status", NULL};

_Static_assert(LOG_ERROR == 0 && LOG_DEBUG == 3, "log_levels follows enum log_level");
_Static_assert(CONFIG_BACKEND_AUTO == 0 && CONFIG_BACKEND_POLL == 3, "backends follows its enum");
_Static_assert(CONFIG_FORMAT_SPOOR == 0 && CONFIG_FORMAT_CLOUDEVENTS == 2,
               "formats follows its enum");
_Static_assert(CONFIG_REDIRECT_OFF == 0 && CONFIG_REDIRECT_SAME_HOST == 1, "redirects follows");
_Static_assert(CONFIG_ACK_SEQUENCE == 0 && CONFIG_ACK_STATUS == 1, "acks follows its enum");

#define DAEMON(field)    .scope = SCOPE_DAEMON, .offset = offsetof(struct config_daemon, field)
#define FOLDER(field)    .scope = SCOPE_FOLDER, .offset = offsetof(struct config_folder, field)
#define UPLOAD(field)    .scope = SCOPE_UPLOAD, .offset = offsetof(struct config_upload, field)
#define RANGE(low, high) .min = (low), .max = (high)

/* In the order in which they are shown: by scope, what must be set first. */
const struct option config_options[] = {
    {DAEMON(state_dir), .key = "state_dir", .kind = KIND_PATH, .example = "~/.local/state/spoor",
     .help = "Where the journals live; must not lie inside a watched folder. Default: "
             "$XDG_STATE_HOME/spoor or ~/.local/state/spoor, and /var/lib/spoor for root."},
    {DAEMON(log_level), .key = "log_level", .kind = KIND_ENUM, .default_text = "info",
     .choices = log_levels, .help = "What is logged: this and all that is graver."},
    {DAEMON(log_file), .key = "log_file", .kind = KIND_PATH, .default_text = "",
     .help = "Where the log goes. Empty: to stderr in the foreground, to spoor.log in the state "
             "directory in the background."},
    {DAEMON(sandbox), .key = "sandbox", .kind = KIND_BOOL, .default_text = "yes",
     .help = "Whether the daemon confines itself once it runs: no new privileges, no core dumps, "
             "and by Landlock only its folders to read, its state and log to write, and its "
             "servers' ports to connect to. A reload cannot widen this. no: for debugging."},

    {FOLDER(path), .key = "path", .kind = KIND_PATH, .flags = OPTION_REQUIRED,
     .example = "/home/ann/documents",
     .help = "The folder to watch. ~/ is the home directory; a relative path is taken from the "
             "directory of this file."},
    {FOLDER(ignore), .key = "ignore", .kind = KIND_LIST,
     .help = "A gitignore pattern of names to leave out. May repeat; the last that matches wins. "
             "A .spoorignore file inside the folder adds to these."},
    {FOLDER(settle_ns), .key = "settle", .kind = KIND_DURATION, .default_text = "300ms",
     RANGE(0, H), .help = "A changed name is looked at when it has been quiet for so long."},
    {FOLDER(max_delay_ns), .key = "max_delay", .kind = KIND_DURATION, .default_text = "5s",
     RANGE(0, DAY), .help = "A name that never becomes quiet is looked at after so long."},
    {FOLDER(partial_max_ns), .key = "partial_max", .kind = KIND_DURATION, .default_text = "5min",
     RANGE(0, DAY),
     .help = "A name that is busy on end is journaled after max_delay, then after twice that, and "
             "so on up to this."},
    {FOLDER(backend), .key = "backend", .kind = KIND_ENUM, .default_text = "auto",
     .choices = backends,
     .help = "How changes are noticed. inotify: a watch for each directory. fanotify: one for the "
             "whole file system, which needs privilege; inotify where it is refused. poll: every "
             "directory is read each poll_interval. auto: poll on network and FUSE file systems, "
             "else inotify."},
    {FOLDER(poll_interval_ns), .key = "poll_interval", .kind = KIND_DURATION, .default_text = "30s",
     RANGE(S, DAY), .help = "How often directories are read that the system cannot watch."},
    {FOLDER(retention_ns), .key = "retention", .kind = KIND_DURATION, .default_text = "7d",
     .forever_offset = offsetof(struct config_folder, retention_forever), RANGE(0, 36500 * DAY),
     .help = "Journal rows are kept at least so long, and until every upload has delivered them "
             "and every reader has them. Or: forever."},
    {FOLDER(consumer_expiry_ns), .key = "consumer_expiry", .kind = KIND_DURATION,
     .default_text = "30d",
     .forever_offset = offsetof(struct config_folder, consumer_expiry_forever),
     RANGE(0, 36500 * DAY),
     .help = "A reader ('spoor consumer') that has not been heard of for so long, though rows wait "
             "for it, is waited for no longer: it finds a gap when it comes back. Or: forever."},
    {FOLDER(rows_max), .key = "rows_max", .kind = KIND_INTEGER, .default_text = "100000000",
     RANGE(0, INT64_C(1000000000000)),
     .help = "Rows that the journal holds at most, whatever retention says and whoever waits for "
             "them: above that the oldest go. An upload that had not delivered them sends the tree "
             "instead, a reader finds a gap. 0: no limit."},
    {FOLDER(scan_threads), .key = "scan_threads", .kind = KIND_INTEGER, .default_text = "0",
     RANGE(0, 64), .help = "Threads that read the folder in a full scan. 0: one a processor."},

    {UPLOAD(url), .key = "url", .kind = KIND_STRING, .flags = OPTION_REQUIRED,
     .example = "https://sync.example.org/",
     .help = "The server. Format spoor: the base of its urls; else the very url to post to, in "
             "which {journal}, {epoch}, {first} and {last} stand for what the batch holds. "
             "Plain http is taken for this machine only, unless allow_http says yes."},
    {UPLOAD(folders), .key = "folders", .kind = KIND_LIST, .flags = OPTION_SPLIT,
     .help = "Names of the folders to deliver, separated by blanks or commas. May repeat. Empty: "
             "all folders."},
    {UPLOAD(format), .key = "format", .kind = KIND_ENUM, .default_text = "spoor",
     .choices = formats,
     .help = "What the server speaks: spoor (a replica); or of a log: ndjson (one JSON object a "
             "line), cloudevents (batches of CloudEvents in JSON)."},
    {UPLOAD(kinds), .key = "kinds", .kind = KIND_LIST, .flags = OPTION_SPLIT,
     .help = "Which kinds of rows a log gets, separated by blanks or commas: create, modify, "
             "attrib, move, exchange, delete, gap. May repeat. Empty: all. Not for format spoor: "
             "a replica needs every row."},
    {UPLOAD(ack), .key = "ack", .kind = KIND_ENUM, .choices = acks, .example = "sequence",
     .help = "What confirms a batch: sequence (the Spoor-Acked header) or status (any 2xx). "
             "Default: sequence for format spoor, status for the others."},
    {UPLOAD(fold), .key = "fold", .kind = KIND_ENUM, .choices = folds, .example = "on",
     .help = "on: rows that were not yet sent are sent as what they come to: a file written a "
             "thousand times once, one that came and went not at all. off: each row. Default: on "
             "for format spoor, off for the others, as a log wants its history."},
    {UPLOAD(batch_rows), .key = "batch_rows", .kind = KIND_INTEGER, .default_text = "10000",
     RANGE(1, 1000000), .help = "Rows in a batch, at most."},
    {UPLOAD(batch_bytes), .key = "batch_bytes", .kind = KIND_BYTES, .default_text = "8MiB",
     RANGE(64 * KIB, 256 * MIB), .help = "Size of a batch before compression, at most."},
    {UPLOAD(batch_delay_ns), .key = "batch_delay", .kind = KIND_DURATION, .default_text = "200ms",
     RANGE(0, H),
     .help = "Rows are gathered for so long before a batch that is not full goes out."},
    {UPLOAD(brake_count), .key = "brake_count", .kind = KIND_INTEGER, .default_text = "1000",
     RANGE(0, 1000000000),
     .help = "Before a replica is told to delete more entries than this within brake_window, and "
             "more than brake_percent of the folder, delivery is held until 'spoor hold release'. "
             "0: no brake."},
    {UPLOAD(brake_percent), .key = "brake_percent", .kind = KIND_INTEGER, .default_text = "25",
     RANGE(0, 100), .help = "Percent of a folder's entries; see brake_count."},
    {UPLOAD(brake_window_ns), .key = "brake_window", .kind = KIND_DURATION, .default_text = "10min",
     RANGE(S, DAY), .help = "See brake_count."},
    {UPLOAD(compression), .key = "compression", .kind = KIND_INTEGER, .default_text = "1",
     RANGE(0, 9), .help = "Level of gzip, 1 (fast) to 9 (small). 0 sends plain text."},
    {UPLOAD(connect_timeout_ns), .key = "connect_timeout", .kind = KIND_DURATION,
     .default_text = "10s", RANGE(100 * MS, 10 * MIN),
     .help = "A connection that takes longer has failed."},
    {UPLOAD(timeout_ns), .key = "timeout", .kind = KIND_DURATION, .default_text = "1min",
     RANGE(100 * MS, H),
     .help = "A request on which no byte moves for so long has failed; so has one whose answer has "
             "begun, and is not whole after that time."},
    {UPLOAD(retry_min_ns), .key = "retry_min", .kind = KIND_DURATION, .default_text = "1s",
     RANGE(MS, H), .help = "The first pause after a failure; it doubles from there."},
    {UPLOAD(retry_max_ns), .key = "retry_max", .kind = KIND_DURATION, .default_text = "5min",
     RANGE(MS, DAY), .help = "The longest pause, also when the server asks for more."},
    {UPLOAD(token_file), .key = "token_file", .kind = KIND_PATH, .default_text = "",
     .flags = OPTION_SECRET,
     .help = "A file with a bearer token, which nobody else may read. Empty: none is sent."},
    {UPLOAD(ca_file), .key = "ca_file", .kind = KIND_PATH, .default_text = "",
     .flags = OPTION_READABLE,
     .help = "Certificates (PEM) that the server's must descend from. Empty: the system's."},
    {UPLOAD(client_cert), .key = "client_cert", .kind = KIND_PATH, .default_text = "",
     .flags = OPTION_READABLE, .help = "Our own certificate (PEM). Empty: none is shown."},
    {UPLOAD(client_key), .key = "client_key", .kind = KIND_PATH, .default_text = "",
     .flags = OPTION_SECRET,
     .help = "The key (PEM) of client_cert, which nobody else may read. Empty: the certificate's "
             "file holds it."},
    {UPLOAD(pinned_key), .key = "pinned_key", .kind = KIND_STRING, .default_text = "",
     .help = "The server must have this public key, whatever its certificate descends from: the "
             "SHA-256 of its DER form in base64; several are separated by ;. Empty: any."},
    {UPLOAD(user), .key = "user", .kind = KIND_STRING, .default_text = "",
     .help = "User of HTTP basic authentication; password_file goes with it. Empty: none."},
    {UPLOAD(password_file), .key = "password_file", .kind = KIND_PATH, .default_text = "",
     .flags = OPTION_SECRET,
     .help = "A file with the user's password, which nobody else may read."},
    {UPLOAD(proxy), .key = "proxy", .kind = KIND_STRING, .default_text = "",
     .help = "A proxy for this upload, as http://proxy.example.org:3128. Empty: what "
             "https_proxy, http_proxy and all_proxy in the environment say."},
    {UPLOAD(proxy_user), .key = "proxy_user", .kind = KIND_STRING, .default_text = "",
     .help = "User at the proxy; proxy_password_file goes with it. Empty: none."},
    {UPLOAD(proxy_password_file), .key = "proxy_password_file", .kind = KIND_PATH,
     .default_text = "", .flags = OPTION_SECRET,
     .help = "A file with the password at the proxy, which nobody else may read."},
    {UPLOAD(no_proxy), .key = "no_proxy", .kind = KIND_STRING, .default_text = "",
     .help = "Hosts that are reached without a proxy, separated by commas; * for all. Empty: what "
             "no_proxy in the environment says."},
    {UPLOAD(unix_socket), .key = "unix_socket", .kind = KIND_PATH, .default_text = "",
     .help = "A unix socket to connect to, whatever the url's host. Empty: the network."},
    {UPLOAD(active_hours), .key = "active_hours", .kind = KIND_STRING, .default_text = "",
     .help =
         "Hours of the day, by local time, in which to deliver, as 22:00-06:00. Empty: always."},
    {UPLOAD(bandwidth), .key = "bandwidth", .kind = KIND_BYTES, .default_text = "0",
     RANGE(0, INT64_C(1) << 40), .help = "Bytes a second to send at most. 0: no limit."},
    {UPLOAD(redirect), .key = "redirect", .kind = KIND_ENUM, .default_text = "off",
     .choices = redirects,
     .help = "Whether an answer that points elsewhere (307, 308) is followed: off, or same-host: "
             "to another path of the same scheme, host and port."},
    {UPLOAD(allow_http), .key = "allow_http", .kind = KIND_BOOL, .default_text = "no",
     .help = "Take plain http to other machines too. Names, contents of rows and the token then "
             "travel in the clear."},
};

const size_t config_option_count = ARRAY_LEN(config_options);

const char *config_scope_name(enum option_scope scope)
{
    static const char *const names[SCOPE_COUNT] = {"daemon", "folder", "upload"};

    return names[scope];
}

const struct option *config_option_find(enum option_scope scope, const char *key)
{
    for (size_t i = 0; i < config_option_count; i++)
        if (config_options[i].scope == scope && strcmp(config_options[i].key, key) == 0)
            return &config_options[i];
    return NULL;
}

const char *config_option_nearest(enum option_scope scope, const char *key)
{
    const char *keys[SCOPE_KEYS_MAX];
    size_t count = 0;

    for (size_t i = 0; i < config_option_count && count < SCOPE_KEYS_MAX; i++)
        if (config_options[i].scope == scope)
            keys[count++] = config_options[i].key;
    return text_nearest(key, keys, count);
}
