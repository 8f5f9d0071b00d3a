/* test_fanotify_parse.c: records as the kernel writes them, cut at every byte, and noise. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <sys/fanotify.h>

#include "err.h"
#include "fanotify_parse.h"

#define HANDLE_BYTES 8

/* Appends an information record: file system id, a handle of one repeated byte, a name. */
static size_t put_info(char *at, uint8_t type, char handle, const char *name)
{
    size_t name_field = name ? (strlen(name) + 4) / 4 * 4 : 0;
    struct fanotify_event_info_header head = {
        .info_type = type, .len = (uint16_t)(sizeof head + 8 + 8 + HANDLE_BYTES + name_field)};
    uint32_t handle_head[2] = {HANDLE_BYTES, 1};
    memset(at, 0, head.len);
    memcpy(at, &head, sizeof head);
    memset(at + sizeof head, 'f', 8);
    memcpy(at + sizeof head + 8, handle_head, sizeof handle_head);
    memset(at + sizeof head + 16, handle, HANDLE_BYTES);
    if (name)
        memcpy(at + sizeof head + 16 + HANDLE_BYTES, name, strlen(name));
    return head.len;
}

/* Writes the metadata in front of `infos` bytes that follow it. */
static size_t put_head(char *at, uint64_t mask, size_t infos)
{
    struct fanotify_event_metadata head = {.event_len = (uint32_t)(sizeof head + infos),
                                           .vers = FANOTIFY_METADATA_VERSION,
                                           .metadata_len = sizeof head,
                                           .mask = mask,
                                           .fd = FAN_NOFD,
                                           .pid = 77};
    memcpy(at, &head, sizeof head);
    return sizeof head + infos;
}

static size_t put_create(char *at, const char *name)
{
    char *info = at + sizeof(struct fanotify_event_metadata);
    size_t infos = put_info(info, FAN_EVENT_INFO_TYPE_DFID_NAME, 'd', name);
    infos += put_info(info + infos, FAN_EVENT_INFO_TYPE_FID, 't', NULL);
    return put_head(at, FAN_CREATE, infos);
}

static void assert_handle(struct bytes id, char handle)
{
    assert_int_equal(id.len, 8 + 8 + HANDLE_BYTES);
    assert_int_equal(id.at[0], 'f');
    assert_int_equal(id.at[id.len - 1], handle);
}

static void test_records_in_order(void **state)
{
    (void)state;
    char buffer[512];
    struct fanotify_record record;
    size_t offset = 0, len = put_create(buffer, "file");
    char *info = buffer + len + sizeof(struct fanotify_event_metadata);
    size_t infos = put_info(info, FAN_EVENT_INFO_TYPE_OLD_DFID_NAME, 'o', "old");
    infos += put_info(info + infos, FAN_EVENT_INFO_TYPE_NEW_DFID_NAME, 'n', "new");
    infos += put_info(info + infos, 99, 'x', NULL); /* of a kernel to come */
    len += put_head(buffer + len, FAN_RENAME | FAN_ONDIR, infos);
    len += put_head(buffer + len, FAN_Q_OVERFLOW, 0);

    assert_int_equal(fanotify_parse(buffer, len, &offset, &record), 1);
    assert_int_equal(record.mask, FAN_CREATE);
    assert_int_equal(record.pid, 77);
    assert_true(bytes_equal(record.dir.name, bytes_str("file")));
    assert_handle(record.dir.id, 'd');
    assert_handle(record.target.id, 't');
    assert_int_equal(record.from.id.len + record.to.id.len, 0);
    assert_int_equal(fanotify_parse(buffer, len, &offset, &record), 1);
    assert_int_equal(record.mask, FAN_RENAME | FAN_ONDIR);
    assert_true(bytes_equal(record.from.name, bytes_str("old")));
    assert_true(bytes_equal(record.to.name, bytes_str("new")));
    assert_handle(record.from.id, 'o');
    assert_handle(record.to.id, 'n');
    assert_int_equal(record.dir.id.len + record.target.id.len, 0);
    assert_int_equal(fanotify_parse(buffer, len, &offset, &record), 1);
    assert_int_equal(record.mask, FAN_Q_OVERFLOW);
    assert_int_equal(fanotify_parse(buffer, len, &offset, &record), 0);
    assert_int_equal(offset, len);
}

