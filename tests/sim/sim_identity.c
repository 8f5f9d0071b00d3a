/* sim_identity.c: what lives on keeps its entry: a file or directory that was in the tree, and was
 * visible in the folder from then on, whatever it was called and wherever it lay, has the same
 * logical id after every commit.
 *
 * Not asked of what the daemon could not have known: what left the folder, was ignored, covered or
 * unreadable for a moment; files with several names, whose entries may change places; what moved
 * between two looks of one round; and everything, while a change of ignore rules is not synced yet,
 * while there are fewer watches than directories, on a disk whose identities do not last, or when a
 * polled directory was unreadable: that one is tried again by itself, and what has left it is
 * looked for nowhere else then. */
#include "reader.h"
#include "sim.h"
#include "sim_walk.h"

struct visible {
    bool node[SIM_NODES], frozen;
    const struct sim_disk *disk;
};

static bool see(void *ctx, const char *path, int node)
{
    struct visible *visible = ctx;
    (void)path;
    visible->node[node] = !visible->disk->nodes[node].covered;
    return true;
}

static void see_nothing(void *ctx, const char *path)
{
    struct visible *visible = ctx;
    (void)path;
    visible->frozen = true;
}

static void look(const struct sim *sim, struct visible *out)
{
    *out = (struct visible){.disk = &sim->disk};
    if (sim->disk.at_path == SIM_ROOT) {
        (void)sim_walk(&sim->disk, see, see_nothing, out); /* see() never ends it */
    }
}

void sim_identity_changed(struct sim *sim)
{
    struct visible visible;
    look(sim, &visible);
    sim->frozen |= visible.frozen;
    for (int i = 0; i < sim->disk.next; i++) {
        if (!visible.node[i]) {
            sim->identity[i].entry = 0;
        }
    }
}

void sim_identity_forget(struct sim *sim, int node)
{
    int nodes[SIM_NODES];
    sim->identity[node].entry = 0;
    if (sim->disk.nodes[node].type != ENTRY_DIR) {
        return;
    }
    int count = sim_dirs_below(&sim->disk, node, nodes);
    for (int i = 0; i < count; i++) {
        sim->identity[nodes[i]].entry = 0;
        for (int n = 0; n < SIM_NAMES; n++) {
            sim->identity[sim->disk.nodes[nodes[i]].kids[n]].entry = 0;
        }
    }
}

void sim_identity_begin(struct sim *sim)
{
    for (int i = 0; i < SIM_NODES; i++) {
        sim->identity[i].entries = 0;
        sim->identity[i].kept = false;
    }
}

void sim_identity_note(struct sim *sim, const struct reader_entry *seen)
{
    for (int i = SIM_FIRST; i < sim->disk.next; i++) {
        struct file_id file = sim_file(&sim->disk.nodes[i]);
        if (file_id_equal(file, seen->file)) {
            sim->identity[i].entries++;
            sim->identity[i].latest = seen->id;
            sim->identity[i].kept |= seen->id == sim->identity[i].entry;
        }
    }
}

bool sim_identity_check(struct sim *sim)
{
    struct visible visible;
    look(sim, &visible);
    bool limited = (sim->config.kernel == SIM_INOTIFY && sim->config.watch_max < SIM_NODES) ||
                   (sim->config.kernel == SIM_POLL && sim->frozen) || sim->config.weak;
    for (int i = SIM_FIRST; i < sim->disk.next; i++) {
        struct sim_identity *identity = &sim->identity[i];
        bool asked =
            identity->entry && !sim->disk.nodes[i].many_links && !limited && !sim->rules_changed;
        if (asked && !identity->kept) {
            return sim_wrong(sim, "I9: node %d lives on and lost its entry %lld", i,
                             (long long)identity->entry);
        }
        identity->entry = visible.node[i] && identity->entries == 1 ? identity->latest : 0;
    }
    return true;
}
