/* main.c: the program's entry; all else is in the library, where tests reach it. */
#include "cli.h"

int main(int argc, char **argv)
{
    return cli_main(argc, argv);
}
