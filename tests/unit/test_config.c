/* test_config.c: the configuration: values, defaults, every refusal with its line, what is shown,
 * the example, and the checks that look at the disk. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "buf.h"
#include "change.h"
#include "config.h"
#include "err.h"
#include "helper_temp.h"
#include "log.h"
#include "osfile.h"

#define MS INT64_C(1000000)
#define S  (1000 * MS)

#define FOLDER "[folder \"f\"]\npath = /f\n"
#define UPLOAD "[upload \"u\"]\nurl = https://h/\n"

static struct config *parse(const char *text)
{
    struct config *config = NULL;
    struct err err = {0};

    if (config_parse("c", "/base", text, strlen(text), &config, &err) != 0)
        fail_msg("%s", err.text);
    return config;
}

static void test_defaults(void **state)
{
    struct config *config = parse("[daemon]\nstate_dir = /s\n" FOLDER UPLOAD);
    const struct config_folder *folder = &config->folders[0];
    const struct config_upload *upload = &config->uploads[0];

    (void)state;
    assert_string_equal(config->file, "c");
    assert_string_equal(config->daemon.state_dir, "/s");
    assert_string_equal(config->daemon.log_file, "");
    assert_int_equal(config->daemon.log_level, LOG_INFO);
    assert_int_equal(config->folder_count, 1);
    assert_string_equal(folder->name, "f");
    assert_string_equal(folder->path, "/f");
    assert_int_equal(folder->ignore.count, 0);
    assert_true(folder->settle_ns == 300 * MS && folder->max_delay_ns == 5 * S);
    assert_true(folder->poll_interval_ns == 30 * S && folder->retention_ns == 7 * 86400 * S);
    assert_false(folder->retention_forever);
    assert_true(folder->consumer_expiry_ns == 30 * 86400 * S && !folder->consumer_expiry_forever);
    assert_int_equal(folder->rows_max, 100000000);
    assert_int_equal(folder->scan_threads, 0);
    assert_int_equal(folder->line, 3);
    assert_int_equal(config->upload_count, 1);
    assert_string_equal(upload->url, "https://h/");
    assert_int_equal(upload->folders.count, 0);
    assert_true(config_upload_serves(upload, "f"));
    assert_int_equal(upload->format, CONFIG_FORMAT_SPOOR);
    assert_int_equal(upload->ack, CONFIG_ACK_SEQUENCE);
    assert_int_equal(upload->batch_rows, 10000);
    assert_int_equal(upload->batch_bytes, 8 << 20);
    assert_true(upload->batch_delay_ns == 200 * MS && upload->compression == 1);
    assert_true(upload->connect_timeout_ns == 10 * S && upload->timeout_ns == 60 * S);
    assert_true(upload->retry_min_ns == S && upload->retry_max_ns == 300 * S);
    assert_string_equal(upload->token_file, "");
    assert_string_equal(upload->client_key, "");
    assert_false(upload->allow_http);
    config_free(config);
    config_free(NULL);
}

static void test_values(void **state)
{
    struct config *config =
        parse("[upload \"log\"]\nurl=http://127.0.0.1:8123/?q=1\nformat=ndjson\n"
              "folders = a, b\nfolders=c.d_e-f\nkinds = create modify attrib move, exchange\n"
              "kinds = delete, gap\n[daemon]\nlog_level = debug\n"
              "log_file = ~/x/../l\n"
              "[folder \"a\"]\npath = sub//./dir/\nignore = *.tmp\n"
              "ignore = \"a\\\\ \"\nignore =\nretention = forever\nsettle = 0\n"
              "consumer_expiry = forever\nrows_max = 0\n"
              "[folder \"b\"]\npath=~\n[folder \"c.d_e-f\"]\npath=/\n");
    const struct config_upload *upload = &config->uploads[0];
    const struct config_folder *folder = config_find_folder(config, "a");

    (void)state;
    assert_int_equal(upload->ack, CONFIG_ACK_STATUS); /* by format */
    assert_int_equal(upload->folders.count, 3);
    assert_string_equal(upload->folders.items[2], "c.d_e-f");
    assert_int_equal(upload->kinds.count, 7);
    for (int kind = CHANGE_CREATE; kind <= CHANGE_GAP; kind++) /* config knows all there are */
        assert_string_equal(upload->kinds.items[kind - 1],
                            change_kind_name((enum change_kind)kind));
    assert_true(config_upload_serves(upload, "b"));
    assert_false(config_upload_serves(upload, "x"));
    assert_int_equal(config->daemon.log_level, LOG_DEBUG);
    const char *home = config_find_folder(config, "b")->path;
    assert_string_equal(home, home[0] == '/' ? "/home/ann" : "C:/home/ann");
    assert_memory_equal(config->daemon.log_file, home, strlen(home));
    assert_string_equal(config->daemon.log_file + strlen(home), "/x/../l"); /* .. may be a link's */
    assert_string_equal(folder->path, "/base/sub/dir");
    assert_int_equal(folder->ignore.count, 2);
    assert_string_equal(folder->ignore.items[1], "a\\ ");
    assert_true(folder->retention_forever && folder->consumer_expiry_forever);
    assert_int_equal(folder->rows_max, 0);
    assert_int_equal(folder->settle_ns, 0);
    assert_string_equal(config_find_folder(config, "c.d_e-f")->path, "/");
    assert_null(config_find_folder(config, "A"));
    config_free(config);
}

