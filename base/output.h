/* output.h: text to a descriptor that may lead to a person: standard output, standard error, the
 * log. Text is UTF-8 (of other names' bytes, what they are) on every system; a console of Windows,
 * which takes bytes for its own code page's, gets it as UTF-16. Any thread. */
#ifndef SPOOR_OUTPUT_H
#define SPOOR_OUTPUT_H

/* Writes all of it, also to a descriptor that somebody made nonblocking; what ends within a
 * character is best not split over two calls. 0 or an errno; EPIPE: the reader has gone. */
int output_write(int fd, const char *bytes, size_t len);

#endif
