/* cli_service_windows.c: `spoor service`: the daemon as a service of Windows. `run` is what the
 * service control manager calls; the rest asks that manager. Main thread. */
#include "cli.h"

#include "background.h"
#include "buf.h"
#include "clock.h"
#include "config.h"
#include "daemon.h"
#include "err.h"
#include "native_windows.h"
#include "service_windows.h"
#include "servicectl_windows.h"

#define START_WAIT_NS  (60 * CLOCK_NS_PER_S) /* an index that is begun goes on after the start */
#define STOP_WAIT_NS   (INT64_C(2) * SERVICE_STOP_WAIT_MS * CLOCK_NS_PER_MS)
#define NOTES_MAX      ((size_t)64 << 10)
#define PATH_MAX_BYTES 8192

static int64_t deadline_of(const struct cli *cli, int64_t usual_ns)
{
    int64_t deadline = 0;
    int64_t wait_ns = cli->timeout_ns < 0 ? usual_ns : cli->timeout_ns;

    if (__builtin_add_overflow(clock_mono_ns(), wait_ns, &deadline))
        deadline = INT64_MAX - 1;
    return deadline;
}

/* ---- install ---- */

/* A letter that stands for another machine is the person's, not the service's. */
static void note_mapped(const struct config *config, struct buf *notes)
{
    for (size_t i = 0; i < config->folder_count; i++) {
        const char *path = config->folders[i].path;
        wchar_t root[] = {(wchar_t)path[0], L':', L'\\', L'\0'};
        if (path[1] == ':' && GetDriveTypeW(root) == DRIVE_REMOTE)
            buf_addf(notes,
                     "folder '%s': drive %c: is connected for you, a service does not see it; "
                     "write //SERVER/SHARE/...\n",
                     config->folders[i].name, path[0]);
    }
}

/* The configuration as the service will read it. What it leaves to the user who runs spoor must be
 * the same for both, or that user's commands would look at another journal. */
static struct config *load_for_service(const struct cli *cli, struct buf *notes, int *code)
{
    struct err err = {0};
    struct config *mine = cli->config_file ? cli_load_config(cli, code) : NULL;

    if (cli->config_file && !mine)
        return NULL;
    service_forget_user();
    struct config *config = cli_load_config(cli, code);
    int rc = config ? config_check_paths(config, notes, &err) : 0;
    if (rc == 0 && config && mine && strcmp(mine->daemon.state_dir, config->daemon.state_dir) != 0)
        rc = err_set(&err, ERR_INVALID, 0,
                     "%s: state_dir is not set, which is '%s' for you and '%s' for a service; set "
                     "it, or put the file into %%PROGRAMDATA%%\\Spoor",
                     config->file, mine->daemon.state_dir, config->daemon.state_dir);
    if (rc != 0) {
        (void)cli_fail(&err); /* the code is that of the configuration */
        *code = EXIT_CONFIG;
        config_free(config);
        config = NULL;
    }
    config_free(mine);
    return config;
}

static int install(const struct cli *cli)
{
    struct err err = {0};
    struct buf notes;
    bool existed = false;
    int code = EXIT_OK;

    buf_init(&notes, NOTES_MAX);
    struct config *config = load_for_service(cli, &notes, &code);
    if (!config)
        goto out;
    note_mapped(config, &notes);
    if (servicectl_install(config->file, cli->account, &existed, &notes, &err) != 0) {
        code = cli_fail(&err);
        goto out;
    }
    cli_say_lines(&notes);
    cli_say("spoor: the service %s; it runs as %s with %s, state in %s",
            existed ? "was installed already, and is set up anew from its next start on"
                    : "is installed",
            cli->account ? cli->account : "LocalSystem", config->file, config->daemon.state_dir);
    if (!existed)
        cli_say("spoor: Windows starts it when it starts; 'spoor service start' does it now");
out:
    config_free(config);
    buf_deinit(&notes);
    return code;
}

/* ---- the others ---- */

/* Where the journals are that the service leaves behind. */
static void say_where(const char *config_file)
{
    struct config *config = NULL;

    service_forget_user();
    if (config_load(config_file, &config, NULL) == 0)
        cli_say("spoor: the journals stay in %s, the configuration is %s", config->daemon.state_dir,
                config->file);
    else
        cli_say("spoor: the journals stay in the state directory of %s", config_file);
    config_free(config);
}

static int uninstall(const struct cli *cli)
{
    struct err err = {0};
    struct buf file;
    int code = EXIT_OK;

    buf_init(&file, PATH_MAX_BYTES);
    bool known = servicectl_config(&file, NULL) == 0 && buf_ok(&file);
    if (servicectl_uninstall(deadline_of(cli, STOP_WAIT_NS), &err) != 0) {
        code = cli_fail(&err);
    } else {
        cli_say("spoor: the service is stopped and uninstalled");
        if (known)
            say_where(file.data);
    }
    buf_deinit(&file);
    return code;
}

/* What keeps the daemon from starting can mostly be seen from here as well. */
static void say_why_not(void)
{
    struct config *config = NULL;
    struct err err = {0};
    struct buf file;

    buf_init(&file, PATH_MAX_BYTES);
    service_forget_user();
    int rc = servicectl_config(&file, &err);
    if (rc == 0)
        rc = config_load(file.data, &config, &err);
    if (rc == 0)
        rc = config_check_paths(config, NULL, &err);
    if (rc == 0 && background_wait_unlocked(config->daemon.state_dir, 0, NULL) == ERR_BUSY)
        rc = err_set(&err, ERR_BUSY, 0, "a daemon that is no service runs already in '%s'",
                     config->daemon.state_dir);
    if (rc != 0)
        (void)cli_fail(&err); /* the code is the caller's */
    config_free(config);
    buf_deinit(&file);
}

static int start(const struct cli *cli)
{
    struct err err = {0};
    bool already = false;
    int64_t pid = 0;

    int rc = servicectl_start(deadline_of(cli, START_WAIT_NS), &already, &pid, &err);
    if (rc != 0) {
        int code = cli_fail(&err);
        if (rc == ERR_CANCELLED)
            say_why_not();
        return code;
    }
    cli_say("spoor: the service %s (process %lld)", already ? "runs already" : "runs",
            (long long)pid);
    return EXIT_OK;
}

static int stop(const struct cli *cli)
{
    struct err err = {0};
    bool already = false;

    if (servicectl_stop(deadline_of(cli, STOP_WAIT_NS), &already, &err) != 0)
        return cli_fail(&err);
    cli_say("spoor: the service %s", already ? "was not running" : "has stopped");
    return EXIT_OK;
}

static int run(const struct cli *cli)
{
    struct err err = {0};

    if (!cli->config_file) {
        cli_say("spoor: service run: --config is missing; 'spoor service install' sets it");
        return EXIT_USAGE;
    }
    return service_run(cli->config_file, &err) == 0 ? EXIT_OK : cli_fail(&err);
}

int cli_service(const struct cli *cli)
{
    static const struct {
        const char *verb;
        int (*act)(const struct cli *cli);
    } verbs[] = {{"install", install},
                 {"uninstall", uninstall},
                 {"start", start},
                 {"stop", stop},
                 {"run", run}};

    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        if (strcmp(cli->args[0], verbs[i].verb) == 0)
            return verbs[i].act(cli);
    if (strcmp(cli->args[0], "unit") == 0)
        cli_say("spoor: service unit: is for systemd, on Linux; here 'spoor service install' "
                "installs the service");
    else
        cli_say("spoor: service does not know '%s'; it knows install, uninstall, start, stop and "
                "run",
                cli->args[0]);
    return EXIT_USAGE;
}
