/* sql_share.h: how SQLite opens its files, where that is not how we need it. Any thread. */
#ifndef SPOOR_SQL_SHARE_H
#define SPOOR_SQL_SHARE_H

/* Before a database is opened, as often as one likes: lets its files be renamed and deleted while
 * somebody has them open, which a journal that is moved aside needs. */
void sql_share_files(void);

#endif
