/* service_windows.h: the daemon as a service of Windows: what the service control manager asks of
 * it and is told. Installing and starting one is in servicectl_windows.h. */
#ifndef SPOOR_SERVICE_WINDOWS_H
#define SPOOR_SERVICE_WINDOWS_H

struct err;

#define SERVICE_NAME L"Spoor" /* of the service, and of its source in the event log */
/* A stop takes DAEMON_STOP_MS and is cut off after DAEMON_FORCE_MS; the manager waits a little
 * longer, at a shutdown too (SERVICE_PRESHUTDOWN_INFO). */
#define SERVICE_STOP_WAIT_MS 15000
/* Its own exit codes, which the manager shows (SERVICE_STATUS.dwServiceSpecificExitCode). */
#define SERVICE_EXIT_FAILED 1
#define SERVICE_EXIT_CONFIG 78

/* What a control code is to us. */
enum service_action {
    SERVICE_IGNORE, /* nothing is to be done, and that is fine */
    SERVICE_STOP_DAEMON,
    SERVICE_RELOAD,
    SERVICE_REFUSE, /* not one that we know: the sender is told */
};
enum service_action service_action_of(unsigned long control);

/* From here on this process sees the folders that a service sees, whoever runs either: no home, so
 * that "~" in a configuration is refused, no folder of its own data, and %PROGRAMDATA% as Windows
 * knows it, not as somebody's environment says. While there is one thread. */
void service_forget_user(void);

/* Runs the daemon of that configuration for the service control manager, which must have started
 * this process; returns when the service has stopped, however: the manager and the event log were
 * told. ERR_UNSUPPORTED: this process is no service. Main thread, while there is no other; the
 * daemon's main thread is then the one that the manager's dispatcher makes. */
int service_run(const char *config_file, struct err *err);

#endif