static void test_faults(void **state)
{
    static const struct {
        const char *text, *fault;
    } cases[] = {
        {"", "c: no folder to watch"},
        {"[daemon]\n" FOLDER "setle = 1s\n",
         "c:4: unknown key 'setle' in [folder]; did you mean 'settle'?"},
        {FOLDER "url = x\n", "c:3: unknown key 'url' in [folder]; it belongs in [upload]"},
        {FOLDER "zzz = x\n", "c:3: unknown key 'zzz' in [folder]"},
        {"[foldr \"x\"]\n", "c:1: unknown section [foldr]; did you mean [folder]?"},
        {"[server]\n", "c:1: unknown section [server]; there are"},
        {FOLDER FOLDER, "c:3: section [folder \"f\"]: it stands in line 1 already"},
        {"[daemon]\n[daemon]\n", "c:2: section [daemon]: it stands in line 1 already"},
        {"[daemon \"x\"]\n", "c:1: section [daemon]: it takes no name"},
        {"[folder]\n", "c:1: section [folder \"\"]: it needs a name"},
        {"[folder \"..\"]\n", "c:1: section [folder \"..\"]: a name must not begin with"},
        {"[folder \"a/b\"]\n", "c:1: section [folder \"a/b\"]: a name consists of"},
        {FOLDER "path = /g\n", "c:3: key 'path': it is set in line 2 already"},
        {"\n[folder \"f\"]\n", "c:2: folder 'f': 'path' is missing"},
        {"[folder \"f\"]\npath =\n", "c:2: path: must not be empty"},
        {"[folder \"f\"]\npath = ~bob/x\n", "c:2: path '~bob/x': of the forms with ~"},
        {FOLDER "settle = 300\n", "c:3: settle '300': not a duration; write a number and a unit"},
        {FOLDER "settle = 2h\n", "c:3: settle '2h': out of range; 0 to 1h is allowed"},
        {FOLDER "poll_interval = 0\n", "c:3: poll_interval '0': out of range; 1s to 1d"},
        {FOLDER "retention = never\n", "c:3: retention 'never': not a duration"},
        {FOLDER "scan_threads = 65\n", "c:3: scan_threads '65': out of range; 0 to 64"},
        {FOLDER "scan_threads = two\n", "c:3: scan_threads 'two': not a whole number"},
        {FOLDER "settle = 6s\n", "c:3: folder 'f': settle is longer than max_delay"},
        {FOLDER "max_delay = 100ms\n", "c:1: folder 'f': settle is longer than max_delay"},
        {FOLDER "ignore = \"a\\nb\"\n", "c:3: ignore: a value must not hold a line end"},
        {"[daemon]\nlog_level = loud\n",
         "c:2: log_level 'loud': use one of error, warn, info, debug"},
        {FOLDER UPLOAD "batch_bytes = 1\n", "c:5: batch_bytes '1': out of range; 64KiB to 256MiB"},
        {FOLDER UPLOAD "batch_bytes = 1M\n", "c:5: batch_bytes '1M': not a size"},
        {FOLDER UPLOAD "allow_http = maybe\n", "c:5: allow_http 'maybe': use yes or no"},
        {FOLDER UPLOAD "retry_min = 10min\n",
         "c:5: upload 'u': retry_min is longer than retry_max"},
        {FOLDER UPLOAD "client_key = /k\n", "c:5: upload 'u': client_key needs client_cert"},
        {FOLDER UPLOAD "folders = f\nfolders = f,ff\n",
         "c:6: upload 'u': there is no [folder \"ff\"]; did you mean 'f'?"},
        {FOLDER UPLOAD "kinds = create, delte\nformat = ndjson\n",
         "c:5: upload 'u': kinds: there is no kind 'delte'; did you mean 'delete'?"},
        {FOLDER UPLOAD "kinds = create\n", "c:5: upload 'u': kinds: a replica (format = spoor) "},
        {FOLDER "[upload \"u\"]\n", "c:3: upload 'u': 'url' is missing"},
        {FOLDER "x\n", "c:3: 'x': expected"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct config *config = NULL;
        struct err err = {0};
        int rc = config_parse("c", "/base", cases[i].text, strlen(cases[i].text), &config, &err);
        if (rc != ERR_INVALID || strncmp(err.text, cases[i].fault, strlen(cases[i].fault)) != 0)
            fail_msg("case %zu: %d '%s', not '%s'", i, rc, err.text, cases[i].fault);
        assert_null(config);
        assert_int_equal(
            config_parse("c", "/base", cases[i].text, strlen(cases[i].text), &config, NULL),
            ERR_INVALID);
    }
}

static int parse_url(const char *url, const char *more, struct err *err)
{
    struct config *config = NULL;
    char text[4096];

    (void)snprintf(text, sizeof text, FOLDER "[upload \"u\"]\nurl = %s\n%s", url, more);
    int rc = config_parse("c", "/", text, strlen(text), &config, err);
    config_free(config);
    return rc;
}

static void test_urls(void **state)
{
    static const char *const good[] = {
        "https://sync.example.org", "HTTPS://sync.example.org:8443/a/b",
        "https://[2001:db8::1]:1/", "http://localhost:80/",
        "http://LOCALHOST",         "http://127.0.0.1:65535/x",
        "http://127.255.3.4/",      "http://[::1]:8080",
        "https://h\xc3\xb6st/",
    };
    static const char *const bad[] = {
        "sync.example.org",
        "ftp://h/",
        "file:///etc/passwd",
        "https://",
        "https:///x",
        "https://h:0/",
        "https://h:65536/",
        "https://h:/",
        "https://h:8x/",
        "https://[::1/",
        "https://[x]/",
        "https://h/{journal}/",
        "https://{journal}/",
        "https://h/#f",
        "https://h/?q",
        "https://a b/",
        "https://h\\@x/",
        "https://u@h/",
        "https://user:secret@h/",
        "http://h/",
        "http://127.0.0.1.x/",
        "http://128.0.0.1/",
        "http://127.1/",
        "http://0127.0.0.1/",
        "http://127.0.0.1.1/",
        "http://127.0.0.256/",
        "http://localhost.x/",
        "http://[::2]/",
        "http://[::ffff:1.2.3.4]/",
        "http://2130706433/",
        "https://h%20/",
        "http://127.0.0.1@h/",
        "\"https://h/\\n\"",
    };
    struct err err = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        if (parse_url(good[i], "", &err) != 0)
            fail_msg("%s", err.text);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (parse_url(bad[i], "", &err) != ERR_INVALID ||
            strncmp(err.text, "c:4: upload 'u': ", 17) != 0)
            fail_msg("'%s': '%s'", bad[i], err.text);
        assert_null(strstr(err.text, "secret"));
    }
    assert_int_equal(parse_url("http://h/", "allow_http = yes\n", &err), 0);
    assert_int_equal(parse_url("https://u:p@h/", "allow_http = yes\n", &err), ERR_INVALID);
    assert_int_equal(parse_url("https://h/?q=1", "format = ndjson\n", &err), 0);
    assert_int_equal(parse_url("https://h/{journal}?q={first}-{last}", "format = ndjson\n", &err),
                     0);
    assert_int_equal(parse_url("https://h/{jurnal}", "format = ndjson\n", &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "{journal}"));
    assert_int_equal(parse_url("https://h/", "user = ann\n", &err), ERR_INVALID);
    assert_non_null(strstr(err.text, "password_file"));
    assert_int_equal(parse_url("https://h/", "user = a:b\npassword_file = /p\n", &err),
                     ERR_INVALID);
    assert_int_equal(
        parse_url("https://h/", "user = ann\npassword_file = /p\ntoken_file = /t\n", &err),
        ERR_INVALID);
    assert_int_equal(parse_url("https://h/", "proxy_user = ann\n", &err), ERR_INVALID);
    assert_int_equal(parse_url("https://h/", "proxy = http://u:secret@p/\n", &err), ERR_INVALID);
    assert_null(strstr(err.text, "secret"));
    assert_int_equal(parse_url("https://h/", "pinned_key = AAAA\n", &err), ERR_INVALID);
}

