/* test_watch_places.c: the table against a plain array, by a long random run, and its corners. */
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include "err.h"
#include "watch_places.h"

#define DIRS  60
#define STEPS 200000

/* What the table should hold. */
struct model {
    bool there;
    uint64_t at;
    int32_t number;
};

static uint64_t next(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *seed >> 33;
}

static struct file_id dir_of(uint64_t i)
{
    return (struct file_id){1000 + i, 0};
}

static void compare(const struct watch_places *places, const struct model *model)
{
    size_t count = 0;
    for (uint64_t i = 0; i < DIRS; i++) {
        struct watch_place *place = watch_places_by_dir(places, dir_of(i));
        assert_int_equal(place != NULL, model[i].there);
        if (!place)
            continue;
        count++;
        assert_int_equal(place->at, model[i].at);
        assert_int_equal(place->number, model[i].number);
        assert_ptr_equal(watch_places_by_number(places, place->number), place);
        if (place->at)
            assert_ptr_equal(watch_places_at(places, place->at), place);
    }
    assert_int_equal(places->count, count);
}

static void displace(struct model *model, uint64_t at)
{
    for (size_t i = 0; i < DIRS; i++)
        if (model[i].at == at)
            model[i].at = 0;
}

static void step(struct watch_places *places, struct model *model, uint64_t *seed)
{
    uint64_t i = next(seed) % DIRS, at = next(seed) % 40, what = next(seed) % 4;
    struct watch_place *place = watch_places_by_dir(places, dir_of(i));
    if (what == 0 && place) {
        int32_t number = place->number;
        watch_places_remove(places, place);
        assert_null(watch_places_by_number(places, number));
        model[i] = (struct model){false, 0, 0};
    } else if (what == 1 && place) {
        watch_places_move(places, place, at);
        displace(model, at);
        model[i].at = at;
    } else if (what > 1) {
        struct err err;
        assert_int_equal(watch_places_put(places, dir_of(i), at, &place, &err), 0);
        displace(model, at);
        if (!model[i].there)
            model[i].number = place->number;
        model[i].there = true;
        model[i].at = at;
    }
}

static void test_random_run(void **state)
{
    (void)state;
    struct watch_places places;
    struct model model[DIRS] = {0};
    uint64_t seed = 1;
    watch_places_init(&places);
    for (int n = 0; n < STEPS; n++) {
        step(&places, model, &seed);
        if (n % 16 == 0)
            compare(&places, model);
    }
    watch_places_clear(&places);
    memset(model, 0, sizeof model);
    compare(&places, model);
    watch_places_deinit(&places);
}

/* A number that was given back is not the next one's, nor that of the same slot. */
static void test_numbers_are_not_reused_at_once(void **state)
{
    (void)state;
    struct watch_places places;
    struct watch_place *place;
    struct err err;
    int32_t seen[100];
    watch_places_init(&places);
    assert_null(watch_places_by_number(&places, 0));
    assert_null(watch_places_by_dir(&places, dir_of(0)));
    assert_null(watch_places_at(&places, 1));
    for (int i = 0; i < 100; i++) {
        assert_int_equal(watch_places_put(&places, dir_of(0), 0, &place, &err), 0);
        seen[i] = place->number;
        assert_true(seen[i] >= 0);
        for (int j = 0; j < i; j++)
            assert_int_not_equal(seen[i], seen[j]);
        watch_places_remove(&places, place);
    }
    assert_null(watch_places_by_number(&places, -1));
    assert_null(watch_places_by_number(&places, INT32_MAX));
    assert_int_equal(places.used, 1);
    watch_places_deinit(&places);
}

/* Ten thousand directories, each found by its place while others come and go. */
static void test_many(void **state)
{
    (void)state;
    struct watch_places places;
    struct watch_place *place;
    struct err err;
    char name[16];
    watch_places_init(&places);
    for (uint64_t i = 0; i < 10000; i++) {
        snprintf(name, sizeof name, "d%u", (unsigned)i);
        uint64_t at = watch_place_of(dir_of(i / 7), bytes_str(name));
        assert_int_equal(watch_places_put(&places, dir_of(i), at, &place, &err), 0);
    }
    for (uint64_t i = 0; i < 10000; i += 3)
        watch_places_remove(&places, watch_places_by_dir(&places, dir_of(i)));
    for (uint64_t i = 0; i < 10000; i++) {
        snprintf(name, sizeof name, "d%u", (unsigned)i);
        place = watch_places_at(&places, watch_place_of(dir_of(i / 7), bytes_str(name)));
        assert_int_equal(place != NULL, i % 3 != 0);
        if (place)
            assert_true(file_id_equal(place->dir, dir_of(i)));
    }
    watch_places_deinit(&places);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_run),
        cmocka_unit_test(test_numbers_are_not_reused_at_once),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
