/* test_collect_address.c: where the collector may listen, and who else does. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "collect.h"
#include "collect_address.h"
#include "err.h"
#include "helper_net.h"
#include "helper_temp.h"
#include "log.h"

static void addresses(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool good, loopback, ipv6;
    } rows[] = {
        {"127.0.0.1:8420", true, true, false},    {"127.9.9.9:0", true, true, false},
        {"localhost:1", true, true, false},       {"[::1]:0", true, true, true},
        {"0.0.0.0:80", true, false, false},       {"[::]:80", true, false, true},
        {"192.0.2.1:80", true, false, false},     {"::1:80", false, false, false},
        {"127.0.0.1", false, false, false},       {"127.0.0.1:", false, false, false},
        {"127.0.0.1:65536", false, false, false}, {":80", false, false, false},
        {"example.org:80", false, false, false},  {"127.0.0.1:-1", false, false, false},
        {"[]:80", false, false, false},           {"", false, false, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct collect_address address;
        struct err err = {0};
        int code = collect_address_parse(rows[i].text, &address, &err);
        assert_int_equal(code, rows[i].good ? 0 : ERR_INVALID);
        if (rows[i].good) {
            assert_int_equal(address.loopback, rows[i].loopback);
            assert_int_equal(address.ipv6, rows[i].ipv6);
        }
    }
}

static void where_it_listens(void **state)
{
    (void)state;
    char dir[256], store[300], other[320], taken[64];
    struct collect *first = NULL, *second = NULL;
    struct err err = {0};
    temp_make(dir, sizeof dir);
    (void)snprintf(store, sizeof store, "%s/store", dir);
    struct collect_options options = {.listen = "127.0.0.1:0", .store = store};
    assert_int_equal(collect_open(&options, &first, &err), 0);
    assert_int_equal(collect_open(&options, &second, &err), ERR_BUSY); /* one a store */
    options.listen = "0.0.0.0:0";
    assert_int_equal(collect_open(&options, &second, &err), ERR_DENIED);
    assert_non_null(strstr(err.text, "token"));
    (void)snprintf(other, sizeof other, "%s-2", store);
    (void)snprintf(taken, sizeof taken, "127.0.0.1:%d", collect_port(first));
    options = (struct collect_options){.listen = taken, .store = other};
    assert_true(collect_open(&options, &second, &err) < 0);
    assert_non_null(strstr(err.text, taken));
    assert_null(second);
    collect_close(first);
    temp_delete(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses),
        cmocka_unit_test(where_it_listens),
    };
    net_init();
    log_setup(2, LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
