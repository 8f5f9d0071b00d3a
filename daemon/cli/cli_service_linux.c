/* cli_service_linux.c: `spoor service` where systemd manages services: `unit` prints a unit file,
 * the rest says how systemd does it. docs/spoor.service is what it prints by default. Main thread.
 *
 * The unit's confinement goes around the daemon's own (sandbox.h), which follows the configuration.
 * It stays root, with the rights alone that reading other people's folders and fanotify's mark
 * take, and can write to its state directory only: systemd.exec(5). */
#include "cli.h"

#include <errno.h>

#include "buf.h"
#include "config_option.h"
#include "err.h"

#define UNIT_MAX       (64 << 10)
#define PROGRAM_BYTES  4096
#define DEFAULT_CONFIG "/etc/spoor/spoor.conf"
#define UNIT_PLACE     "/etc/systemd/system/spoor.service"

static const char unit_begin[] =
    "# For systemd: " UNIT_PLACE ", then\n"
    "#     systemctl daemon-reload && systemctl enable --now spoor\n"
    "# 'systemctl edit spoor' changes it. What state_dir and log_file name outside of\n"
    "# /var/lib/spoor takes a line ReadWritePaths=.\n"
    "[Unit]\n"
    "Description=Spoor: journals every change in folders and delivers the journal\n"
    "After=local-fs.target remote-fs.target network.target\n"
    "\n"
    "[Service]\n"
    "Type=exec\n";

static const char unit_end[] =
    "ExecReload=/bin/kill -HUP $MAINPID\n"
    "Restart=on-failure\n"
    "RestartSec=5s\n"
    "# Trying again mends neither a wrong command line nor a faulty configuration.\n"
    "RestartPreventExitStatus=2 78\n"
    "# A stop is cut off after 10 s by itself.\n"
    "TimeoutStopSec=20s\n"
    "StateDirectory=spoor\n"
    "StateDirectoryMode=0700\n"
    "UMask=0077\n"
    "\n"
    "# To read what others own and to ask for leases on it; and for fanotify's mark, given up "
    "after\n"
    "# the start.\n"
    "CapabilityBoundingSet=CAP_DAC_READ_SEARCH CAP_LEASE CAP_SYS_ADMIN\n"
    "NoNewPrivileges=yes\n"
    "ProtectSystem=strict\n"
    "ProtectHome=read-only\n"
    "ProtectClock=yes\n"
    "ProtectControlGroups=yes\n"
    "ProtectHostname=yes\n"
    "ProtectKernelLogs=yes\n"
    "ProtectKernelModules=yes\n"
    "ProtectKernelTunables=yes\n"
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK\n"
    "RestrictNamespaces=yes\n"
    "RestrictRealtime=yes\n"
    "RestrictSUIDSGID=yes\n"
    "LockPersonality=yes\n"
    "MemoryDenyWriteExecute=yes\n"
    "SystemCallArchitectures=native\n"
    "\n"
    "[Install]\n"
    "WantedBy=multi-user.target\n";

/* A word of ExecStart= in quotes, in which systemd takes % and, but in the program's path, $ for
 * its own and knows the escapes of C (systemd.service(5), "Command lines"). */
static void add_word(struct buf *out, const char *text, bool program)
{
    buf_add_char(out, '"');
    for (const char *at = text; *at; at++) {
        if (*at == '%' || (*at == '$' && !program))
            buf_add_char(out, *at);
        else if (*at == '"' || *at == '\\')
            buf_add_char(out, '\\');
        if ((unsigned char)*at < ' ')
            buf_addf(out, "\\x%02x", (unsigned char)*at);
        else
            buf_add_char(out, *at);
    }
    buf_add_char(out, '"');
}

static int print_unit(const struct cli *cli)
{
    char program[PROGRAM_BYTES];
    struct err err = {0};
    struct buf out;
    char *config = NULL;
    int code;
    ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);
    int rc = len > 0 ? 0 : err_os(&err, errno, "cannot find this program's own file");

    if (rc == 0)
        rc = config_absolute_path(cli->config_file ? cli->config_file : DEFAULT_CONFIG, &config,
                                  &err);
    if (rc != 0)
        return cli_fail(&err);
    program[len] = '\0';
    buf_init(&out, UNIT_MAX);
    buf_add_str(&out, unit_begin);
    buf_add_str(&out, "ExecStart=");
    add_word(&out, program, true);
    buf_add_str(&out, " run --config ");
    add_word(&out, config, false);
    buf_add_char(&out, '\n');
    buf_add_str(&out, unit_end);
    code = cli_write(&out);
    buf_deinit(&out);
    free(config);
    return code;
}

int cli_service(const struct cli *cli)
{
    static const char *const others[] = {"install", "uninstall", "start", "stop", "run"};
    static const char *const ways[] = {
        "spoor service unit >" UNIT_PLACE " && systemctl daemon-reload && systemctl enable spoor",
        "systemctl disable --now spoor && rm " UNIT_PLACE,
        "systemctl start spoor",
        "systemctl stop spoor",
        "spoor run --config FILE",
    };

    _Static_assert(ARRAY_LEN(others) == ARRAY_LEN(ways), "a way for each");
    if (strcmp(cli->args[0], "unit") == 0)
        return print_unit(cli);
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (strcmp(cli->args[0], others[i]) == 0) {
            cli_say("spoor: service %s: is for Windows; with systemd: %s", others[i], ways[i]);
            return EXIT_FAILED;
        }
    cli_say("spoor: service does not know '%s'; on Linux it knows unit", cli->args[0]);
    return EXIT_USAGE;
}
