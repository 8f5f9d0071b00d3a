/* sql_share_linux.c: see sql_share.h. An open file may be renamed and removed here as it is. */
#include "sql_share.h"

void sql_share_files(void)
{
}
