/* servicectl_windows.h: the service from outside: put into Windows, taken out, started, stopped.
 * All but servicectl_config() take an administrator; ERR_DENIED says so. Any thread, one at a
 * time. */
#ifndef SPOOR_SERVICECTL_WINDOWS_H
#define SPOOR_SERVICECTL_WINDOWS_H

struct buf;
struct err;

/* Installs the service, or sets all of it anew where it is installed (*existed): started with
 * Windows, a little after the rest; started again after a failure. `account` runs it: NULL is
 * LocalSystem, else one that has no password. Refused where others could change the program or the
 * configuration, which would make the account theirs. What this Windows does not know of it is
 * appended to `notes`, a line each. */
int servicectl_install(const char *config_file, const char *account, bool *existed,
                       struct buf *notes, struct err *err);
/* Stops it, then removes it and its source in the event log. ERR_NOTFOUND: not installed. */
int servicectl_uninstall(int64_t deadline_mono_ns, struct err *err);

/* Returns when it runs; its process in *pid. *already: it did. ERR_CANCELLED: the daemon ended.
 * ERR_TIMEOUT. */
int servicectl_start(int64_t deadline_mono_ns, bool *already, int64_t *pid, struct err *err);
/* Returns when it has stopped. *already: it had. ERR_TIMEOUT. */
int servicectl_stop(int64_t deadline_mono_ns, bool *already, struct err *err);

/* Appends the path of the configuration it was installed with. ERR_NOTFOUND: not installed. */
int servicectl_config(struct buf *out, struct err *err);

/* Has this account no password that would have to be known? LocalSystem, LocalService,
 * NetworkService, the service's own (NT SERVICE\Spoor), managed ones (ending in $). */
bool servicectl_needs_no_password(const char *account);

#endif
