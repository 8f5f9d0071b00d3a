/* test_upload_collect.c: an upload of two journals against the real collector, and what is fetched
 * from it. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "buf.h"
#include "collect.h"
#include "err.h"
#include "helper_net.h"
#include "helper_upload.h"
#include "log.h"
#include "upload.h"

struct gathered {
    struct buf text;
};

static int gather(void *ctx, const char *bytes, size_t len)
{
    struct gathered *gathered = ctx;
    buf_add(&gathered->text, bytes, len);
    return 0;
}

static void check_server_has(const struct config_upload *config, struct upload_rig *journal)
{
    struct gathered got;
    struct err err = {0};
    char expected[64];
    struct journal_info info = upload_rig_info(journal);
    buf_init(&got.text, 64 << 20);
    assert_int_equal(upload_fetch(config, info.id, "cursor", gather, &got, &err), 0);
    (void)snprintf(expected, sizeof expected, "\"seq\":%lld,", (long long)info.last_seq);
    assert_non_null(strstr(got.text.data, expected));
    (void)snprintf(expected, sizeof expected, "\"tree_sum\":\"%016llx\"",
                   (unsigned long long)info.tree_sum);
    assert_non_null(strstr(got.text.data, expected));
    (void)snprintf(expected, sizeof expected, "\"entries\":%lld", (long long)journal->files);
    assert_non_null(strstr(got.text.data, expected));
    buf_reset(&got.text);
    assert_int_equal(upload_fetch(config, info.id, "tree", gather, &got, &err), 0);
    int64_t lines = 0;
    for (size_t i = 0; i < got.text.len; i++)
        lines += got.text.data[i] == '\n';
    assert_int_equal(lines, journal->files);
    assert_int_equal(upload_fetch(config, "no-such-journal", "tree", gather, &got, &err),
                     ERR_NOTFOUND);
    buf_deinit(&got.text);
}

static void two_journals_reach_the_collector(void **state)
{
    (void)state;
    struct upload_rig one, two;
    struct collect *collect;
    struct upload *upload;
    struct err err = {0};
    char url[64], store[300];
    upload_rig_open(&one, "docs", "main");
    upload_rig_open(&two, "photos", "main");
    upload_rig_commit(&one, 2500, 0);
    upload_rig_commit(&two, 10, 0);
    (void)snprintf(store, sizeof store, "%s/store", one.dir);
    struct collect_options options = {.listen = "127.0.0.1:0", .store = store};
    assert_int_equal(collect_open(&options, &collect, &err), 0);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%d", collect_port(collect));
    struct config_upload config = upload_rig_config(url);
    struct upload_journal ops[] = {upload_rig_ops(&one), upload_rig_ops(&two)};
    assert_int_equal(upload_open(&config, ops, 2, &upload, &err), 0);
    assert_int_equal(upload_start(upload, &err), 0);
    assert_true(upload_rig_wait_acked(&one, 2500));
    assert_true(upload_rig_wait_acked(&two, 10));
    for (int i = 0; i < 20; i++) {
        upload_rig_commit(&one, 30, 0);
        upload_rig_commit(&two, 1, 0);
        upload_notify(upload);
    }
    assert_true(upload_rig_wait_acked(&one, 3100));
    assert_true(upload_rig_wait_acked(&two, 30));
    check_server_has(&config, &one);
    check_server_has(&config, &two);

    /* the server goes away and comes back elsewhere, with what it had */
    collect_close(collect);
    upload_rig_commit(&one, 5, 0);
    upload_notify(upload);
    assert_true(upload_rig_wait_report(&one, "cannot reach"));
    upload_close(upload);
    assert_int_equal(collect_open(&options, &collect, &err), 0);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%d", collect_port(collect));
    assert_int_equal(upload_open(&config, ops, 2, &upload, &err), 0);
    assert_int_equal(upload_start(upload, &err), 0);
    assert_true(upload_rig_wait_acked(&one, 3105));
    check_server_has(&config, &one);
    assert_true(upload_rig_wait_report(&one, "")); /* comes after the counting */
    struct upload_status status[2];
    assert_int_equal(upload_status(upload, status, 2), 2);
    assert_string_equal(status[0].folder, "docs");
    assert_int_equal(status[0].acked, 3105);
    assert_int_equal(status[0].sent_rows, 5);
    assert_int_equal(status[0].sent_batches, 1);
    upload_close(upload);
    collect_close(collect);
    upload_rig_close(&one);
    upload_rig_close(&two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_journals_reach_the_collector),
    };
    net_init();
    log_setup(2, LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
