/* watch_actor.c: see watch_actor.h. A process is asked once a read of records, however many of
 * them are its own; of those that share a slot the later takes it. */
#include "watch_actor.h"

#include <fcntl.h>

#include "clock.h"

/* False: it is gone, or /proc hides it (hidepid). */
static bool ask(int32_t pid, char program[static ACTOR_PROGRAM_SIZE])
{
    char path[32], text[ACTOR_PROGRAM_SIZE];
    (void)snprintf(path, sizeof path, "/proc/%d/comm", pid); /* fits */
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, sizeof text); /* the name and a line's end, in one piece */
    close(fd);
    if (n <= 1)
        return false;
    size_t len = (size_t)n - (text[n - 1] == '\n');
    /* A kernel worker's is longer than the limit of all others. */
    len = len < ACTOR_PROGRAM_SIZE ? len : ACTOR_PROGRAM_SIZE - 1;
    memcpy(program, text, len);
    program[len] = '\0';
    return true;
}

void watch_actors_begin(struct watch_actors *actors)
{
    actors->round++;
}

const struct actor *watch_actors_of(struct watch_actors *actors, int32_t pid)
{
    struct watch_actor *slot = &actors->slots[(uint32_t)pid % ACTOR_SLOTS];
    if (slot->actor.pid == pid && slot->asked_round == actors->round)
        return &slot->actor;
    if (slot->actor.pid != pid)
        *slot = (struct watch_actor){.actor.pid = pid};
    slot->asked_round = actors->round;
    int64_t now = clock_mono_ns();
    if (pid > 0 && ask(pid, slot->actor.program))
        slot->answered_ns = now;
    else if (now - slot->answered_ns > ACTOR_KEEP_MS * CLOCK_NS_PER_MS)
        slot->actor.program[0] = '\0';
    return &slot->actor;
}
