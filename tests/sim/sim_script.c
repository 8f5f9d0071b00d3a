/* sim_script.c: see sim_script.h. A script is made against a disk of its own, so that most of what
 * it asks for can be done; what cannot does nothing, so that any part of it is a script, too. */
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
};
static const char letters[SIM_NAMES + 1] = "abcdei";

uint64_t sim_random(uint64_t *state)
{
    uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* ---- making ---- */

struct maker {
    uint64_t state;
    struct sim_disk disk;
    int unreadable; /* how often, of 100, modes that shut the daemon out are given */
    int torn;       /* how often, of 100, an operation waits for a look */
    int inner;      /* depth that is kept to */
};

static int64_t pick(struct maker *maker, int64_t count)
{
    return (int64_t)(sim_random(&maker->state) % (uint64_t)count);
}

static bool chance(struct maker *maker, int percent)
{
    return pick(maker, 100) < percent;
}

/* A directory that is there. */
static int pick_dir(struct maker *maker, struct sim_path *path)
{
    const struct sim_disk *disk = &maker->disk;
    *path = (struct sim_path){.outside = chance(maker, 8)};
    int dir = path->outside ? SIM_OUTSIDE : SIM_ROOT;
    while (path->depth < maker->inner && chance(maker, 65)) {
        int first = (int)pick(maker, SIM_NAMES), kid = 0, name = 0;
        for (int i = 0; i < SIM_NAMES && !kid; i++) {
            name = (first + i) % SIM_NAMES;
            int node = disk->nodes[dir].kids[name];
            kid = node && disk->nodes[node].type == ENTRY_DIR ? node : 0;
        }
        if (!kid) {
            break;
        }
        path->names[path->depth++] = (uint8_t)name;
        dir = kid;
    }
    return dir;
}

/* A name, one that is there when `there`. */
static void pick_path(struct maker *maker, bool there, struct sim_path *path)
{
    int dir = pick_dir(maker, path);
    int name = chance(maker, 6) ? SIM_NAME_RULES : (int)pick(maker, SIM_NAMES - 1);
    for (int i = 0; there && i < SIM_NAMES && !maker->disk.nodes[dir].kids[name]; i++) {
        name = (name + 1) % SIM_NAMES;
    }
    path->names[path->depth++] = (uint8_t)name;
}

static int64_t pick_mode(struct maker *maker)
{
    static const int64_t good[] = {0755, 0700, 0644, 0600, 0777, 0500};
    static const int64_t bad[] = {0, 0311, 0444, 0200};
    return chance(maker, maker->unreadable) ? bad[pick(maker, 4)] : good[pick(maker, 6)];
}

static void make_user_op(struct maker *maker, struct sim_op *op)
{
    static const uint8_t kinds[] = {
        SIM_CREATE, SIM_CREATE,  SIM_CREATE,   SIM_CREATE, SIM_MKDIR,  SIM_MKDIR,  SIM_MKDIR,
        SIM_MKDIR,  SIM_WRITE,   SIM_WRITE,    SIM_BEGIN,  SIM_END,    SIM_MAPPED, SIM_RESTORE,
        SIM_CHMOD,  SIM_TOUCH,   SIM_TRUNCATE, SIM_FIFO,   SIM_LINK,   SIM_REMOVE, SIM_REMOVE,
        SIM_REMOVE, SIM_RENAME,  SIM_RENAME,   SIM_RENAME, SIM_RENAME, SIM_RENAME, SIM_EXCHANGE,
        SIM_COVER,  SIM_UNCOVER, SIM_SYMLINK};
    op->kind = (enum sim_kind)kinds[pick(maker, (int64_t)ARRAY_LEN(kinds))];
    bool made = op->kind == SIM_CREATE || op->kind == SIM_MKDIR || op->kind == SIM_FIFO ||
                op->kind == SIM_SYMLINK;
    op->number = op->kind == SIM_CHMOD ? pick_mode(maker) : pick(maker, 5000);
    op->torn = chance(maker, maker->torn) ? (int)pick(maker, 12) + 1 : 0;
    pick_path(maker, !made, &op->path);
    if (op->kind == SIM_COVER && !chance(maker, maker->unreadable)) {
        op->kind = SIM_RENAME;
    }
    if (op->kind == SIM_RENAME || op->kind == SIM_LINK || op->kind == SIM_EXCHANGE) {
        pick_path(maker, op->kind == SIM_EXCHANGE, &op->to);
    }
    sim_disk_do(&maker->disk, NULL, op, 1);
}

static void make_other_op(struct maker *maker, struct sim_op *op)
{
    static const uint8_t kinds[] = {
        SIM_RUN,       SIM_RUN,       SIM_RUN,       SIM_RUN,      SIM_STEP,  SIM_WAIT,  SIM_WAIT,
        SIM_WAIT,      SIM_WAIT,      SIM_WAIT,      SIM_WAIT,     SIM_SYNC,  SIM_SYNC,  SIM_CRASH,
        SIM_CRASH,     SIM_RESTART,   SIM_OVERFLOW,  SIM_JUMP,     SIM_FAULT, SIM_FAULT, SIM_FAULT,
        SIM_ROOT_AWAY, SIM_ROOT_BACK, SIM_ROOT_SWAP, SIM_ROOT_BACK};
    op->kind = (enum sim_kind)kinds[pick(maker, (int64_t)ARRAY_LEN(kinds))];
    switch (op->kind) {
    case SIM_WAIT:
        op->number = chance(maker, 50) ? pick(maker, 500) : pick(maker, 20000);
        break;
    case SIM_CRASH:
        op->number = pick(maker, 60) + 1;
        break;
    case SIM_JUMP:
        op->number = pick(maker, 200000) - 100000;
        break;
    default:
        op->number = pick(maker, 64);
        break;
    }
}

void sim_script_make(uint64_t seed, struct sim_script *out)
{
    static const int64_t settles[] = {0, 300, 300, 1500}, delays[] = {100, 5000, 5000, 30000};
    static const int64_t queues[] = {6, 30, 400, 400}, watches[] = {3, 8, 1000, 1000, 1000};
    static const int64_t batches[] = {16, 40, 1000}, ticks[] = {0, 4, 1000};
    struct maker maker = {.state = seed};
    *out = (struct sim_script){.config = {.seed = seed}};
    struct sim_config *config = &out->config;
    sim_disk_init(&maker.disk);
    config->settle_ms = settles[pick(&maker, 4)];
    config->delay_ms = delays[pick(&maker, 4)];
    config->queue_max = queues[pick(&maker, 4)];
    config->watch_max = watches[pick(&maker, 5)];
    config->batch_rows = batches[pick(&maker, 3)];
    config->batch_delay_ms = pick(&maker, 2) * 1000;
    config->merge = pick(&maker, 3) == 0;
    config->coarse_ms = ticks[pick(&maker, 3)];
    maker.unreadable = chance(&maker, 40) ? 50 : 0;
    maker.torn = chance(&maker, 50) ? 40 : 0;
    maker.inner = (int)pick(&maker, SIM_DEPTH - 2) + 1;
    int others = (int)pick(&maker, 40) + 10;
    out->count = (int)pick(&maker, 70) + 8;
    for (int i = 0; i < out->count; i++) {
        if (chance(&maker, others)) {
            make_other_op(&maker, &out->ops[i]);
        } else {
            make_user_op(&maker, &out->ops[i]);
        }
    }
}

/* ---- printing and reading ---- */

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
    buf_addf(out, "config %llu %lld %lld %lld %lld %lld %lld %lld %lld\n",
             (unsigned long long)c->seed, (long long)c->settle_ms, (long long)c->delay_ms,
             (long long)c->queue_max, (long long)c->watch_max, (long long)c->batch_rows,
             (long long)c->batch_delay_ms, (long long)c->merge, (long long)c->coarse_ms);
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
                                &config->merge,     &config->coarse_ms};
    bool ok = take_number(line, &seed);
    config->seed = (uint64_t)seed;
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        ok = ok && take_number(line, numbers[i]);
    }
    return ok;
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
