/* native_windows.h: Windows' own forms of what the rest of the house has in ours: wide paths,
 * handles opened below a handle, security descriptors, error numbers. For the *_windows.c files of
 * all rooms. Any thread. */
#ifndef SPOOR_NATIVE_WINDOWS_H
#define SPOOR_NATIVE_WINDOWS_H

#include <winsock2.h> /* before windows.h, which would include its forerunner */

#include <windows.h>

#include <aclapi.h>
#include <bcrypt.h>
#include <sddl.h>
#include <winioctl.h>
#include <winternl.h>

#include "banned.h"

#include "err.h"
#include "osfile.h"

struct buf;

/* Of ntdll and documented, but only in the driver kit's headers (ntifs.h). */
NTSTATUS NTAPI NtQueryDirectoryFile(HANDLE file, HANDLE event, PIO_APC_ROUTINE apc, void *apc_ctx,
                                    IO_STATUS_BLOCK *status, void *out, ULONG bytes,
                                    FILE_INFORMATION_CLASS kind, BOOLEAN one, UNICODE_STRING *name,
                                    BOOLEAN restart);

#define NATIVE_NAME_MAX 255   /* units of one name */
#define NATIVE_PATH_MAX 32767 /* units of a path in the \\?\ form */

/* As err_os() with a number of GetLastError(), and its words in the user's language. */
int err_native(struct err *err, DWORD os, const char *format, ...) PRINTF_LIKE(3, 4);
#ifdef __clang_analyzer__ /* as in err.h */
#define err_native(...) err_negative(err_native(__VA_ARGS__))
#endif

/* The units of WTF-8, zero-terminated; the caller frees *out. ERR_INVALID, ERR_NOMEM. */
int native_wide(const char *text, wchar_t **out, struct err *err);
/* Appends `count` units as WTF-8. */
void native_add_narrow(struct buf *out, const wchar_t *units, size_t count);
/* Is it "." or "..", which listings have and nobody asks for? */
bool native_is_dots(const wchar_t *name, size_t count);
/* A path of the host ("C:/x", "//server/share/x", "x") as "\\?\C:\x", absolute and free of the
 * 260 units' limit; the caller frees *out. */
int native_path(const char *path, wchar_t **out, struct err *err);

/* The path of the program that runs; the caller frees *out. */
int native_own_path(wchar_t **out, struct err *err);

/* What a handle is opened for. */
struct native_open {
    ACCESS_MASK access; /* SYNCHRONIZE is added */
    ULONG share;        /* FILE_SHARE_... */
    ULONG disposition;  /* FILE_OPEN, FILE_CREATE, FILE_OPEN_IF */
    ULONG options;      /* FILE_DIRECTORY_FILE, FILE_OPEN_REPARSE_POINT, ... */
    bool is_private;    /* a new one: for its user, administrators and the system alone */
};

/* Opens dir/name (one name, or several with / between; dir NULL: a path of the host). Synchronous,
 * not inherited. Returns 0 or a number of GetLastError(). NtCreateFile, the one call that opens
 * below a handle, so that nobody can exchange a directory above:
 * https://learn.microsoft.com/windows/win32/api/winternl/nf-winternl-ntcreatefile */
DWORD native_open_at(HANDLE dir, const char *name, const struct native_open *how, HANDLE *out);

/* Renames what the handle (opened with DELETE) stands for to dir/name; with `replace` over a file
 * that is there, also one that somebody has open. Returns 0 or a number of GetLastError(). */
DWORD native_rename(HANDLE file, HANDLE dir, const char *name, bool replace);

/* What is_private gives a new one: full access for user, administrators and the system, nothing
 * inherited from above; what is made in a `directory` inherits it. The caller LocalFree()s it; NULL
 * with GetLastError() set. */
PSECURITY_DESCRIPTOR native_private_descriptor(bool directory);

/* Who else may do one of `rights` to what the handle (opened with READ_CONTROL) stands for:
 * anybody but its user, administrators and the system. *others says so; *ours whether its owner
 * is one of these. Rights that only children inherit count too. */
DWORD native_look_private(HANDLE file, ACCESS_MASK rights, bool *others, bool *ours);

/* Deletes what the handle (opened with DELETE) stands for when its last handle is closed. */
bool native_dispose(HANDLE file);
/* Bytes that this user may still write on the disk of the directory. */
DWORD native_free_bytes(HANDLE dir, uint64_t *out);
/* The first bytes of the file system's name ("NTFS"), and whether it is another machine's. */
DWORD native_file_system(HANDLE file, char name[4], bool *remote);
/* What the handle stands for. By 128 bits where the file system has so many, else by the 64 that
 * FAT, exFAT and many servers have. Returns 0 or a number of GetLastError(). */
DWORD native_identify(HANDLE file, struct osfile_identity *out);
/* Is the process run by the system itself (a service), not by a person? */
bool native_is_service_user(void);

/* A descriptor of the C library for a handle, which it takes over, and back. */
int native_fd(HANDLE handle);
HANDLE native_handle(int fd);

#endif
