/* helper_kill_linux.c: see helper_kill.h. By fork(2) and SIGKILL. */
#include "helper_kill.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>

#include <cmocka.h>

static void (*child_work)(const char *dir);
static int told_fd = -1;

void kill_main(void (*work)(const char *dir))
{
    child_work = work;
}

void kill_tell(int64_t number)
{
    if (write(told_fd, &number, sizeof number) != sizeof number)
        _exit(1);
}

int64_t kill_after(const char *dir, int count)
{
    int64_t told = 0, late = 0;
    int ends[2];
    int status = 0;

    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)close(ends[0]); /* the parent's */
        told_fd = ends[1];
        child_work(dir);
        _exit(1);
    }
    (void)close(ends[1]); /* the child's */
    for (int i = 0; i < count; i++)
        assert_int_equal(read(ends[0], &told, sizeof told), sizeof told);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status));
    while (read(ends[0], &late, sizeof late) == sizeof late)
        told = late;
    (void)close(ends[0]); /* read to its end */
    return told;
}
