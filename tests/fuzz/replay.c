/* replay.c: the main() of a fuzz target without libFuzzer: feeds it each file given, and each file
 * of a directory given. Fails when there was nothing to feed, since that would test nothing. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

#include "buf.h"
#include "err.h"
#include "fuzz.h"
#include "osfile.h"

#define REPLAY_FILE_MAX ((size_t)16 << 20)

static int feed(int dirfd, const char *name)
{
    struct err err = {0};
    struct buf content;
    int rc;

    buf_init(&content, REPLAY_FILE_MAX);
    rc = osfile_read(dirfd, name, REPLAY_FILE_MAX, &content, &err);
    if (rc == 0) {
        /* A copy of just that size, so that a read past its end is seen. */
        uint8_t *exact = malloc(content.len ? content.len : 1);
        FUZZ_CHECK(exact);
        if (content.len)
            memcpy(exact, content.data, content.len);
        (void)LLVMFuzzerTestOneInput(exact, content.len); /* always 0 */
        free(exact);
    } else {
        fprintf(stderr, "replay: %s\n", err.text);
    }
    buf_deinit(&content);
    return rc;
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* In the order of their names: what an input leaves behind may matter to the next. */
static int feed_all(const char *path, size_t *fed)
{
    struct dirent **names = NULL;
    struct err err = {0};
    int rc = 0;
    int count = scandir(path, &names, is_visible, alphasort);

    if (count < 0 && errno == ENOTDIR) {
        *fed += 1;
        return feed(AT_FDCWD, path);
    }
    int fd = osfile_open_dir(path, &err);
    if (fd < 0) {
        fprintf(stderr, "replay: %s\n", err.text);
        rc = fd;
    }
    for (int i = 0; i < count; i++) {
        if (rc == 0) {
            rc = feed(fd, names[i]->d_name);
            *fed += 1;
        }
        free(names[i]);
    }
    free(names);
    if (fd >= 0)
        (void)close(fd); /* opened for reading */
    return rc;
}

int main(int argc, char **argv)
{
    size_t fed = 0;
    int rc = 0;

    for (int i = 1; i < argc && rc == 0; i++)
        rc = feed_all(argv[i], &fed);
    printf("%zu inputs\n", fed);
    return rc == 0 && fed > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
