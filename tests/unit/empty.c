/* Keeps the helper library from being empty. */
typedef int test_helpers_empty;
