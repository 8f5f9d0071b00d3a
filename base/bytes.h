/* bytes.h: a view of bytes that somebody else owns. Names and paths are bytes, not
 * text: any byte but NUL and (within a name) '/'. */
#ifndef SPOOR_BYTES_H
#define SPOOR_BYTES_H

struct bytes {
    const char *at; /* not NUL-terminated; NULL only when len is 0 */
    size_t len;
};

static inline struct bytes bytes_of(const char *at, size_t len)
{
    return (struct bytes){at, len};
}

static inline struct bytes bytes_str(const char *text)
{
    return (struct bytes){text, strlen(text)};
}

static inline bool bytes_equal(struct bytes x, struct bytes y)
{
    return x.len == y.len && (x.len == 0 || memcmp(x.at, y.at, x.len) == 0);
}

/* Byte order, the order of names everywhere in the house: <0, 0, >0. */
static inline int bytes_compare(struct bytes x, struct bytes y)
{
    size_t shorter = x.len < y.len ? x.len : y.len;
    int order = shorter ? memcmp(x.at, y.at, shorter) : 0;
    return order ? order : (x.len > y.len) - (x.len < y.len);
}

/* Of relative paths: is it `top`, or below it? Everything is below "", the root. Those of one tree
 * are unique, so being below is a matter of bytes. */
static inline bool bytes_path_is_within(struct bytes path, struct bytes top)
{
    return top.len == 0 || (path.len >= top.len && memcmp(path.at, top.at, top.len) == 0 &&
                            (path.len == top.len || path.at[top.len] == '/'));
}

#endif
