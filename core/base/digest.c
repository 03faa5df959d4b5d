#include "core/base/digest.h"

#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

_Static_assert(sizeof(crypto_generichash_state) <= sizeof(struct digest_state),
               "room for libsodium");
_Static_assert(_Alignof(crypto_generichash_state) <= _Alignof(struct digest_state), "alignment");

/* libsodium chooses its fastest BLAKE2b in sodium_init, which may be called again by others. */
static pthread_once_t sodium_once = PTHREAD_ONCE_INIT;

static void sodium_start(void)
{
    if (sodium_init() < 0)
        sodium_misuse();
}

static crypto_generichash_state *state_of(struct digest_state *s)
{
    return (crypto_generichash_state *)(void *)s->opaque;
}

void digest_init(struct digest_state *s)
{
    pthread_once(&sodium_once, sodium_start);
    crypto_generichash_init(state_of(s), NULL, 0, DIGEST_BYTES);
}

void digest_update(struct digest_state *s, const void *data, size_t len)
{
    if (len > 0)
        crypto_generichash_update(state_of(s), data, len);
}

void digest_final(struct digest_state *s, struct digest *out)
{
    crypto_generichash_final(state_of(s), out->bytes, DIGEST_BYTES);
}

char *digest_state_kind(char out[64])
{
    const uint16_t one = 1;
    bool little = *(const uint8_t *)&one == 1;

    snprintf(out, 64, "libsodium %.20s, %zu bytes, %s", sodium_version_string(),
             sizeof(crypto_generichash_state), little ? "little" : "big");
    return out;
}

void digest_of(const void *data, size_t len, struct digest *out)
{
    struct digest_state s;

    digest_init(&s);
    digest_update(&s, data, len);
    digest_final(&s, out);
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
    return memcmp(a->bytes, b->bytes, DIGEST_BYTES) == 0;
}

char *digest_to_hex(const struct digest *d, char hex[DIGEST_HEX + 1])
{
    static const char digits[] = "0123456789abcdef";

    for (int i = 0; i < DIGEST_BYTES; i++) {
        hex[2 * i] = digits[d->bytes[i] >> 4];
        hex[2 * i + 1] = digits[d->bytes[i] & 15];
    }
    hex[DIGEST_HEX] = '\0';
    return hex;
}

static int nibble(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

bool digest_from_hex(struct digest *d, const char *hex, size_t len)
{
    struct digest out;

    if (len != DIGEST_HEX)
        return false;
    for (int i = 0; i < DIGEST_BYTES; i++) {
        int high = nibble(hex[2 * i]), low = nibble(hex[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out.bytes[i] = (uint8_t)(high << 4 | low);
    }
    *d = out;
    return true;
}
