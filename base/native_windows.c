/* native_windows.c: see native_windows.h.
 *
 * Names are opened by NtCreateFile, which takes a directory handle and, for a path of the host,
 * the \??\ form that the \\?\ one stands for. What is private is said by a security descriptor at
 * the making, never set afterwards. Any thread. */
#include "native_windows.h"

#include <fcntl.h>
#include <io.h>
#include <stdarg.h>

#include "buf.h"
#include "bytes.h"
#include "err.h"
#include "wtf8.h"

#define WORDS_MAX   160 /* of the system's words for a number */
#define SDDL_MAX    512
#define TOKEN_BYTES 256 /* of TOKEN_USER: a pointer and a SID of at most 68 bytes */

/* FILE_RENAME_INFORMATION with its newer flags (Windows 10 1709, ntifs.h), which winternl.h lacks;
 * the older class takes the same with a BOOLEAN where the flags are. */
#define RENAME_CLASS      10
#define RENAME_CLASS_EX   65
#define RENAME_REPLACE    1u
#define RENAME_POSIX      2u
#define REMOTE_DEVICE     0x10 /* FILE_REMOTE_DEVICE, ntifs.h */
#define STATUS_UNKNOWN(s) ((ULONG)(s) == 0xC0000003 || (ULONG)(s) == 0xC0000002)

struct rename_request {
    ULONG flags;
    HANDLE dir;
    ULONG bytes;
    WCHAR name[];
};

static int code_of(DWORD os)
{
    switch (os) {
    case ERROR_FILE_NOT_FOUND:
    case ERROR_PATH_NOT_FOUND:
    case ERROR_INVALID_DRIVE:
    case ERROR_BAD_NETPATH:
    case ERROR_BAD_NET_NAME:
        return ERR_NOTFOUND;
    case ERROR_ACCESS_DENIED:
    case ERROR_PRIVILEGE_NOT_HELD:
        return ERR_DENIED;
    case ERROR_SHARING_VIOLATION:
    case ERROR_LOCK_VIOLATION:
        return ERR_BUSY;
    case ERROR_FILE_EXISTS:
    case ERROR_ALREADY_EXISTS:
        return ERR_EXISTS;
    case ERROR_DISK_FULL:
    case ERROR_HANDLE_DISK_FULL:
        return ERR_FULL;
    case ERROR_NOT_ENOUGH_MEMORY:
    case ERROR_OUTOFMEMORY:
        return ERR_NOMEM;
    case ERROR_INVALID_NAME:
    case ERROR_DIRECTORY:
        return ERR_INVALID;
    default:
        return ERR_IO;
    }
}

/* The system's words, without the full stop and line end they come with. */
static void words_of(DWORD os, struct buf *out)
{
    WCHAR words[WORDS_MAX];
    DWORD flags =
        FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS | FORMAT_MESSAGE_MAX_WIDTH_MASK;
    DWORD count = FormatMessageW(flags, NULL, os, 0, words, WORDS_MAX, NULL);

    while (count > 0 && (words[count - 1] <= L' ' || words[count - 1] == L'.'))
        count--;
    if (count > 0)
        native_add_narrow(out, words, count);
    else
        buf_addf(out, "Windows error %lu", os);
}

int(err_native)(struct err *err, DWORD os, const char *format, ...)
{
    char text[sizeof err->text - 112]; /* the words are the part that must not be cut */
    struct buf words;
    va_list args;
    int code = code_of(os);

    if (!err)
        return code;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n < 0)
        text[0] = '\0';
    else if ((size_t)n >= sizeof text)
        memcpy(text + sizeof text - 4, "...", 4);
    buf_init(&words, (size_t)WORDS_MAX * WTF8_UNIT_BYTES_MAX);
    words_of(os, &words);
    (void)err_set(err, code, 0, "%s: %s", text, words.data ? words.data : ""); /* code is known */
    err->os = (int)os;
    buf_deinit(&words);
    return code;
}