static void test_limits(void **state)
{
    struct buf text;
    struct config *config = NULL;
    struct err err;

    (void)state;
    buf_init(&text, CONFIG_FILE_MAX);
    for (int i = 0; i <= CONFIG_FOLDERS_MAX; i++)
        buf_addf(&text, "[folder \"f%d\"]\npath=/%d\n", i, i);
    assert_int_equal(config_parse("c", "/", text.data, text.len, &config, &err), ERR_LIMIT);
    assert_non_null(strstr(err.text, "c:129: "));
    buf_reset(&text);
    buf_add_str(&text, FOLDER);
    for (int i = 0; i <= CONFIG_LIST_MAX; i++)
        buf_add_str(&text, "ignore=a\n");
    assert_int_equal(config_parse("c", "/", text.data, text.len, &config, &err), ERR_LIMIT);
    assert_non_null(strstr(err.text, "c:1027: "));
    assert_int_equal(config_parse("c", "/", text.data, text.len - 9, &config, &err), 0);
    config_free(config);
    buf_deinit(&text);
}

static const char *const full =
    "[daemon]\nstate_dir=/s\nlog_level=warn\n"
    "[folder \"f\"]\npath=/f\nignore=\" a\"\nignore=b\\c\nignore=\"\\\"\\\\\"\nretention=forever\n"
    "[folder \"g\"]\npath=/g\nmax_delay=1500ms\n"
    "[upload \"u\"]\nurl=https://h/\nfolders=g f\nbatch_bytes=100kB\nallow_http=yes\n";

