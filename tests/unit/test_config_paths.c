/* test_config_paths.c: what the configuration's checks see on the disk, loading from a file, and
 * where things are looked for by default. */
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "buf.h"
#include "config.h"
#include "err.h"
#include "osfile.h"

struct place {
    char path[64];
    int fd;
};

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
    (void)st;
    (void)kind;
    (void)where;
    return remove(path);
}

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof *place);

    assert_non_null(place);
    (void)snprintf(place->path, sizeof place->path, "/tmp/spoor-test-XXXXXX");
    assert_non_null(mkdtemp(place->path));
    place->fd = osfile_open_dir(place->path, NULL);
    assert_true(place->fd >= 0);
    assert_int_equal(mkdirat(place->fd, "a", 0755), 0);
    assert_int_equal(mkdirat(place->fd, "a/in", 0755), 0);
    assert_int_equal(mkdirat(place->fd, "a/in/deep", 0755), 0);
    assert_int_equal(mkdirat(place->fd, "ab", 0755), 0);
    assert_int_equal(symlinkat("a/in", place->fd, "link"), 0);
    assert_int_equal(osfile_replace(place->fd, "file", "x\n", 2, NULL), 0);
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;

    assert_int_equal(close(place->fd), 0);
    assert_int_equal(nftw(place->path, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    free(place);
    return 0;
}

/* Checks folders f0, f1 at these paths with this state directory; "" is no second folder. */
static int check(const struct place *place, const char *first, const char *second,
                 const char *state_dir, const char *more, struct err *err)
{
    struct config *config = NULL;
    struct buf text;

    buf_init(&text, 10000);
    buf_addf(&text, "[daemon]\nstate_dir=%s\n[folder \"f0\"]\npath=%s\n", state_dir, first);
    if (*second)
        buf_addf(&text, "[folder \"f1\"]\npath=%s\n", second);
    buf_addf(&text, "[upload \"u\"]\nurl=https://h/\n%s", more);
    int rc = config_parse("c", place->path, text.data, text.len, &config, err);
    if (rc != 0)
        fail_msg("%s", err->text);
    rc = config_check_paths(config, NULL, err);
    config_free(config);
    buf_deinit(&text);
    return rc;
}

static void test_missing_folder_is_noted(void **state)
{
    const struct place *place = *state;
    static const char text[] = "[daemon]\nstate_dir=s\n[folder \"f\"]\npath=none\n";
    struct config *config = NULL;
    struct err err = {0};
    struct buf notes;

    buf_init(&notes, 10000);
    assert_int_equal(config_parse("c", place->path, text, strlen(text), &config, &err), 0);
    assert_int_equal(config_check_paths(config, &notes, &err), 0);
    assert_non_null(strstr(notes.data, "c:4: folder 'f': cannot open '"));
    assert_non_null(strstr(notes.data, "it is waited for\n"));
    config_free(config);
    buf_deinit(&notes);
}

static void test_folders(void **state)
{
    static const struct {
        const char *first, *second, *state_dir;
        int rc;
        const char *fault;
    } cases[] = {
        {"a", "ab", "state", 0, NULL},
        {"a", "", "state/not/there/yet", 0, NULL},
        {"a/in", "ab", "a/state", 0, NULL}, /* beside, not inside */
        {"a", "none", "state", 0, NULL},    /* not mounted yet, perhaps: noted, see below */
        {"none", "none", "state", ERR_INVALID, "c:6: folder 'f1': "},
        {"a", "none", "none/state", ERR_INVALID, "c: state_dir '"},
        {"file", "", "state", ERR_IO, "c:4: folder 'f0': cannot open '"},
        {"a", "a", "state", ERR_INVALID, "c:6: folder 'f1': "},
        {"a", "ab/../a", "state", ERR_INVALID, "c:6: folder 'f1': "},
        {"a/in", "link", "state", ERR_INVALID, "c:6: folder 'f1': "},
        {"a", "a/in/deep", "state", ERR_INVALID, "c:6: folder 'f1': "},
        {"a/in/deep", "a", "state", ERR_INVALID, "c:4: folder 'f0': "},
        {"link", "a", "state", ERR_INVALID, "c:4: folder 'f0': "},
        {"/", "a", "/proc/spoor", ERR_INVALID, "c:6: folder 'f1': "},
        {"a", "", "a", ERR_INVALID, "c:2: state_dir '"},
        {"a", "", "a/x/y/z", ERR_INVALID, "c:2: state_dir '"},
        {"a", "", "link/x", ERR_INVALID, "c:2: state_dir '"},
        {"a", "ab", "ab/x", ERR_INVALID, "c:2: state_dir '"},
        {"a", "", "file/x", ERR_IO, "c:2: state_dir: cannot open '"},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct err err = {0};
        int rc = check(*state, cases[i].first, cases[i].second, cases[i].state_dir, "", &err);
        if (rc != cases[i].rc ||
            (rc != 0 && strncmp(err.text, cases[i].fault, strlen(cases[i].fault)) != 0))
            fail_msg("case %zu: %d '%s'", i, rc, err.text);
    }
}

static void test_secrets(void **state)
{
    struct place *place = *state;
    struct err err;

    assert_int_equal(check(place, "a", "", "s", "token_file=file\n", &err), 0);
    assert_int_equal(fchmodat(place->fd, "file", 0640, 0), 0);
    assert_int_equal(check(place, "a", "", "s", "token_file=file\n", &err), ERR_DENIED);
    assert_memory_equal(err.text, "c:7: upload 'u': token_file: ", 29);
    assert_int_equal(check(place, "a", "", "s", "token_file=none\n", &err), ERR_NOTFOUND);
    assert_int_equal(check(place, "a", "", "s", "client_cert=file\n", &err), 0);
    assert_int_equal(check(place, "a", "", "s", "client_cert=file\nclient_key=file\n", &err),
                     ERR_DENIED);
    assert_int_equal(check(place, "a", "", "s", "ca_file=none\n", &err), ERR_NOTFOUND);
    assert_memory_equal(err.text, "c:7: upload 'u': ca_file: ", 26);
}

static void test_load(void **state)
{
    static const char text[] = "[folder \"f\"]\npath = a\nsettle = 1\n";
    struct place *place = *state;
    struct config *config = NULL;
    struct err err;
    char path[128], want[160];

    (void)snprintf(path, sizeof path, "%s/spoor.conf", place->path);
    assert_int_equal(config_load(path, &config, &err), ERR_NOTFOUND);
    assert_int_equal(osfile_replace(place->fd, "spoor.conf", text, sizeof text - 1, NULL), 0);
    assert_int_equal(config_load(path, &config, &err), ERR_INVALID);
    (void)snprintf(want, sizeof want, "%s:3: settle '1': ", path);
    assert_memory_equal(err.text, want, strlen(want));
    assert_null(config);
    assert_int_equal(osfile_replace(place->fd, "spoor.conf", text, sizeof text - 12, NULL), 0);
    /* By a relative path too, files are found beside the configuration. */
    assert_int_equal(fchdir(place->fd), 0);
    assert_int_equal(config_load("ab/../spoor.conf", &config, &err), 0);
    (void)snprintf(want, sizeof want, "%s/ab/../a", place->path);
    assert_string_equal(config->folders[0].path, want);
    (void)snprintf(want, sizeof want, "%s/ab/../spoor.conf", place->path);
    assert_string_equal(config->file, want);
    config_free(config);
    assert_int_equal(chdir("/"), 0);
}

static void test_defaults_by_user(void **state)
{
    struct place *place = *state;
    struct config *config = NULL;
    struct err err;
    struct buf paths;
    char *found = NULL;
    char want[160];
    const char *text = "[folder \"f\"]\npath = a\n";

    buf_init(&paths, 10000);
    assert_int_equal(setenv("HOME", place->path, 1), 0);
    assert_int_equal(unsetenv("XDG_CONFIG_HOME"), 0);
    config_search_paths(&paths);
    (void)snprintf(want, sizeof want, "%s/.config/spoor/spoor.conf\n/etc/spoor/spoor.conf\n",
                   place->path);
    assert_string_equal(paths.data, want);
    buf_reset(&paths);
    (void)snprintf(want, sizeof want, "%s/ab", place->path);
    assert_int_equal(setenv("XDG_CONFIG_HOME", want, 1), 0);
    config_search_paths(&paths);
    (void)snprintf(want, sizeof want, "%s/ab/spoor/spoor.conf", place->path);
    assert_memory_equal(paths.data, want, strlen(want));
    buf_deinit(&paths);

    if (access("/etc/spoor/spoor.conf", F_OK) != 0) {
        assert_int_equal(config_find(&found, &err), ERR_NOTFOUND);
        assert_non_null(strstr(err.text, want));
    }
    assert_int_equal(mkdirat(place->fd, "ab/spoor", 0755), 0);
    assert_int_equal(osfile_replace(place->fd, "ab/spoor/spoor.conf", text, strlen(text), &err), 0);
    assert_int_equal(config_find(&found, &err), 0);
    assert_string_equal(found, want);
    assert_int_equal(setenv("XDG_STATE_HOME", "/state/home", 1), 0);
    assert_int_equal(config_load(found, &config, &err), 0);
    assert_string_equal(config->daemon.state_dir,
                        geteuid() == 0 ? "/var/lib/spoor" : "/state/home/spoor");
    config_free(config);
    free(found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_missing_folder_is_noted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_folders, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_secrets, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_load, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_defaults_by_user, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