int native_wide(const char *text, wchar_t **out, struct err *err)
{
    size_t len = strlen(text), count = 0;
    wchar_t *units = malloc((len + 1) * sizeof *units);

    if (!units)
        return err_set(err, ERR_NOMEM, 0, "'%s': out of memory", text);
    if (wtf8_to_utf16(bytes_str(text), (uint16_t *)units, len, &count) != 0) {
        free(units);
        return err_set(err, ERR_INVALID, 0, "'%s': not UTF-8, which names here are", text);
    }
    units[count] = L'\0';
    *out = units;
    return 0;
}

void native_add_narrow(struct buf *out, const wchar_t *units, size_t count)
{
    size_t before = out->len, len = 0;
    size_t room = count * WTF8_UNIT_BYTES_MAX;

    if (count == 0)
        return;
    char *place = buf_extend(out, room);
    if (!place)
        return; /* the buffer says so when it is asked */
    (void)wtf8_from_utf16(units, count, place, room, &len); /* room for the worst */
    buf_truncate(out, before + len);
}

static void use_backslashes(wchar_t *units)
{
    for (; *units; units++)
        if (*units == L'/')
            *units = L'\\';
}

bool native_is_dots(const wchar_t *name, size_t count)
{
    return count > 0 && count <= 2 && name[0] == L'.' && (count == 1 || name[1] == L'.');
}

int native_path(const char *path, wchar_t **out, struct err *err)
{
    static const wchar_t local[] = L"\\\\?\\", share[] = L"\\\\?\\UNC";
    wchar_t *given = NULL, *whole = NULL;
    int rc = native_wide(path, &given, err);

    if (rc != 0)
        return rc;
    use_backslashes(given);
    if (wcsncmp(given, local, 4) == 0) {
        *out = given;
        return 0;
    }
    DWORD room = GetFullPathNameW(given, 0, NULL, NULL);
    whole = room ? malloc((room + ARRAY_LEN(share)) * sizeof *whole) : NULL;
    wchar_t *full = whole ? whole + ARRAY_LEN(share) - 1 : NULL;
    DWORD count = full ? GetFullPathNameW(given, room, full, NULL) : 0;
    if (room && !whole) {
        rc = err_set(err, ERR_NOMEM, 0, "'%s': out of memory", path);
    } else if (count == 0 || count >= room) {
        rc = err_native(err, count ? ERROR_BAD_PATHNAME : GetLastError(), "'%s'", path);
    } else if (count > NATIVE_PATH_MAX - (DWORD)ARRAY_LEN(share)) {
        rc = err_set(err, ERR_LIMIT, 0, "'%.64s...': the path is too long", path);
    } else {
        /* "\\server" keeps one of its backslashes; "\\.\NUL" is no file and stays as it is. */
        bool device = wcsncmp(full, L"\\\\.\\", 4) == 0;
        bool unc = !device && wcsncmp(full, L"\\\\", 2) == 0;
        const wchar_t *front = device ? L"" : unc ? share : local;
        size_t skip = unc ? 1 : 0, front_len = wcslen(front);
        memmove(whole + front_len, full + skip, (count - skip + 1) * sizeof *whole);
        memcpy(whole, front, front_len * sizeof *whole);
        *out = whole;
        whole = NULL;
    }
    free(whole);
    free(given);
    return rc;
}

int native_own_path(wchar_t **out, struct err *err)
{
    wchar_t *path = malloc((NATIVE_PATH_MAX + 1) * sizeof *path);

    if (!path)
        return err_set(err, ERR_NOMEM, 0, "no memory for a path");
    DWORD count = GetModuleFileNameW(NULL, path, NATIVE_PATH_MAX + 1);
    if (count == 0 || count > NATIVE_PATH_MAX) {
        DWORD os = count ? ERROR_FILENAME_EXCED_RANGE : GetLastError();
        free(path);
        return err_native(err, os, "cannot find this program's own file");
    }
    *out = path;
    return 0;
}

