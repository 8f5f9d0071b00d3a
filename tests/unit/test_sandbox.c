/* test_sandbox.c: what the daemon may reach once it is confined. Each case enters the sandbox in a
 * child of its own, since there is no way out of it, and tries from a second thread, as the
 * daemon's threads are. Without Landlock in the kernel the cases that need it are skipped. */
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "buf.h"
#include "config.h"
#include "confine.h"
#include "err.h"
#include "helper_temp.h"
#include "osfile.h"

#define TEXT_MAX 4096

/* A state directory, a folder, a configuration, all of a directory of the test's own; and two
 * listening ports, of which the first is configured. */
struct box {
    struct temp_dir dir;
    struct config *config;
    int listeners[2];
    uint16_t ports[2];
};

static int open_port(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

/* `more` stands at the end of the [daemon] section. */
static struct config *parse(const struct box *box, const char *more, const char *folder,
                            uint16_t port)
{
    struct config *config = NULL;
    struct err err = {0};
    char text[TEXT_MAX], name[160], base[140];
    int len = snprintf(text, sizeof text,
                       "[daemon]\nstate_dir = state\n%s\n[folder \"docs\"]\npath = %s\n"
                       "[upload \"main\"]\nurl = http://127.0.0.1:%u/\ntoken_file = keys/token\n",
                       more, folder, port);

    snprintf(base, sizeof base, "%s/etc", box->dir.path);
    snprintf(name, sizeof name, "%s/spoor.conf", base);
    if (config_parse(name, base, text, (size_t)len, &config, &err) != 0)
        fail_msg("%s", err.text);
    return config;
}

static int set_up(void **state)
{
    struct box *box = calloc(1, sizeof *box);

    assert_non_null(box);
    temp_dir_open(&box->dir);
    temp_mkdir(&box->dir, "etc");
    temp_mkdir(&box->dir, "etc/state");
    temp_mkdir(&box->dir, "etc/keys");
    temp_mkdir(&box->dir, "docs");
    temp_mkdir(&box->dir, "docs/sub");
    temp_mkdir(&box->dir, "log");
    temp_mkdir(&box->dir, "other");
    temp_write(&box->dir, "etc/spoor.conf", "x");
    temp_write(&box->dir, "etc/keys/token", "secret");
    temp_write(&box->dir, "docs/f", "content");
    temp_write(&box->dir, "docs/sub/g", "content");
    temp_write(&box->dir, "other/f", "content");
    for (size_t i = 0; i < ARRAY_LEN(box->listeners); i++)
        box->listeners[i] = open_port(&box->ports[i]);
    box->config = parse(box, "log_file = ../log/spoor.log", "../docs", box->ports[0]);
    *state = box;
    return 0;
}

static int tear_down(void **state)
{
    struct box *box = *state;

    config_free(box->config);
    for (size_t i = 0; i < ARRAY_LEN(box->listeners); i++)
        close(box->listeners[i]);
    temp_dir_close(&box->dir);
    free(box);
    return 0;
}

/* ---- in the child ---- */

#define EXPECT(holds)                                                                              \
    do {                                                                                           \
        if (!(holds)) {                                                                            \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #holds, strerror(errno));       \
            return 1;                                                                              \
        }                                                                                          \
    } while (0)

/* 0 or the errno of an open below the box's directory, by its whole path. */
static int try_open(const struct box *box, const char *name, int flags)
{
    char path[256];

    snprintf(path, sizeof path, "%s%s%s", *name == '/' ? "" : box->dir.path,
             *name == '/' ? "" : "/", name);
    int fd = open(path, flags | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    close(fd);
    return 0;
}

static int try_connect(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int os = connect(fd, (struct sockaddr *)&address, sizeof address) == 0 ? 0 : errno;

    close(fd);
    return os;
}

struct attempt {
    const struct box *box;
    int (*work)(const struct box *box);
    int abi;
    int code;
};

static void *run_attempt(void *ctx)
{
    struct attempt *attempt = ctx;

    attempt->code = attempt->work(attempt->box);
    return NULL;
}

/* Enters the sandbox of the box's configuration, then works in another thread, as the daemon. */
static int confined(void *ctx)
{
    struct attempt *attempt = ctx;
    struct confine confine = {0};
    struct err err = {0};
    pthread_t thread;

    if (confine_enter(&confine, attempt->box->config, false, &err) != 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    int abi = confine.abi;
    confine_deinit(&confine);
    if (abi < attempt->abi)
        return TEMP_CHILD_SKIP;
    if (pthread_create(&thread, NULL, run_attempt, attempt) != 0)
        return 1;
    (void)pthread_join(thread, NULL);
    return attempt->code;
}

static void run_confined(void **state, int abi, int (*work)(const struct box *box))
{
    struct attempt attempt = {.box = *state, .work = work, .abi = abi, .code = 1};
    int code = temp_child(confined, &attempt);

    if (code == TEMP_CHILD_SKIP) {
        print_message("skipped: this kernel's Landlock is older than version %d\n", abi);
        skip();
    }
    assert_int_equal(code, 0);
}

/* ---- cases ---- */

static int folder_is_read_only(const struct box *box)
{
    int dir = box->dir.fd;

    EXPECT(try_open(box, "docs", O_RDONLY | O_DIRECTORY) == 0);
    EXPECT(try_open(box, "docs/f", O_RDONLY) == 0);
    EXPECT(try_open(box, "docs/sub/g", O_RDONLY) == 0);
    EXPECT(try_open(box, "docs/f", O_WRONLY) == EACCES);
    EXPECT(try_open(box, "docs/f", O_RDWR) == EACCES);
    EXPECT(try_open(box, "docs/new", O_WRONLY | O_CREAT) == EACCES);
    EXPECT(unlinkat(dir, "docs/f", 0) != 0 && errno == EACCES);
    EXPECT(unlinkat(dir, "docs/sub", AT_REMOVEDIR) != 0 && errno == EACCES);
    EXPECT(mkdirat(dir, "docs/new", 0700) != 0 && errno == EACCES);
    EXPECT(symlinkat("f", dir, "docs/new") != 0 && errno == EACCES);
    EXPECT(mknodat(dir, "docs/new", S_IFIFO | 0600, 0) != 0 && errno == EACCES);
    EXPECT(renameat(dir, "docs/f", dir, "docs/g") != 0 && errno == EACCES);
    EXPECT(renameat(dir, "docs/f", dir, "etc/state/f") != 0 && (errno == EACCES || errno == EXDEV));
    EXPECT(linkat(dir, "docs/f", dir, "docs/g", 0) != 0 && errno == EACCES);
    return 0;
}

static void test_folder_is_read_only(void **state)
{
    run_confined(state, 1, folder_is_read_only);
}

static int nothing_else_is_read(const struct box *box)
{
    EXPECT(try_open(box, "other/f", O_RDONLY) == EACCES);
    EXPECT(try_open(box, "other/f", O_WRONLY) == EACCES);
    EXPECT(try_open(box, "other/new", O_WRONLY | O_CREAT) == EACCES);
    EXPECT(try_open(box, "/etc/passwd", O_RDONLY) == (geteuid() == 0 ? EACCES : 0));
    EXPECT(try_open(box, "/etc/shadow", O_RDONLY) != 0);
    EXPECT(try_open(box, "/var/tmp/spoor-test-new", O_WRONLY | O_CREAT) == EACCES);
    EXPECT(try_open(box, "/etc/spoor-test-new", O_WRONLY | O_CREAT) == EACCES);
    /* No program can be started. */
    char *const arguments[] = {(char *)"true", NULL};
    EXPECT(execv("/bin/true", arguments) != 0 && errno == EACCES);
    return 0;
}

static void test_nothing_else_is_read(void **state)
{
    run_confined(state, 1, nothing_else_is_read);
}

static int own_files_work(const struct box *box)
{
    struct err err = {0};
    struct buf content;
    int state = osfile_open_dir("/", &err);
    char path[256];

    EXPECT(state == ERR_DENIED || state >= 0); /* the root may be listed when it is a parent */
    snprintf(path, sizeof path, "%s/etc/state", box->dir.path);
    state = osfile_open_dir(path, &err);
    EXPECT(state >= 0);
    EXPECT(mkdirat(state, "sub", 0700) == 0);
    EXPECT(osfile_replace(state, "a", "text", 4, &err) == 0);
    EXPECT(renameat(state, "a", state, "b") == 0);
    EXPECT(try_open(box, "etc/state/b", O_RDWR | O_TRUNC) == 0);
    EXPECT(unlinkat(state, "b", 0) == 0 && unlinkat(state, "sub", AT_REMOVEDIR) == 0);
    /* Configuration and token, also when they are replaced by renaming. */
    EXPECT(try_open(box, "etc/spoor.conf", O_RDONLY) == 0);
    EXPECT(try_open(box, "etc/spoor.conf", O_WRONLY) == EACCES);
    snprintf(path, sizeof path, "%s/etc/keys/token", box->dir.path);
    EXPECT(chmod(path, 0600) == 0);
    buf_init(&content, TEXT_MAX);
    EXPECT(osfile_read_secret(path, TEXT_MAX, &content, &err) == 0 && content.len == 6);
    buf_deinit(&content);
    /* The log, made anew after a rotation. */
    EXPECT(try_open(box, "log/spoor.log", O_WRONLY | O_APPEND | O_CREAT) == 0);
    EXPECT(try_open(box, "log/spoor.log", O_WRONLY | O_APPEND) == 0);
    EXPECT(try_open(box, "log/spoor.log", O_RDONLY) == EACCES);
    /* What the system's libraries need. */
    EXPECT(try_open(box, "/dev/null", O_RDWR) == 0);
    EXPECT(try_open(box, "/proc/self/maps", O_RDONLY) == 0);
    EXPECT(access("/etc/resolv.conf", R_OK) != 0 ||
           try_open(box, "/etc/resolv.conf", O_RDONLY) == 0);
    return 0;
}

static void test_own_files_work(void **state)
{
    run_confined(state, 2, own_files_work);
}

/* A folder that is replaced is a directory to be listed, so that this can be seen and said. */
static int replaced_folder_is_seen(const struct box *box)
{
    EXPECT(try_open(box, "other", O_RDONLY | O_DIRECTORY) == 0);
    EXPECT(try_open(box, "other/f", O_RDONLY) == EACCES);
    return 0;
}

static void test_replaced_folder_is_seen(void **state)
{
    run_confined(state, 1, replaced_folder_is_seen);
}

static int only_the_server_is_reached(const struct box *box)
{
    EXPECT(try_connect(box->ports[0]) == 0);
    EXPECT(try_connect(box->ports[1]) == EACCES);
    EXPECT(try_connect(53) == EACCES); /* the server is on this machine: no DNS */
    return 0;
}

static void test_only_the_server_is_reached(void **state)
{
    run_confined(state, SANDBOX_ABI_PORTS, only_the_server_is_reached);
}

static int others_are_left_alone(const struct box *box)
{
    (void)box; /* the parent is what matters */
    EXPECT(kill(getppid(), 0) != 0 && errno == EPERM);
    EXPECT(kill(getpid(), 0) == 0);
    return 0;
}

static void test_others_are_left_alone(void **state)
{
    run_confined(state, 6, others_are_left_alone);
}

static int process_is_hardened(const struct box *box)
{
    struct rlimit core;

    (void)box; /* it is about the process */
    EXPECT(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
    EXPECT(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0);
    EXPECT(getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_cur == 0 && core.rlim_max == 0);
    return 0;
}

static void test_process_is_hardened(void **state)
{
    run_confined(state, 0, process_is_hardened);
}

/* As whom a daemon usually runs. */
static int unprivileged(void *ctx)
{
    return temp_drop_rights() ? confined(ctx) : TEMP_CHILD_SKIP;
}

static int as_nobody(const struct box *box)
{
    EXPECT(try_open(box, "docs/f", O_RDONLY) == 0);
    EXPECT(try_open(box, "other/f", O_RDONLY) == EACCES);
    EXPECT(try_open(box, "/etc/passwd", O_RDONLY) == 0); /* with the rest of /etc: resolv.conf */
    EXPECT(try_open(box, "/etc/shadow", O_RDONLY) == EACCES || access("/etc/shadow", F_OK) != 0);
    return 0;
}

static void test_without_privilege(void **state)
{
    struct attempt attempt = {.box = *state, .work = as_nobody, .abi = 1, .code = 1};
    int code = temp_child(unprivileged, &attempt);

    if (code == TEMP_CHILD_SKIP) {
        print_message("skipped: no Landlock, or no other user to be\n");
        skip();
    }
    assert_int_equal(code, 0);
}

static int switched_off(void *ctx)
{
    const struct box *box = ctx;
    struct confine confine = {0};
    struct config *config = parse(box, "sandbox = no", "../docs", box->ports[0]);

    EXPECT(confine_enter(&confine, config, false, NULL) == 0 && confine.abi == 0);
    config_free(config);
    confine_deinit(&confine);
    EXPECT(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0);
    EXPECT(try_open(box, "docs/f", O_RDWR) == 0);
    EXPECT(try_connect(box->ports[1]) == 0);
    return 0;
}

static void test_switched_off(void **state)
{
    assert_int_equal(temp_child(switched_off, *state), 0);
}

/* ---- the plan ---- */

static int covers(const struct box *box, const struct config *have, const struct config *want,
                  struct err *err)
{
    struct sandbox *x = NULL;
    struct sandbox *y = NULL;

    (void)box; /* the plans name it */
    assert_int_equal(sandbox_new(have, have->daemon.log_file, &x, NULL, err), 0);
    assert_int_equal(sandbox_new(want, want->daemon.log_file, &y, NULL, err), 0);
    int rc = sandbox_covers(x, y, true, err);
    sandbox_free(x);
    sandbox_free(y);
    return rc;
}

static void check_reload(const struct box *box, const char *more, const char *folder, uint16_t port,
                         const char *named)
{
    struct err err = {0};
    struct config *want = parse(box, more, folder, port);
    int rc = covers(box, box->config, want, &err);

    config_free(want);
    if (!named) {
        assert_int_equal(rc, 0);
        return;
    }
    assert_int_equal(rc, ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, named));
    assert_non_null(strstr(err.text, "stop and a start"));
}

/* A domain cannot be widened: what needs more is refused with the thing that is out of reach. */
static void test_reload(void **state)
{
    struct box *box = *state;
    const char *log = "log_file = ../log/spoor.log";

    check_reload(box, log, "../docs", box->ports[0], NULL);
    check_reload(box, "log_file = ../log/other.log", "../docs", box->ports[0], NULL);
    check_reload(box, "", "../docs", box->ports[0], NULL);
    check_reload(box, log, "../docs/sub", box->ports[0], NULL);
    check_reload(box, log, "../other", box->ports[0], "other");
    check_reload(box, log, "../docs-2", box->ports[0], "docs-2");
    check_reload(box, log, "../docs", box->ports[1], "port");
    check_reload(box, "log_file = ../other/spoor.log", "../docs", box->ports[0], "spoor.log");
    /* A folder that has gone is the same folder still. */
    temp_rename(&box->dir, "docs", "gone");
    check_reload(box, log, "../docs", box->ports[0], NULL);
    temp_rename(&box->dir, "gone", "docs");
}

static unsigned rights_at(const struct sandbox *plan, const char *dir, const char *name)
{
    char path[256];
    unsigned rights = 0;

    snprintf(path, sizeof path, "%s%s%s", dir, *name ? "/" : "", name);
    for (size_t i = 0; i < plan->rule_count; i++)
        if (strcmp(plan->rules[i].path, path) == 0)
            rights |= plan->rules[i].rights;
    return rights;
}

static struct sandbox *plan_of(const struct config *config, struct buf *notes)
{
    struct sandbox *plan = NULL;
    struct err err = {0};

    if (sandbox_new(config, config->daemon.log_file, &plan, notes, &err) != 0)
        fail_msg("%s", err.text);
    return plan;
}

/* A missing folder opens its parent, and says so; a log beside a folder does not open it. */
static void test_plan(void **state)
{
    struct box *box = *state;
    struct buf notes;
    struct config *config = parse(box, "log_file = ../spoor.log", "../later/x", box->ports[0]);

    buf_init(&notes, TEXT_MAX);
    struct sandbox *plan = plan_of(config, &notes);
    const char *top = box->dir.path;
    assert_int_equal(rights_at(plan, top, ""), SANDBOX_LIST | SANDBOX_READ);
    assert_non_null(strstr(notes.data, "not there yet"));
    sandbox_free(plan);
    config_free(config);
    buf_reset(&notes);

    plan = plan_of(box->config, &notes);
    assert_int_equal(notes.len, 0);
    assert_int_equal(rights_at(plan, top, ""), SANDBOX_LIST);
    assert_int_equal(rights_at(plan, top, "docs"), SANDBOX_LIST | SANDBOX_READ);
    assert_int_equal(rights_at(plan, top, "log"), SANDBOX_APPEND);
    assert_int_equal(rights_at(plan, top, "etc/state"), SANDBOX_OWN);
    assert_int_equal(rights_at(plan, "/etc", ""), geteuid() == 0 ? 0 : SANDBOX_LIST | SANDBOX_READ);
    assert_int_equal(plan->port_count, 1);
    sandbox_free(plan);

    /* Made by the rotation, it is opened again only by the old rule: the folder comes first. */
    config = parse(box, "log_file = ../docs.log", "../docs", box->ports[0]);
    plan = plan_of(config, &notes);
    assert_int_equal(notes.len, 0);
    assert_int_equal(rights_at(plan, top, ""), SANDBOX_LIST);
    sandbox_free(plan);
    config_free(config);
    buf_deinit(&notes);
}

/* A daemon's files are its user's alone. */
static void test_modes(void **state)
{
    struct box *box = *state;
    struct err err = {0};
    struct stat status;
    char path[256];

    snprintf(path, sizeof path, "%s/private", box->dir.path);
    assert_int_equal(osfile_make_private_dir(path, &err), 0);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0700);
    if (geteuid() != 0) {
        print_message("skipped: only root can give a directory away\n");
        skip();
    }
    assert_int_equal(chown(path, 65534, 65534), 0);
    assert_int_equal(osfile_make_private_dir(path, &err), ERR_DENIED);
    assert_non_null(strstr(err.text, path));
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(test_folder_is_read_only),
        CASE(test_nothing_else_is_read),
        CASE(test_own_files_work),
        CASE(test_replaced_folder_is_seen),
        CASE(test_only_the_server_is_reached),
        CASE(test_others_are_left_alone),
        CASE(test_process_is_hardened),
        CASE(test_without_privilege),
        CASE(test_switched_off),
        CASE(test_reload),
        CASE(test_plan),
        CASE(test_modes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
