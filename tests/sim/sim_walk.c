/* sim_walk.c: see sim_walk.h. */
#include "sim_walk.h"

enum { DEPTH_MAX = 24 };

struct walk {
    const struct sim_disk *disk;
    bool (*seen)(void *ctx, const char *path, int node);
    void (*frozen)(void *ctx, const char *path);
    void *ctx;
    char path[SIM_PATH];
    uint8_t rules[DEPTH_MAX]; /* which text governs each level; 0 none */
};

/* The patterns of sim_rules(), spelled out: the deepest that speaks of the name decides. */
static bool is_ignored(const struct walk *walk, int name, bool dir, int depth)
{
    if (name == SIM_NAME_RULES && !dir) {
        return false;
    }
    for (int i = depth; i >= 0; i--) {
        switch (walk->rules[i]) {
        case 1:
            if (name == 1) {
                return true;
            }
            break;
        case 2:
            if (name == 2 && dir) {
                return true;
            }
            break;
        case 3:
            if (name == 1) {
                return false;
            }
            break;
        case 4:
            return true;
        default:
            break;
        }
    }
    return false;
}

static bool is_frozen(const struct sim_disk *disk, const struct sim_node *dir)
{
    int rules = dir->kids[SIM_NAME_RULES];
    return (dir->mode & 0500) != 0500 ||
           (rules && disk->nodes[rules].type == ENTRY_FILE && !(disk->nodes[rules].mode & 0400));
}

static bool walk_dir(struct walk *walk, int index, int depth)
{
    const struct sim_node *nodes = walk->disk->nodes, *dir = &nodes[index];
    int rules = dir->kids[SIM_NAME_RULES];
    size_t len = strlen(walk->path);
    bool ok = true;
    if (depth == DEPTH_MAX || is_frozen(walk->disk, dir)) {
        walk->frozen(walk->ctx, walk->path);
        return true;
    }
    walk->rules[depth] = rules && nodes[rules].type == ENTRY_FILE ? nodes[rules].rules : 0;
    for (int n = 0; n < SIM_NAMES && ok; n++) {
        int kid = dir->kids[n];
        struct bytes name = sim_name(walk->disk, n);
        bool kid_dir = nodes[kid].type == ENTRY_DIR;
        if (!kid || is_ignored(walk, n, kid_dir, depth) || len + name.len + 2 > sizeof walk->path) {
            continue; /* a path that is too long for here was refused when its row came */
        }
        (void)snprintf(walk->path + len, sizeof walk->path - len, "%s%.*s", len ? "/" : "",
                       (int)name.len, name.at);
        ok = walk->seen(walk->ctx, walk->path, kid) &&
             (!kid_dir || nodes[kid].covered || walk_dir(walk, kid, depth + 1));
        walk->path[len] = '\0';
    }
    return ok;
}

bool sim_walk(const struct sim_disk *disk, bool (*seen)(void *ctx, const char *path, int node),
              void (*frozen)(void *ctx, const char *path), void *ctx)
{
    struct walk walk = {.disk = disk, .seen = seen, .frozen = frozen, .ctx = ctx};
    return walk_dir(&walk, SIM_ROOT, 0);
}