/* The SID of who runs this, in `token`; NULL with GetLastError() set. */
static PSID own_sid(unsigned char token[TOKEN_BYTES])
{
    HANDLE process;
    DWORD bytes = 0;

    if (!OpenProcessToken(GetCurrentProcess(), TOKEN_QUERY, &process))
        return NULL;
    BOOL done = GetTokenInformation(process, TokenUser, token, TOKEN_BYTES, &bytes);
    DWORD os = GetLastError();
    (void)CloseHandle(process); /* only asked */
    SetLastError(os);
    return done ? ((TOKEN_USER *)(void *)token)->User.Sid : NULL;
}

PSECURITY_DESCRIPTOR native_private_descriptor(bool directory)
{
    unsigned char token[TOKEN_BYTES] __attribute__((aligned(16)));
    wchar_t text[SDDL_MAX];
    wchar_t *sid = NULL;
    PSECURITY_DESCRIPTOR descriptor = NULL;
    PSID self = own_sid(token);
    const wchar_t *heirs = directory ? L"OICI" : L"";

    if (!self || !ConvertSidToStringSidW(self, &sid))
        return NULL;
    int n = _snwprintf(text, SDDL_MAX, L"O:%lsD:P(A;%ls;FA;;;SY)(A;%ls;FA;;;BA)(A;%ls;FA;;;%ls)",
                       sid, heirs, heirs, heirs, sid);
    (void)LocalFree(sid); /* cannot fail for what the system gave */
    if (n < 0 || n >= SDDL_MAX) {
        SetLastError(ERROR_INSUFFICIENT_BUFFER);
        return NULL;
    }
    if (!ConvertStringSecurityDescriptorToSecurityDescriptorW(text, SDDL_REVISION_1, &descriptor,
                                                              NULL))
        return NULL;
    return descriptor;
}

static DWORD create(HANDLE dir, wchar_t *units, const struct native_open *how, HANDLE *out)
{
    UNICODE_STRING name;
    OBJECT_ATTRIBUTES object;
    IO_STATUS_BLOCK status;
    PSECURITY_DESCRIPTOR descriptor = NULL;
    HANDLE handle = NULL;
    size_t bytes = wcslen(units) * sizeof *units;

    if (bytes > 2 * NATIVE_PATH_MAX)
        return ERROR_FILENAME_EXCED_RANGE;
    if (how->is_private) {
        descriptor = native_private_descriptor((how->options & FILE_DIRECTORY_FILE) != 0);
        if (!descriptor)
            return GetLastError();
    }
    name = (UNICODE_STRING){(USHORT)bytes, (USHORT)bytes, units};
    InitializeObjectAttributes(&object, &name, OBJ_CASE_INSENSITIVE, dir, descriptor);
    NTSTATUS code = NtCreateFile(&handle, how->access | SYNCHRONIZE, &object, &status, NULL,
                                 FILE_ATTRIBUTE_NORMAL, how->share, how->disposition,
                                 how->options | FILE_SYNCHRONOUS_IO_NONALERT, NULL, 0);
    if (descriptor)
        (void)LocalFree(descriptor); /* cannot fail for what the system gave */
    if (code < 0)
        return RtlNtStatusToDosError(code);
    *out = handle;
    return 0;
}

/* A name below a handle, or (dir NULL) a path of the host, as the kernel takes it. */
static int kernel_name(HANDLE dir, const char *name, wchar_t **out)
{
    int rc = dir ? native_wide(name, out, NULL) : native_path(name, out, NULL);

    if (rc != 0)
        return rc;
    use_backslashes(*out);
    if (!dir)
        (*out)[1] = L'?'; /* \\?\ and \\.\ are \??\ to it */
    return 0;
}

DWORD native_open_at(HANDLE dir, const char *name, const struct native_open *how, HANDLE *out)
{
    wchar_t *units = NULL;
    int rc = kernel_name(dir, name, &units);

    if (rc != 0)
        return rc == ERR_NOMEM ? ERROR_NOT_ENOUGH_MEMORY : ERROR_INVALID_NAME;
    DWORD os = create(dir, units, how, out);
    free(units);
    return os;
}