static void test_show_reads_back(void **state)
{
    struct config *config = parse(full);
    struct buf first, second, json;

    (void)state;
    buf_init(&first, 1 << 20);
    buf_init(&second, 1 << 20);
    config_show(config, true, &first);
    buf_init(&json, 1 << 20);
    config_show(config, false, &json);
    config_free(config);
    assert_true(buf_ok(&first) && buf_ok(&json));
    assert_non_null(strstr(json.data, "\n# c:3\nlog_level = warn\n"));
    assert_non_null(strstr(json.data, "\n# default\nsettle = 300ms\n"));
    assert_non_null(strstr(json.data, "\n# c:8\nignore = \"\\\"\\\\\"\n"));
    assert_non_null(strstr(json.data, "\n# c:15\nfolders = g\n# c:15\nfolders = f\n"));
    assert_non_null(strstr(json.data, "\n\n[upload \"u\"]\n"));

    config = parse(json.data);
    config_show(config, true, &second);
    config_free(config);
    /* Equal but for the origins. */
    char *a = first.data, *b = second.data;
    while (*a && *b) {
        size_t a_len = (size_t)(strstr(a, ",\"origin\"") - a);
        assert_int_equal(strstr(b, ",\"origin\"") - b, a_len);
        assert_memory_equal(a, b, a_len);
        a = strchr(a, '\n') + 1;
        b = strchr(b, '\n') + 1;
    }
    assert_int_equal(*a, *b);
    buf_deinit(&first);
    buf_deinit(&second);
    buf_deinit(&json);
}

