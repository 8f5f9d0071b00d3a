/* format.c: see format.h.
 *
 *   spoor        a row a line (row.h): the journal is named by the request
 *   ndjson       the same with the journal's id in each row: (journal, epoch, seq) is the key by
 *                which a store tells rows that came twice
 *   cloudevents  an array of CloudEvents 1.0 in JSON (batched content mode of the HTTP binding);
 *                `data` is the row, `source` and `id` together are the key */
#include "format.h"

#include "buf.h"
#include "change.h"
#include "clock.h"
#include "journal.h"
#include "json.h"
#include "row.h"
#include "text.h"

void format_begin(const struct format *format, struct buf *out)
{
    if (format->kind == CONFIG_FORMAT_CLOUDEVENTS)
        buf_add_str(out, "[\n");
}

void format_end(const struct format *format, struct buf *out)
{
    if (format->kind == CONFIG_FORMAT_CLOUDEVENTS)
        buf_add_str(out, "]\n");
}

/* The row behind what was begun without its end: `,` takes the place of the row's `{`. */
static void continue_with_row(const struct format *format, const struct change *change,
                              struct buf *out)
{
    size_t at = out->len;
    row_write_snapshot(out, format->folder, change, format->gen);
    if (buf_ok(out))
        out->data[at] = ',';
}

static void add_event(const struct format *format, const struct change *change, struct buf *out)
{
    char time[CLOCK_TEXT_SIZE];
    json_begin(out);
    json_cstr(out, "specversion", "1.0");
    if (format->gen) /* the entry's own row may have gone out before */
        buf_addf(out, ",\"id\":\"%lld-%lld-%lld\"", (long long)change->epoch,
                 (long long)format->gen, (long long)change->entry);
    else
        buf_addf(out, ",\"id\":\"%lld-%lld\"", (long long)change->epoch, (long long)change->seq);
    buf_addf(out, ",\"source\":\"urn:spoor:%s\"", format->journal);
    buf_addf(out, ",\"type\":\"spoor.%s\"", change_kind_name(change->kind));
    clock_format_ms(change->time_ms, time);
    json_cstr(out, "time", time);
    /* An attribute is text; a name that is not has its bytes in the row alone. */
    if (change->path.len && text_is_utf8(change->path.at, change->path.len))
        json_str(out, "subject", change->path.at, change->path.len);
    json_cstr(out, "datacontenttype", "application/json");
    json_key(out, "data");
    row_write_snapshot(out, format->folder, change, format->gen);
    if (out->len > 0)
        buf_truncate(out, out->len - 1); /* the row's newline */
    buf_add_str(out, "}\n");
}

void format_row(const struct format *format, const struct change *change, bool first,
                struct buf *out)
{
    switch (format->kind) {
    case CONFIG_FORMAT_SPOOR:
        row_write_snapshot(out, format->folder, change, format->gen);
        break;
    case CONFIG_FORMAT_NDJSON:
        buf_addf(out, "{\"journal\":\"%s\"", format->journal);
        continue_with_row(format, change, out);
        break;
    case CONFIG_FORMAT_CLOUDEVENTS:
        if (!first)
            buf_add_char(out, ',');
        add_event(format, change, out);
        break;
    }
}

const char *format_media_type(enum config_format kind)
{
    return kind == CONFIG_FORMAT_CLOUDEVENTS ? "application/cloudevents-batch+json"
                                             : "application/x-ndjson";
}

void format_add_url(struct buf *out, const char *url, const struct journal_info *info,
                    const struct journal_batch *batch)
{
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {
        {"{epoch}", batch->epoch},
        {"{first}", batch->first},
        {"{last}", batch->last},
    };
    while (*url) {
        size_t taken = 0;
        if (strncmp(url, "{journal}", 9) == 0) {
            buf_add_str(out, info->id);
            taken = 9;
        }
        for (size_t i = 0; i < ARRAY_LEN(numbers) && !taken; i++)
            if (strncmp(url, numbers[i].name, strlen(numbers[i].name)) == 0) {
                if (batch->gen) { /* a part's numbers are not those of rows */
                    buf_add_i64(out, batch->gen);
                    buf_add_char(out, '-');
                }
                buf_add_i64(out, numbers[i].value);
                taken = strlen(numbers[i].name);
            }
        if (!taken) {
            buf_add_char(out, *url);
            taken = 1;
        }
        url += taken;
    }
}
