/* read_windows.h: the overlapped read of watch.h on Windows: a directory's handle, a read of its
 * changes that is started into one of two buffers, completed or cancelled later. Private to the
 * Windows back-end.
 *
 * One thread at a time; a completion is dequeued from the port by whoever owns that. Between
 * read_start() and read_completed() the kernel writes into the buffer and into `over`: neither is
 * touched or freed, whatever happens. */
#ifndef SPOOR_READ_WINDOWS_H
#define SPOOR_READ_WINDOWS_H

#include <windows.h>

#include "fileid.h"
#include "windows_parse.h"

struct err;

/* The kernel's own buffer is made as large as the first read's; a network path takes no more than
 * the second (MSDN, ReadDirectoryChangesW). */
#define READ_BYTES        (512 << 10)
#define READ_BYTES_REMOTE (64 << 10)

struct read_windows {
    HANDLE dir; /* INVALID_HANDLE_VALUE: not open */
    struct file_id file;
    enum windows_layout layout;
    DWORD bytes;
    /* ReadDirectoryChangesExW, which Windows has since 10 1709 and Wine 8 has not; or NULL. */
    BOOL(WINAPI *extended)
    (HANDLE, void *, DWORD, BOOL, DWORD, DWORD *, OVERLAPPED *, LPOVERLAPPED_COMPLETION_ROUTINE,
     int);
    bool in_flight;
    int filling; /* which buffer the read in flight fills, or the next one will */
    char *buffers[2];
    OVERLAPPED over;
};

/* Not open. */
void read_init(struct read_windows *read);
/* Opens the directory so that nobody is kept from renaming or deleting it, and binds it to the port
 * under `key`. ERR_CONFLICT: it is not the one that was asked for. */
int read_open(struct read_windows *read, const wchar_t *path, struct file_id file, HANDLE port,
              ULONG_PTR key, struct err *err);
/* No read may be in flight. */
void read_close(struct read_windows *read);
/* Starts a read. ERR_UNSUPPORTED: the file system tells of no changes. */
int read_start(struct read_windows *read, struct err *err);
/* The read in flight was dequeued: the buffer that it filled, which is its caller's until the read
 * after the next is started. */
const char *read_completed(struct read_windows *read);
/* Asks for the end of the read in flight, which is dequeued like any other. Also from another
 * thread. */
void read_cancel(struct read_windows *read);
/* Waits until the kernel is done with the read in flight, without dequeuing it. */
void read_wait(struct read_windows *read);

/* Is the directory that is read still what the path leads to, and not about to go? */
bool read_is_at(const struct read_windows *read, const wchar_t *path);

#endif