static void test_show_json(void **state)
{
    struct config *config = parse(full);
    struct buf out;
    sqlite3 *db = NULL;
    sqlite3_stmt *stmt = NULL;
    size_t lines = 0;

    (void)state;
    buf_init(&out, 1 << 20);
    config_show(config, true, &out);
    config_free(config);
    assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, "select json_valid(?)", -1, &stmt, NULL), SQLITE_OK);
    for (char *at = out.data; *at; lines++) {
        char *end = strchr(at, '\n');
        assert_int_equal(sqlite3_bind_text(stmt, 1, at, (int)(end - at), SQLITE_STATIC), SQLITE_OK);
        assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
        assert_int_equal(sqlite3_column_int(stmt, 0), 1);
        assert_int_equal(sqlite3_reset(stmt), SQLITE_OK);
        at = end + 1;
    }
    assert_int_equal(lines, 4 + 11 + 2 + 11 + 33 + 1);
    assert_non_null(strstr(out.data, "{\"section\":\"folder\",\"name\":\"f\",\"key\":\"path\","
                                     "\"value\":\"/f\",\"origin\":\"c:5\"}\n"));
    assert_int_equal(sqlite3_finalize(stmt), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    buf_deinit(&out);
}

static struct buf read_file(const char *path)
{
    struct buf out;

    buf_init(&out, CONFIG_FILE_MAX);
    if (osfile_read(OSFILE_CWD, path, CONFIG_FILE_MAX, &out, NULL) != 0)
        fail_msg("cannot read %s", path);
    return out;
}

/* Makes "# key = value" lines, and no other comments, into settings. */
static void uncomment(struct buf *text)
{
    for (char *at = text->data; at && *at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL) {
        size_t word = strspn(at + (*at != '\0'), " abcdefghijklmnopqrstuvwxyz_") + 1;
        if (at[0] == '#' && at[1] == ' ' && at[word] == '=' && at[word - 1] == ' ' &&
            memchr(at + 2, ' ', word - 3) == NULL)
            at[0] = ' ';
    }
}

static void test_example(void **state)
{
    struct buf example, committed = read_file(SOURCE_DIR "/docs/spoor.conf.example");
    struct buf as_it_is, all_set;
    size_t set = 0;

    (void)state;
    buf_init(&example, CONFIG_FILE_MAX);
    config_example(&example);
    assert_true(buf_ok(&example));
    /* To renew it: the test program with "example" as argument prints it. */
    assert_string_equal(committed.data, example.data);

    buf_init(&as_it_is, CONFIG_FILE_MAX);
    buf_init(&all_set, CONFIG_FILE_MAX);
    struct config *config = parse(example.data);
    config_show(config, true, &as_it_is);
    config_free(config);
    uncomment(&example);
    config = parse(example.data);
    config_show(config, true, &all_set);
    config_free(config);
    /* What is commented out is the default: with and without, the same values. */
    char *a = as_it_is.data, *b = all_set.data;
    while (*a && *b) {
        size_t len = (size_t)(strstr(a, ",\"origin\"") - a);
        set += strstr(b, "\"origin\":\"c:") == strstr(b, "\"origin\"");
        if (!strstr(a, "\"state_dir\"") || strstr(a, "\"state_dir\"") > a + len)
            assert_memory_equal(a, b, len);
        a = strchr(a, '\n') + 1;
        b = strchr(b, '\n') + 1;
    }
    assert_int_equal(*a, *b);
    assert_int_equal(set, 4 + 11 - 1 + 32 - 1); /* all but the two empty lists */
    buf_deinit(&example);
    buf_deinit(&committed);
    buf_deinit(&as_it_is);
    buf_deinit(&all_set);
}

static int in_a_home(void **state)
{
    (void)state;
    temp_set_env("HOME", "/home/ann");
    temp_set_env("USERPROFILE", "C:/home/ann"); /* which is asked for on Windows */
    temp_set_env("XDG_STATE_HOME", NULL);
    temp_set_env("XDG_CONFIG_HOME", NULL);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),  cmocka_unit_test(test_values),
        cmocka_unit_test(test_faults),    cmocka_unit_test(test_urls),
        cmocka_unit_test(test_limits),    cmocka_unit_test(test_show_reads_back),
        cmocka_unit_test(test_show_json), cmocka_unit_test(test_example),
    };

    if (argc == 2 && strcmp(argv[1], "example") == 0) {
        struct buf example;
        buf_init(&example, CONFIG_FILE_MAX);
        config_example(&example);
        size_t written = fwrite(example.data, 1, example.len, stdout);
        buf_deinit(&example);
        return written == 0;
    }
    return cmocka_run_group_tests(tests, in_a_home, NULL);
}
