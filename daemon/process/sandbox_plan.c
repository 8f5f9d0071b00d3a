/* sandbox_plan.c: which paths and ports a configuration needs.
 *
 * Pure but for looking up where paths lead. What is granted is granted for a path and all below
 * it, so that the care here is in not granting too much: a file's directory, but not one that is
 * everybody's; a folder's parent, but only to be listed. Leaves the system calls that confine to
 * sandbox_linux.c. Main thread. */
#include "sandbox.h"

#include <limits.h>
#include <sys/stat.h>

#include "buf.h"
#include "config.h"
#include "endpoint.h"
#include "err.h"
#include "osfile.h"

/* The system's own, for name resolution (getaddrinfo(3), nsswitch.conf(5)), TLS and the C library,
 * which loads parts of itself late. All of it is readable for anybody. */
static const char *const readable[] = {
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
    "/etc/localtime",
    "/etc/ld.so.cache",
    "/etc/machine-id", /* by which a copied journal knows itself (journal_id.c) */
    "/etc/ssl/certs",
    "/etc/ssl/cert.pem",
    "/etc/ssl/openssl.cnf",
    "/etc/pki/tls/certs",
    "/etc/pki/tls/cert.pem",
    "/etc/pki/tls/openssl.cnf",
    "/etc/pki/ca-trust",
    "/etc/ca-certificates",
    "/etc/gnutls",
    "/etc/crypto-policies",
    "/etc/pkcs11",
    "/run/systemd/resolve",
    "/run/resolvconf",
    "/run/NetworkManager",
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
    "/usr/share/pki",
    "/usr/share/p11-kit",
    "/usr/share/crypto-policies",
    "/usr/share/zoneinfo",
    "/sys/devices/system/cpu", /* sysconf(3), _SC_NPROCESSORS_ONLN */
    "/dev/random",
    "/dev/urandom",
    /* Our descriptors' names, and who changed a file. What it shows of other processes beyond their
     * names asks for the right to trace them, which a Landlock domain has not. */
    "/proc",
};

/* OpenSSL's own places for certificates (SSL_CTX_set_default_verify_paths(3)) and settings. */
static const char *const readable_by_environment[] = {"SSL_CERT_FILE", "SSL_CERT_DIR",
                                                      "OPENSSL_CONF"};

/* Directories that hold what is not ours to read beside the one file of ours. */
static const char *const shared[] = {
    "/",    "/etc", "/home",  "/root", "/tmp", "/var/tmp", "/usr",     "/var",
    "/run", "/mnt", "/media", "/srv",  "/opt", "/var/lib", "/dev/shm", "/usr/local"};

/* DNS over TCP when an answer is too long for a datagram (RFC 7766), and over TLS (RFC 7858). */
static const uint16_t dns_ports[] = {53, 853};

/* ---- lists ---- */

static int add_rule(struct sandbox *sandbox, const char *asked, const char *path, unsigned rights,
                    struct err *err)
{
    struct sandbox_rule *rules = NULL;

    if (sandbox->rule_count == SANDBOX_RULES_MAX)
        return err_set(err, ERR_LIMIT, 0, "sandbox: more than %d paths", SANDBOX_RULES_MAX);
    rules = realloc(sandbox->rules, (sandbox->rule_count + 1) * sizeof *rules);
    if (!rules)
        return err_set(err, ERR_NOMEM, 0, "sandbox: out of memory");
    sandbox->rules = rules;
    struct sandbox_rule *rule = &rules[sandbox->rule_count++];
    *rule = (struct sandbox_rule){
        .asked = asked ? strdup(asked) : NULL, .path = strdup(path), .rights = rights};
    if (!rule->path || (asked && !rule->asked))
        return err_set(err, ERR_NOMEM, 0, "sandbox: out of memory");
    return 0;
}