DWORD native_rename(HANDLE file, HANDLE dir, const char *name, bool replace)
{
    IO_STATUS_BLOCK status;
    wchar_t *units = NULL;
    int rc = kernel_name(dir, name, &units);

    if (rc != 0)
        return rc == ERR_NOMEM ? ERROR_NOT_ENOUGH_MEMORY : ERROR_INVALID_NAME;
    size_t bytes = wcslen(units) * sizeof *units;
    size_t size = sizeof(struct rename_request) + bytes + sizeof *units;
    struct rename_request *request = calloc(1, size);
    NTSTATUS code = 0;
    DWORD os = request ? 0 : ERROR_NOT_ENOUGH_MEMORY;
    if (request) {
        request->flags = (replace ? RENAME_REPLACE : 0) | RENAME_POSIX;
        request->dir = dir;
        request->bytes = (ULONG)bytes;
        memcpy(request->name, units, bytes);
        code = NtSetInformationFile(file, &status, request, (ULONG)size,
                                    (FILE_INFORMATION_CLASS)RENAME_CLASS_EX);
        if (STATUS_UNKNOWN(code) || code == (NTSTATUS)0xC000000D) {
            request->flags = replace; /* the older class: FAT, and older systems */
            code = NtSetInformationFile(file, &status, request, (ULONG)size,
                                        (FILE_INFORMATION_CLASS)RENAME_CLASS);
        }
    }
    if (code < 0)
        os = RtlNtStatusToDosError(code);
    free(request);
    free(units);
    return os;
}

/* NT SERVICE\TrustedInstaller, a part of the system that owns what lies in Program Files. */
static bool is_installer(PSID sid)
{
    static const DWORD parts[] = {80, 956008885, 3418522649, 1831038044, 1853292631, 2271478464};

    if (*GetSidSubAuthorityCount(sid) != ARRAY_LEN(parts) ||
        GetSidIdentifierAuthority(sid)->Value[5] != 5)
        return false;
    for (DWORD i = 0; i < ARRAY_LEN(parts); i++)
        if (*GetSidSubAuthority(sid, i) != parts[i])
            return false;
    return true;
}

/* Is the SID one that may always do all: its user, the system, administrators; or one that stands
 * for the owner. */
static bool is_ours(PSID sid, PSID self)
{
    return EqualSid(sid, self) || IsWellKnownSid(sid, WinLocalSystemSid) ||
           IsWellKnownSid(sid, WinBuiltinAdministratorsSid) ||
           IsWellKnownSid(sid, WinCreatorOwnerSid) ||
           IsWellKnownSid(sid, WinCreatorOwnerRightsSid) || is_installer(sid);
}

static bool grants_others(ACL *list, PSID self, ACCESS_MASK rights)
{
    void *entry;

    if (!list)
        return true; /* no list at all: everybody may do everything */
    for (DWORD i = 0; i < list->AceCount; i++) {
        if (!GetAce(list, i, &entry))
            return true;
        /* The callback form begins alike; other kinds do not apply to files. */
        ACCESS_ALLOWED_ACE *allowed = entry;
        BYTE kind = allowed->Header.AceType;
        if ((kind == ACCESS_ALLOWED_ACE_TYPE || kind == ACCESS_ALLOWED_CALLBACK_ACE_TYPE) &&
            (allowed->Mask & rights) && !is_ours(&allowed->SidStart, self))
            return true;
    }
    return false;
}

