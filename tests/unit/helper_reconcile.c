/* helper_reconcile.c: see helper_reconcile.h. */
#include "helper_reconcile.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct simdaemon daemon_;
struct simfs disk_;

int reconcile_setup(void **state)
{
    (void)state;
    return simdaemon_init(&daemon_, &disk_, 0);
}

int reconcile_teardown(void **state)
{
    (void)state;
    simdaemon_deinit(&daemon_);
    return 0;
}

static int make(struct simfs *fs, int dir, int name, enum sim_kind kind)
{
    struct sim_op op = {kind, dir, name, 0, 0};
    sim_do(fs, &op);
    return fs->nodes[dir].kids[name];
}

void reconcile_shape(struct simfs *fs, int which)
{
    enum { A, B, D };
    sim_init(fs);
    switch (which) {
    case 0:
        break;
    case 1: {
        make(fs, SIM_ROOT, A, SIM_CREATE);
        make(fs, SIM_ROOT, B, SIM_CREATE);
        make(fs, SIM_ROOT, D, SIM_MKDIR);
        break;
    }
    case 2: {
        make(fs, SIM_ROOT, A, SIM_CREATE);
        int d = make(fs, SIM_ROOT, D, SIM_MKDIR);
        make(fs, d, A, SIM_CREATE);
        make(fs, d, B, SIM_CREATE);
        break;
    }
    case 3: {
        int a = make(fs, SIM_ROOT, A, SIM_MKDIR);
        make(fs, make(fs, a, A, SIM_MKDIR), B, SIM_CREATE);
        make(fs, SIM_ROOT, B, SIM_CREATE);
        break;
    }
    case 4: {
        int a = make(fs, SIM_ROOT, A, SIM_MKDIR);
        make(fs, make(fs, a, A, SIM_MKDIR), A, SIM_CREATE);
        break;
    }
    default: {
        make(fs, make(fs, SIM_ROOT, A, SIM_MKDIR), B, SIM_CREATE);
        make(fs, make(fs, SIM_ROOT, B, SIM_MKDIR), A, SIM_CREATE);
        make(fs, SIM_ROOT, D, SIM_CREATE);
        break;
    }
    }
}

bool reconcile_start(int which)
{
    reconcile_shape(&disk_, which);
    disk_.all_links = true;
    simdaemon_restart(&daemon_);
    if (!simdaemon_settle(&daemon_)) {
        return false;
    }
    daemon_.row_count = 0;
    return true;
}

void reconcile_expect_rows(const char *expected)
{
    char got[512] = "";
    size_t len = 0;
    for (int i = 0; i < daemon_.row_count; i++) {
        const struct sim_row *row = &daemon_.rows[i];
        len += (size_t)snprintf(got + len, sizeof got - len, "%s%s %s%s%s", i ? ", " : "",
                                change_kind_name(row->kind), row->from, row->from[0] ? ">" : "",
                                row->path);
    }
    assert_string_equal(got, expected);
}

void reconcile_print_failure(const struct sim_op *ops, int count, const char *what)
{
    print_error("%s: %s\n", what, daemon_.why);
    for (int i = 0; i < count; i++) {
        char text[64];
        sim_print(&ops[i], text, sizeof text);
        print_error("  %s\n", text);
    }
    for (int i = daemon_.row_count > 12 ? daemon_.row_count - 12 : 0; i < daemon_.row_count; i++) {
        const struct sim_row *row = &daemon_.rows[i];
        print_error("  row %s %s %s\n", change_kind_name(row->kind), row->from, row->path);
    }
}