static int add_port(struct sandbox *sandbox, uint16_t port, struct err *err)
{
    for (size_t i = 0; i < sandbox->port_count; i++)
        if (sandbox->ports[i] == port)
            return 0;
    if (sandbox->port_count == SANDBOX_PORTS_MAX)
        return err_set(err, ERR_LIMIT, 0, "sandbox: more than %d ports", SANDBOX_PORTS_MAX);
    sandbox->ports[sandbox->port_count++] = port;
    return 0;
}

void sandbox_free(struct sandbox *sandbox)
{
    if (!sandbox)
        return;
    for (size_t i = 0; i < sandbox->rule_count; i++) {
        free(sandbox->rules[i].asked);
        free(sandbox->rules[i].path);
    }
    free(sandbox->rules);
    free(sandbox);
}

/* ---- paths ---- */

/* True when `path` is `above` or lies below it. Both absolute, without trailing slashes. */
static bool is_within(const char *path, const char *above)
{
    size_t len = strlen(above);

    if (strcmp(above, "/") == 0)
        return true;
    return strncmp(path, above, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

/* The path without its last component, "/" for what lies there. */
static void parent_of(const char *path, char out[PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    size_t len = slash && slash != path ? (size_t)(slash - path) : 1;

    (void)snprintf(out, PATH_MAX, "%.*s", (int)(len < PATH_MAX ? len : 1), path);
}

/* Where the path leads; what of it is not there is kept as it is written. True when all of it is
 * there; otherwise *above (NULL allowed) is the directory that is. */
static bool resolve(const char *path, char out[PATH_MAX], char above[PATH_MAX])
{
    char part[PATH_MAX], real[PATH_MAX];
    size_t len = strlen(path);

    while (len > 1 && len < sizeof part) {
        memcpy(part, path, len);
        part[len] = '\0';
        if (realpath(part, real))
            break;
        do
            len--;
        while (len > 1 && path[len] != '/');
    }
    if (len <= 1 || len >= sizeof part) {
        memcpy(real, "/", 2);
        len = 0;
    }
    if (above)
        memcpy(above, real, sizeof real);
    (void)snprintf(out, PATH_MAX, "%s%s", real[1] || !path[len] ? real : "", path + len);
    return path[len] == '\0' || strcmp(path, "/") == 0;
}

static bool is_shared(const char *dir)
{
    const char *home = getenv("HOME");
    char real[PATH_MAX];

    for (size_t i = 0; i < ARRAY_LEN(shared); i++)
        if (strcmp(dir, shared[i]) == 0)
            return true;
    return home && realpath(home, real) && strcmp(dir, real) == 0;
}

/* Another file system begins here, or the root of one lies here. */
static bool is_mount(const char *dir, const char *parent)
{
    struct osfile_identity here, above;

    return osfile_identify(dir, &here) && osfile_identify(parent, &above) &&
           here.volume != above.volume;
}

/* ---- what a configuration names ---- */

/* A file that others may replace by renaming: also the directory in which its name lies, and the
 * one to which it leads, unless these are everybody's. */
static int add_file(struct sandbox *sandbox, const char *asked, unsigned rights, struct err *err)
{
    char real[PATH_MAX], dir[PATH_MAX], named[PATH_MAX];
    int rc;

    if (!asked || asked[0] == '\0')
        return 0;
    (void)resolve(asked, real, NULL); /* its directory may be there without it */
    rc = add_rule(sandbox, asked, real, rights, err);
    parent_of(real, dir);
    if (rc == 0 && !is_shared(dir))
        rc = add_rule(sandbox, asked, dir, rights, err);
    parent_of(asked, named);
    if (rc == 0 && realpath(named, dir) && !is_shared(dir))
        rc = add_rule(sandbox, asked, dir, rights, err);
    return rc;
}

/* A folder is read. What lies at its path may become another directory (mounted again, put back,
 * replaced), to which its rule does not extend: so its parent may be listed, which is enough to see
 * that; and when it is a mount, or is not there yet, its parent may be read, lest all that comes
 * later be closed to us. Never the root of all. */
static int add_folder(struct sandbox *sandbox, const struct config_folder *folder,
                      struct buf *notes, struct err *err)
{
    char real[PATH_MAX], parent[PATH_MAX];
    bool there = resolve(folder->path, real, parent);
    int rc = add_rule(sandbox, folder->path, real, SANDBOX_LIST | SANDBOX_READ, err);

    if (rc != 0)
        return rc;
    if (there)
        parent_of(real, parent);
    bool wide = (!there || is_mount(real, parent)) && strcmp(parent, "/") != 0;
    if (wide && notes)
        buf_addf(notes, "folder '%s': %s: the sandbox lets all of '%s' be read\n", folder->name,
                 there ? "it is a mount, which may come and go" : "it is not there yet", parent);
    else if (!there && notes)
        buf_addf(notes,
                 "folder '%s': it is not there yet: when it is, files in it can be read only after "
                 "a stop and a start\n",
                 folder->name);
    return add_rule(sandbox, NULL, parent, wide ? SANDBOX_LIST | SANDBOX_READ : SANDBOX_LIST, err);
}

/* The log file is made anew after it was rotated: its directory, unless a folder lies in that. */
static int add_log(struct sandbox *sandbox, const struct config *config, const char *path,
                   struct err *err)
{
    char real[PATH_MAX], dir[PATH_MAX], folder[PATH_MAX];
    int rc;

    if (path[0] == '\0')
        return 0;
    (void)resolve(path, real, NULL); /* it may be made yet */
    rc = add_rule(sandbox, path, real, SANDBOX_APPEND, err);
    parent_of(real, dir);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < config->folder_count; i++) {
        (void)resolve(config->folders[i].path, folder, NULL); /* there or not */
        if (is_within(folder, dir))
            return 0;
    }
    return add_rule(sandbox, path, dir, SANDBOX_APPEND, err);
}

static int add_upload(struct sandbox *sandbox, const struct config_upload *upload, struct err *err)
{
    uint16_t ports[ENDPOINT_PORTS_MAX];
    int rc = 0;
    int count = endpoint_ports(upload, ports, err);

    if (count < 0)
        return err_prefix(err, "upload '%s'", upload->name);
    for (int i = 0; i < count && rc == 0; i++)
        rc = add_port(sandbox, ports[i], err);
    for (size_t i = 0; i < ARRAY_LEN(dns_ports) && rc == 0; i++)
        if (!endpoint_is_loopback(upload->url))
            rc = add_port(sandbox, dns_ports[i], err);
    const char *const files[] = {
        upload->token_file,  upload->ca_file,       upload->client_cert,
        upload->client_key,  upload->password_file, upload->proxy_password_file,
        upload->unix_socket,
    };
    for (size_t i = 0; i < ARRAY_LEN(files) && rc == 0; i++)
        rc = add_file(sandbox, files[i], SANDBOX_LIST | SANDBOX_READ, err);
    return rc;
}

static int add_system(struct sandbox *sandbox, struct err *err)
{
    int rc = 0;

    for (size_t i = 0; i < ARRAY_LEN(readable) && rc == 0; i++)
        rc = add_rule(sandbox, NULL, readable[i], SANDBOX_LIST | SANDBOX_READ, err);
    for (size_t i = 0; i < ARRAY_LEN(readable_by_environment) && rc == 0; i++) {
        const char *path = getenv(readable_by_environment[i]);
        if (path && path[0] == '/')
            rc = add_rule(sandbox, NULL, path, SANDBOX_LIST | SANDBOX_READ, err);
    }
    /* resolv.conf is replaced by renaming when the network changes, so the directory is wanted. It
     * holds secrets too, but none that the system does not keep from us by their modes, unless we
     * are root: then it is the files above alone. */
    if (rc == 0 && geteuid() != 0 && access("/etc/shadow", R_OK) != 0)
        rc = add_rule(sandbox, NULL, "/etc", SANDBOX_LIST | SANDBOX_READ, err);
    if (rc == 0)
        rc = add_rule(sandbox, NULL, "/dev/null", SANDBOX_READ | SANDBOX_APPEND, err);
    return rc;
}

/* Whoever lays a folder into a directory that we write is told that nothing protects it. */
static void note_unprotected(const struct sandbox *sandbox, const struct config *config,
                             struct buf *notes)
{
    char folder[PATH_MAX];

    for (size_t f = 0; f < config->folder_count; f++) {
        (void)resolve(config->folders[f].path, folder, NULL); /* there or not */
        for (size_t r = 0; r < sandbox->rule_count; r++)
            if ((sandbox->rules[r].rights & (SANDBOX_OWN | SANDBOX_APPEND)) &&
                is_within(folder, sandbox->rules[r].path))
                buf_addf(notes, "folder '%s': it lies in '%s', which the daemon may write\n",
                         config->folders[f].name, sandbox->rules[r].path);
    }
}

int sandbox_new(const struct config *config, const char *log_path, struct sandbox **out,
                struct buf *notes, struct err *err)
{
    char real[PATH_MAX];
    struct sandbox *sandbox = calloc(1, sizeof *sandbox);
    int rc;

    if (!sandbox)
        return err_set(err, ERR_NOMEM, 0, "sandbox: out of memory");
    (void)resolve(config->daemon.state_dir, real, NULL); /* it is there */
    rc = add_rule(sandbox, config->daemon.state_dir, real, SANDBOX_OWN, err);
    if (rc == 0)
        rc = add_log(sandbox, config, log_path, err);
    if (rc == 0)
        rc = add_file(sandbox, config->file, SANDBOX_LIST | SANDBOX_READ, err);
    for (size_t i = 0; i < config->folder_count && rc == 0; i++)
        rc = add_folder(sandbox, &config->folders[i], notes, err);
    for (size_t i = 0; i < config->upload_count && rc == 0; i++)
        rc = add_upload(sandbox, &config->uploads[i], err);
    if (rc == 0)
        rc = add_system(sandbox, err);
    if (rc != 0) {
        sandbox_free(sandbox);
        return rc;
    }
    if (notes)
        note_unprotected(sandbox, config, notes);
    *out = sandbox;
    return 0;
}

/* ---- comparing ---- */

/* OWN has all the others in it. */
static bool has_rights(unsigned have, unsigned want)
{
    return (have & SANDBOX_OWN) || (have & want) == want;
}

static bool is_granted(const struct sandbox *have, const struct sandbox_rule *want)
{
    for (size_t i = 0; i < have->rule_count; i++) {
        const struct sandbox_rule *rule = &have->rules[i];
        bool same = rule->asked && strcmp(rule->asked, want->asked) == 0;
        if (has_rights(rule->rights, want->rights) && (same || is_within(want->path, rule->path)))
            return true;
    }
    return false;
}

int sandbox_covers(const struct sandbox *have, const struct sandbox *want, bool ports,
                   struct err *err)
{
    static const char again[] = "the sandbox of the running daemon does not reach";

    for (size_t i = 0; i < want->rule_count; i++)
        if (want->rules[i].asked && !is_granted(have, &want->rules[i]))
            return err_set(err, ERR_UNSUPPORTED, 0, "%s '%s': that takes a stop and a start", again,
                           want->rules[i].asked);
    for (size_t i = 0; i < want->port_count && ports; i++) {
        bool found = false;
        for (size_t k = 0; k < have->port_count; k++)
            found |= have->ports[k] == want->ports[i];
        if (!found)
            return err_set(err, ERR_UNSUPPORTED, 0, "%s port %u: that takes a stop and a start",
                           again, want->ports[i]);
    }
    return 0;
}