DWORD native_look_private(HANDLE file, ACCESS_MASK rights, bool *others, bool *ours)
{
    unsigned char token[TOKEN_BYTES] __attribute__((aligned(16)));
    PSECURITY_DESCRIPTOR descriptor = NULL;
    PSID owner = NULL;
    ACL *list = NULL;
    PSID self = own_sid(token);

    if (!self)
        return GetLastError();
    DWORD os = GetSecurityInfo(file, SE_FILE_OBJECT,
                               OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION, &owner, NULL,
                               &list, NULL, &descriptor);
    if (os != 0)
        return os;
    *others = grants_others(list, self, rights | GENERIC_ALL);
    *ours = owner && is_ours(owner, self);
    (void)LocalFree(descriptor); /* cannot fail for what the system gave */
    return 0;
}

bool native_dispose(HANDLE file)
{
    FILE_DISPOSITION_INFO gone = {TRUE};

    return SetFileInformationByHandle(file, FileDispositionInfo, &gone, sizeof gone);
}

DWORD native_free_bytes(HANDLE dir, uint64_t *out)
{
    FILE_FS_SIZE_INFORMATION size;
    IO_STATUS_BLOCK status;
    NTSTATUS code =
        NtQueryVolumeInformationFile(dir, &status, &size, sizeof size, FileFsSizeInformation);

    if (code < 0)
        return RtlNtStatusToDosError(code);
    *out = (uint64_t)size.AvailableAllocationUnits.QuadPart * size.SectorsPerAllocationUnit *
           size.BytesPerSector;
    return 0;
}

DWORD native_file_system(HANDLE file, char name[4], bool *remote)
{
    unsigned char bytes[sizeof(FILE_FS_ATTRIBUTE_INFORMATION) + 2 * NATIVE_NAME_MAX]
        __attribute__((aligned(8)));
    const FILE_FS_ATTRIBUTE_INFORMATION *about = (const void *)bytes;
    FILE_FS_DEVICE_INFORMATION device;
    IO_STATUS_BLOCK status;
    NTSTATUS code = NtQueryVolumeInformationFile(file, &status, bytes, sizeof bytes,
                                                 FileFsAttributeInformation);

    if (code >= 0)
        code = NtQueryVolumeInformationFile(file, &status, &device, sizeof device,
                                            FileFsDeviceInformation);
    if (code < 0)
        return RtlNtStatusToDosError(code);
    size_t count = about->FileSystemNameLength / sizeof(WCHAR);
    for (size_t i = 0; i < 4; i++)
        name[i] = i < count ? (char)about->FileSystemName[i] : '\0';
    *remote = (device.Characteristics & REMOTE_DEVICE) != 0;
    return 0;
}

DWORD native_identify(HANDLE file, struct osfile_identity *out)
{
    FILE_ID_INFO id;
    BY_HANDLE_FILE_INFORMATION facts;

    if (GetFileInformationByHandleEx(file, FileIdInfo, &id, sizeof id)) {
        out->volume = id.VolumeSerialNumber;
        memcpy(&out->low, id.FileId.Identifier, sizeof out->low);
        memcpy(&out->high, id.FileId.Identifier + sizeof out->low, sizeof out->high);
        return 0;
    }
    if (!GetFileInformationByHandle(file, &facts))
        return GetLastError();
    *out =
        (struct osfile_identity){.volume = facts.dwVolumeSerialNumber,
                                 .low = (uint64_t)facts.nFileIndexHigh << 32 | facts.nFileIndexLow};
    return 0;
}

bool native_is_service_user(void)
{
    unsigned char token[TOKEN_BYTES] __attribute__((aligned(16)));
    PSID self = own_sid(token);

    return self &&
           (IsWellKnownSid(self, WinLocalSystemSid) || IsWellKnownSid(self, WinLocalServiceSid) ||
            IsWellKnownSid(self, WinNetworkServiceSid));
}

int native_fd(HANDLE handle)
{
    int fd = _open_osfhandle((intptr_t)handle, O_BINARY | O_NOINHERIT);

    if (fd < 0)
        (void)CloseHandle(handle); /* the caller gave it away */
    return fd;
}

HANDLE native_handle(int fd)
{
    return (HANDLE)_get_osfhandle(fd);
}
