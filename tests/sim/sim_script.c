/* sim_script.c: scripts as text: see sim_script.h. */
#include "sim_script.h"

#include "buf.h"
#include "err.h"
#include "num.h"

static const char *const words[SIM_KINDS] = {
    [SIM_CREATE] = "create",
    [SIM_MKDIR] = "mkdir",
    [SIM_WRITE] = "write",
    [SIM_BEGIN] = "begin",
    [SIM_END] = "end",
    [SIM_MAPPED] = "mapped",
    [SIM_RESTORE] = "restore",
    [SIM_TRUNCATE] = "truncate",
    [SIM_CHMOD] = "chmod",
    [SIM_TOUCH] = "touch",
    [SIM_SYMLINK] = "symlink",
    [SIM_FIFO] = "fifo",
    [SIM_LINK] = "link",
    [SIM_REMOVE] = "remove",
    [SIM_RENAME] = "rename",
    [SIM_EXCHANGE] = "exchange",
    [SIM_COVER] = "cover",
    [SIM_UNCOVER] = "uncover",
    [SIM_ROOT_AWAY] = "root-away",
    [SIM_ROOT_SWAP] = "root-swap",
    [SIM_ROOT_BACK] = "root-back",
    [SIM_RUN] = "run",
    [SIM_STEP] = "step",
    [SIM_WAIT] = "wait",
    [SIM_SYNC] = "sync",
    [SIM_CRASH] = "crash",
    [SIM_RESTART] = "restart",
    [SIM_OVERFLOW] = "overflow",
    [SIM_JUMP] = "jump",
    [SIM_FAULT] = "fault",
    [SIM_SERVER] = "server",
    [SIM_FLUSH] = "flush",
    [SIM_POWER] = "power",
};
static const char letters[SIM_NAMES + 1] = "abcdei";

const char *sim_kernel_name(int kernel)
{
    static const char *const names[SIM_KERNELS] = {[SIM_INOTIFY] = "inotify",
                                                   [SIM_FANOTIFY] = "fanotify",
                                                   [SIM_POLL] = "poll",
                                                   [SIM_WINDOWS] = "windows",
                                                   [SIM_WINDOWS_PATHS] = "windows-paths"};
    return names[kernel];
}

static void add_path(const struct sim_path *path, struct buf *out)
{
    if (path->depth == 0) {
        buf_add_char(out, '-');
    }
    for (int i = 0; i < path->depth; i++) {
        buf_add_str(out, i ? "/" : path->outside ? "^" : "");
        buf_add_char(out, letters[path->names[i]]);
    }
}

void sim_script_print(const struct sim_script *script, struct buf *out)
{
    const struct sim_config *c = &script->config;
    buf_addf(out, "config %llu %lld %lld %lld %lld %lld %lld %lld %lld %lld %lld %lld %lld\n",
             (unsigned long long)c->seed, (long long)c->settle_ms, (long long)c->delay_ms,
             (long long)c->queue_max, (long long)c->watch_max, (long long)c->batch_rows,
             (long long)c->batch_delay_ms, (long long)c->kernel, (long long)c->coarse_ms,
             (long long)c->poll_s, (long long)c->retention_s, (long long)c->fold,
             (long long)c->weak);
    for (int i = 0; i < script->count; i++) {
        const struct sim_op *op = &script->ops[i];
        buf_addf(out, "%s ", words[op->kind]);
        add_path(&op->path, out);
        buf_add_char(out, ' ');
        add_path(&op->to, out);
        buf_addf(out, " %lld %d\n", (long long)op->number, op->torn);
    }
}

/* The next word of a line; empty at its end. */
static struct bytes next_word(struct bytes *line)
{
    size_t start = 0, end;
    while (start < line->len && line->at[start] == ' ') {
        start++;
    }
    for (end = start; end < line->len && line->at[end] != ' ';) {
        end++;
    }
    struct bytes word = bytes_of(line->at + start, end - start);
    *line = bytes_of(line->at + end, line->len - end);
    return word;
}

static bool take_number(struct bytes *line, int64_t *out)
{
    char text[32] = "";
    struct bytes word = next_word(line);
    if (word.len == 0 || word.len >= sizeof text) {
        return false;
    }
    memcpy(text, word.at, word.len);
    return num_parse_i64(text, INT64_MIN, INT64_MAX, out) == 0;
}

static bool take_path(struct bytes *line, struct sim_path *out)
{
    struct bytes word = next_word(line);
    *out = (struct sim_path){0};
    if (bytes_equal(word, bytes_str("-"))) {
        return true;
    }
    for (size_t i = 0; i < word.len; i++) {
        const char *letter = memchr(letters, word.at[i], SIM_NAMES);
        if (letter && out->depth < SIM_DEPTH) {
            out->names[out->depth++] = (uint8_t)(letter - letters);
        } else if (i == 0 && word.at[i] == '^') {
            out->outside = true;
        } else if (word.at[i] != '/') {
            return false;
        }
    }
    return out->depth > 0;
}

static bool take_config(struct bytes *line, struct sim_config *config)
{
    int64_t seed = 0;
    int64_t *const numbers[] = {&config->settle_ms, &config->delay_ms,   &config->queue_max,
                                &config->watch_max, &config->batch_rows, &config->batch_delay_ms,
                                &config->kernel,    &config->coarse_ms};
    int64_t *const later[] = {&config->poll_s, &config->retention_s, &config->fold, &config->weak};
    bool ok = take_number(line, &seed);
    config->seed = (uint64_t)seed;
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        ok = ok && take_number(line, numbers[i]);
    }
    config->poll_s = 60;
    config->retention_s = config->fold = config->weak = 0;
    for (size_t i = 0; ok && i < ARRAY_LEN(later) && take_number(line, later[i]); i++) {
        ; /* older scripts end before */
    }
    return ok && config->kernel >= 0 && config->kernel < SIM_KERNELS;
}

static bool take_op(struct bytes word, struct bytes *line, struct sim_op *op)
{
    int64_t torn = 0;
    int kind = 0;
    while (kind < SIM_KINDS && !bytes_equal(bytes_str(words[kind]), word)) {
        kind++;
    }
    op->kind = (enum sim_kind)kind;
    bool ok = kind < SIM_KINDS && take_path(line, &op->path) && take_path(line, &op->to) &&
              take_number(line, &op->number) && take_number(line, &torn) && torn < 1000;
    op->torn = (int)torn;
    return ok;
}

int sim_script_parse(const char *text, size_t len, struct sim_script *out, struct err *err)
{
    int number = 0;
    *out = (struct sim_script){0};
    while (len > 0) {
        const char *end = memchr(text, '\n', len);
        struct bytes line = bytes_of(text, end ? (size_t)(end - text) : len);
        len -= line.len + (end != NULL);
        text += line.len + (end != NULL);
        number++;
        struct bytes word = next_word(&line);
        if (word.len == 0 || word.at[0] == '#') {
            continue;
        }
        bool ok = bytes_equal(word, bytes_str("config"))
                      ? take_config(&line, &out->config)
                      : out->count < SIM_OPS_MAX && take_op(word, &line, &out->ops[out->count++]);
        if (!ok) {
            return err_set(err, ERR_INVALID, 0, "line %d is no line of a script", number);
        }
    }
    return 0;
}