/* Unaligned, and cut at every byte. */
static void test_cut_short(void **state)
{
    (void)state;
    char buffer[256];
    struct fanotify_record record;
    for (size_t shift = 0; shift < 8; shift++) {
        size_t whole = shift + put_create(buffer + shift, "name");
        for (size_t len = shift + 1; len < whole; len++) {
            size_t offset = shift;
            assert_int_equal(fanotify_parse(buffer, len, &offset, &record), ERR_INVALID);
            assert_int_equal(offset, shift);
        }
        size_t offset = shift;
        assert_int_equal(fanotify_parse(buffer, whole, &offset, &record), 1);
        size_t beyond = whole + 1;
        assert_int_equal(fanotify_parse(buffer, whole, &beyond, &record), ERR_INVALID);
    }
}

static void refuse(size_t at, const void *bytes, size_t count)
{
    char buffer[256];
    struct fanotify_record record;
    size_t offset = 0, len = put_create(buffer, "abcdefg"); /* its NUL is the field's last byte */
    memcpy(buffer + at, bytes, count);
    assert_int_equal(fanotify_parse(buffer, len, &offset, &record), ERR_INVALID);
}

static void test_impossible_fields(void **state)
{
    (void)state;
    const size_t info = sizeof(struct fanotify_event_metadata);
    const uint32_t huge = UINT32_MAX, none = 0;
    refuse(0, &huge, 4);           /* length of the record */
    refuse(0, &none, 4);           /* which would never end */
    refuse(4, "\x07", 1);          /* another version of the layout */
    refuse(6, &none, 2);           /* metadata shorter than it is */
    refuse(info + 2, &none, 2);    /* an information record that never ends */
    refuse(info + 2, "\x05", 2);   /* one that holds no handle */
    refuse(info + 12, &huge, 4);   /* a handle longer than its record */
    refuse(info + 28 + 7, "h", 1); /* a name without an end */
}

/* Noise is refused or read, but never read past: under the sanitizer that is a test. */
static void test_noise(void **state)
{
    (void)state;
    uint64_t seed = 42;
    for (int run = 0; run < 20000; run++) {
        char whole[256];
        size_t len = put_create(whole, "some-name");
        for (int i = 0; i < run % 5; i++) {
            seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            whole[(seed >> 40) % len] = (char)(seed >> 33);
        }
        len -= (size_t)(seed >> 20) % 3;
        char *exact = malloc(len);
        assert_non_null(exact);
        memcpy(exact, whole, len);
        struct fanotify_record record;
        size_t offset = 0, records = 0;
        while (fanotify_parse(exact, len, &offset, &record) == 1) {
            records++;
            for (size_t i = 0; i < record.dir.name.len; i++)
                assert_int_not_equal(record.dir.name.at[i], 0);
        }
        assert_true(offset <= len && records <= len / sizeof(struct fanotify_event_metadata));
        free(exact);
    }
}

/* Handles as the file systems give them: an id is 8 bytes of file system, length, type, handle. */
static void test_numbers(void **state)
{
    (void)state;
    static const struct {
        uint32_t type, len;
        const char *handle;
        uint64_t number;
    } cases[] = {
        {0x01, 8, "\x11\x22\x33\x84gggg", 0x84332211},                      /* ext4 */
        {0x01, 12, "gggg\x11\x22\x33\x44\x55\0\0\x88", 0x8800005544332211}, /* tmpfs */
        {0x81, 12, "\x11\x22\x33\x44\x55\0\0\x88gggg", 0x8800005544332211}, /* XFS */
        {0x4d, 20, "\x11\x22\x33\x44\x55\0\0\x88rrrrrrrrgggg", 0x8800005544332211},
    };
    char id[64];
    uint64_t number;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        memset(id, 'f', 8);
        memcpy(id + 8, &cases[i].len, 4);
        memcpy(id + 12, &cases[i].type, 4);
        memcpy(id + 16, cases[i].handle, cases[i].len);
        number = 0;
        assert_true(fanotify_number(bytes_of(id, 16 + cases[i].len), &number));
        assert_true(number == cases[i].number);
        for (size_t len = 0; len < 16 + cases[i].len; len++)
            assert_false(fanotify_number(bytes_of(id, len), &number));
        id[12] ^= 2; /* a handle that nobody knows */
        assert_false(fanotify_number(bytes_of(id, 16 + cases[i].len), &number));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records_in_order),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_cut_short),
        cmocka_unit_test(test_impossible_fields),
        cmocka_unit_test(test_noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
