/* sha256.h: SHA-256 (FIPS 180-4) of a whole buffer, for the Content-Digest header
 * (RFC 9530). By hand because libcurl's TLS library differs between systems and
 * its hashes are not exported. Any thread. */
#ifndef SPOOR_SHA256_H
#define SPOOR_SHA256_H

#define SHA256_SIZE 32

void sha256(const void *bytes, size_t len, uint8_t out[SHA256_SIZE]);

#endif
