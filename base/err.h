/* err.h: how a call says what went wrong.
 *
 * A call that can fail returns 0 or one of the negative codes below. A call
 * that crosses a module also takes `struct err *err` last and, on failure,
 * leaves there the code, the operating system's number and one message made
 * where the fault was found, written as "what 'object': why". The caller owns
 * the struct; NULL is allowed and drops the message. No call logs by itself.
 * Any thread; no shared state. */
#ifndef SPOOR_ERR_H
#define SPOOR_ERR_H

enum err_code {
    ERR_NOMEM = -1,        /* memory ran out */
    ERR_IO = -2,           /* the system failed a read, write or sync */
    ERR_INVALID = -3,      /* input breaks its rules: configuration, argument, bytes off the wire */
    ERR_LIMIT = -4,        /* a named limit was reached */
    ERR_NOTFOUND = -5,     /* the thing asked for does not exist */
    ERR_EXISTS = -6,       /* the thing exists already */
    ERR_BUSY = -7,         /* somebody else holds it */
    ERR_CORRUPT = -8,      /* stored data fails its own checks */
    ERR_CANCELLED = -9,    /* stopped on request */
    ERR_TIMEOUT = -10,     /* the deadline passed */
    ERR_UNSUPPORTED = -11, /* this system or version cannot */
    ERR_DENIED = -12,      /* permission refused */
    ERR_FULL = -13,        /* the disk is full */
    ERR_NETWORK = -14,     /* the peer could not be reached or broke off */
    ERR_CONFLICT = -15,    /* the two sides disagree on the state */
    ERR_HELD = -16,        /* somebody must be asked first */
};

struct err {
    int code; /* 0 or an enum err_code */
    int os;   /* errno, or 0 */
    char text[512];
};

/* The code's word, as "not found"; never NULL. */
const char *err_code_name(int code);

/* Fills `err` (NULL allowed) and returns `code`. With os != 0 the system's own
 * words for it are appended: "cannot open 'x': No such file or directory". */
int err_set(struct err *err, int code, int os, const char *format, ...) PRINTF_LIKE(4, 5);

/* err_set() with the code that fits an errno: ENOENT is ERR_NOTFOUND, EACCES
 * and EPERM ERR_DENIED, ENOSPC and EDQUOT ERR_FULL, ENOMEM ERR_NOMEM, else ERR_IO. */
int err_os(struct err *err, int os, const char *format, ...) PRINTF_LIKE(3, 4);

/* Puts "prefix: " before the message that is there; returns err->code, or ERR_IO without `err`. */
int err_prefix(struct err *err, const char *format, ...) PRINTF_LIKE(2, 3);

#ifdef __clang_analyzer__
/* clang-tidy sees one file at a time: this tells it that the three never return 0, so that it does
 * not follow a failure past its check. No compiler defines the name above. */
static inline int err_negative(int code)
{
    if (code >= 0)
        __builtin_unreachable();
    return code;
}
#define err_set(...)    err_negative(err_set(__VA_ARGS__))
#define err_os(...)     err_negative(err_os(__VA_ARGS__))
#define err_prefix(...) err_negative(err_prefix(__VA_ARGS__))
#endif

#endif
