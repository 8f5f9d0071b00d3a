/* fuzz.h: what a fuzz target is made of.
 *
 * Each fuzz_X.c defines LLVMFuzzerTestOneInput(), the entry that libFuzzer calls. Built without
 * libFuzzer it is linked with replay.c, which feeds it the files of tests/fuzz/corpus/X. A target
 * shows a fault by ending the process: the sanitizers do, and FUZZ_CHECK for what must hold of
 * any input. Single thread unless the target says otherwise. */
#ifndef SPOOR_FUZZ_H
#define SPOOR_FUZZ_H

/* Always 0: the input was taken, whatever it was. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_CHECK(holds)                                                                          \
    do {                                                                                           \
        if (!(holds)) {                                                                            \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #holds);             \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#endif
