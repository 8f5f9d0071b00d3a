/* config.h: the daemon's configuration, read whole and checked before anything runs.
 *
 * The format is INI, as in git and systemd:
 *
 *     [daemon]
 *     state_dir = /var/lib/spoor
 *     [folder "docs"]
 *     path = /home/ann/docs
 *     ignore = *.tmp
 *     [upload "main"]
 *     url = https://sync.example.org/
 *     folders = docs
 *
 * One option table (config.c) gives parser, default, bounds and help of every key;
 * `spoor config show` and the example file are printed from it. An unknown key or a
 * bad value is refused with file, line, what is wrong and the nearest known key. The
 * struct is immutable after loading: a reload makes a new one. Any thread may read. */
#ifndef SPOOR_CONFIG_H
#define SPOOR_CONFIG_H

struct buf;
struct err;

#define CONFIG_FOLDERS_MAX 64
#define CONFIG_UPLOADS_MAX 64
#define CONFIG_LIST_MAX    1024 /* values of one repeated key */
#define CONFIG_NAME_MAX    64   /* bytes of a section's name: letters, digits, . _ - */
#define CONFIG_FILE_MAX    (1 << 20)

struct config_list {
    char **items;
    size_t count;
};

struct config_daemon {
    char *state_dir; /* absolute */
    char *log_file;  /* "" : stderr when in the foreground, state_dir/spoor.log in the background */
    int64_t log_level; /* enum log_level */
    bool sandbox;      /* the process confines itself: sandbox.h */
};

struct config_folder {
    char *name;
    char *path;                /* absolute */
    struct config_list ignore; /* gitignore patterns, in order */
    int64_t settle_ns;         /* a name is looked at when quiet for so long */
    int64_t max_delay_ns;      /* or when dirty for so long */
    int64_t partial_max_ns;    /* the longest wait for a name that is busy on end */
    int64_t backend;           /* enum config_backend */
    int64_t poll_interval_ns;  /* for directories that cannot be watched */
    int64_t retention_ns;      /* rows younger than this are never purged */
    bool retention_forever;
    /* A reader is waited for so long. */
    int64_t consumer_expiry_ns;
    bool consumer_expiry_forever;
    int64_t rows_max;     /* in the journal, whoever waits for more; 0: no limit */
    int64_t scan_threads; /* 0: one a processor */
    int64_t line;         /* of its section header, for messages */
};

enum config_backend {
    CONFIG_BACKEND_AUTO,
    CONFIG_BACKEND_INOTIFY,
    CONFIG_BACKEND_FANOTIFY,
    CONFIG_BACKEND_POLL,
};
enum config_format { CONFIG_FORMAT_SPOOR, CONFIG_FORMAT_NDJSON, CONFIG_FORMAT_CLOUDEVENTS };
enum config_redirect { CONFIG_REDIRECT_OFF, CONFIG_REDIRECT_SAME_HOST };
enum config_ack { CONFIG_ACK_SEQUENCE, CONFIG_ACK_STATUS };

struct config_upload {
    char *name;
    char *url;                  /* http or https; format spoor: the base */
    struct config_list folders; /* names; empty: all folders */
    int64_t format;             /* enum config_format */
    struct config_list kinds;   /* of rows, by name; empty: all; only of logs */
    int64_t ack;                /* enum config_ack; default sequence for spoor, status for logs */
    int64_t fold;               /* 1: send what rows come to; default for spoor 1, for logs 0 */
    int64_t batch_rows;         /* rows a batch at most */
    int64_t batch_bytes;        /* encoded bytes a batch at most, before compression */
    int64_t batch_delay_ns;     /* gathered for so long before a small batch is sent */
    int64_t compression;        /* gzip level, 1 to 9; 0 sends plain */
    int64_t connect_timeout_ns;
    int64_t timeout_ns;    /* no byte for so long ends a request */
    int64_t retry_min_ns;  /* first back-off */
    int64_t retry_max_ns;  /* longest back-off, and cap of Retry-After */
    char *token_file;      /* bearer token; "" none */
    char *ca_file;         /* "" the system's store */
    char *client_cert;     /* PEM; "" none */
    char *client_key;      /* PEM; "" none */
    int64_t brake_count;   /* entries deleted without asking; 0 no brake */
    int64_t brake_percent; /* and so much of the folder */
    int64_t brake_window_ns;
    bool allow_http;     /* plain http beyond loopback */
    char *pinned_key;    /* "sha256//BASE64" of the server's public key; "" none */
    char *user;          /* basic authentication; "" none */
    char *password_file; /* of `user` */
    char *proxy;         /* url; "" what the environment says */
    char *proxy_user;    /* "" none */
    char *proxy_password_file;
    char *no_proxy;     /* hosts reached directly; "" what the environment says */
    char *unix_socket;  /* connects there whatever the url's host; "" TCP */
    char *active_hours; /* "HH:MM-HH:MM", see hours.h; "" always */
    int64_t bandwidth;  /* bytes a second sent at most, 0 no limit */
    int64_t redirect;   /* enum config_redirect */
    int64_t line;
};

struct config {
    char *file; /* where it came from, absolute */
    struct config_daemon daemon;
    struct config_folder *folders;
    size_t folder_count;
    struct config_upload *uploads;
    size_t upload_count;
    void *origins; /* private to config.c: file and line of each value that was set */
};

/* Reads, parses and checks `path`. On failure *out is untouched and err->text is
 * "FILE:LINE: what is wrong; what to do". Errors: ERR_NOTFOUND, ERR_DENIED, ERR_INVALID, ERR_LIMIT.
 */
int config_load(const char *path, struct config **out, struct err *err);
/* The same from memory; `name` stands for the file in messages. Paths are resolved as if the
 * file lay in `base_dir` (absolute). What it checks on disk: nothing. */
int config_parse(const char *name, const char *base_dir, const char *text, size_t len,
                 struct config **out, struct err *err);
void config_free(struct config *config);

/* What cannot be seen in the text alone: each folder that exists is a directory, no two
 * folders are the same or inside each other (by identity, not by spelling), the state directory
 * is not inside one, token files are private. First fault only. A folder that does not exist is no
 * fault (its disk may be mounted later): a line about it is appended to `notes` (NULL allowed). */
int config_check_paths(const struct config *config, struct buf *notes, struct err *err);

const struct config_folder *config_find_folder(const struct config *config, const char *name);
/* What is wrong with the name of a section (a reader's has the same rules), or NULL. */
const char *config_name_fault(const char *name);
/* True when `upload` serves the folder called `name`. */
bool config_upload_serves(const struct config_upload *upload, const char *name);

/* Where configuration is looked for, most specific first: $XDG_CONFIG_HOME/spoor/spoor.conf (or
 * ~/.config/...), then /etc/spoor/spoor.conf. Appends newline-terminated paths. */
void config_search_paths(struct buf *out);
/* The first of these that exists, or ERR_NOTFOUND with all of them named. Caller frees *out. */
int config_find(char **out, struct err *err);

/* `spoor config show`: every key of every section with its value and its origin ("default", or
 * FILE:LINE) as a comment; with `json` one object {section,name,key,value,origin} a line.
 * Nothing secret is in it: secrets live in files that are named only. */
void config_show(const struct config *config, bool json, struct buf *out);
/* The commented example: every key, its default and help, printed from the option table. */
void config_example(struct buf *out);

#endif
