/* brake.c: see brake.h. */
#include "brake.h"

#include "reader.h"

int64_t brake_entries(const struct brake *brake, const struct change *row)
{
    if (!brake || row->kind != CHANGE_DELETE || row->seq <= brake->released)
        return 0;
    return 1 + (row->entries > 0 ? row->entries : 0);
}

bool brake_holds(struct brake *brake, int64_t entries)
{
    if (!brake || brake->count == 0 || entries == 0)
        return false;
    int64_t gone = brake->sent + entries;
    if (gone <= brake->count)
        return false;
    /* Entries are counted by a walk over an index: only now. A folder that cannot be counted is
     * taken for an empty one, which errs on the side of asking. */
    if (brake->left < 0 && reader_entry_count(brake->reader, &brake->left, NULL))
        brake->left = 0;
    /* By a server's word there may be as many as there are numbers: no product of all of them. */
    int64_t all = brake->left + gone;
    return gone > all / 100 * brake->percent + all % 100 * brake->percent / 100;
}
