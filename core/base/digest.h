/* BLAKE2b-256 (`b2sum -l 256`), by libsodium. Names every artifact. */
#ifndef TACIT_BASE_DIGEST_H
#define TACIT_BASE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIGEST_BYTES 32
#define DIGEST_HEX 64 /* characters, lower case, without the terminator */

struct digest {
    uint8_t bytes[DIGEST_BYTES];
};

struct digest_state {
    _Alignas(64) uint8_t opaque[384]; /* crypto_generichash_state; asserted in digest.c */
};

void digest_init(struct digest_state *s);
void digest_update(struct digest_state *s, const void *data, size_t len);
void digest_final(struct digest_state *s, struct digest *out);
/* Names what opaque's bytes mean: stored ones may be gone on with where this is the same (library,
 * its version, byte order). Returns out. */
char *digest_state_kind(char out[64]);
void digest_of(const void *data, size_t len, struct digest *out);

bool digest_equal(const struct digest *a, const struct digest *b);
/* Writes DIGEST_HEX characters and a NUL; returns hex. */
char *digest_to_hex(const struct digest *d, char hex[DIGEST_HEX + 1]);
/* True where hex (len characters) is exactly 64 lower-case hexadecimal digits. */
bool digest_from_hex(struct digest *d, const char *hex, size_t len);

#endif
