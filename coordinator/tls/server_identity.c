#include "coordinator/tls/server_identity.h"

#include <gnutls/x509.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/buf.h"
#include "core/env/clock.h"
#include "core/env/file.h"
#include "coordinator/log.h"
#include "coordinator/service.h"

#define PEM_MAX (1u << 20)
#define CHAIN_MAX 8
#define LOOK_MS 2000
#define DAY_MS (86400 * (int64_t)1000)

/* One state of the files. Connections may still hold those of before, so all are kept: they are
 * few, a renewal each. */
struct shown {
    struct shown *before;
    gnutls_pcert_st chain[CHAIN_MAX];
    unsigned count;
    gnutls_privkey_t key;
    int64_t until_ms;
};

struct tls_identity {
    char *certificate, *key_path;
    _Atomic(struct shown *) now;
    int64_t modified_ms, key_modified_ms, look_ms, said_ms;
};

static void shown_free(struct shown *s)
{
    while (s) {
        struct shown *before = s->before;
        for (unsigned i = 0; i < s->count; i++)
            gnutls_pcert_deinit(&s->chain[i]);
        if (s->key)
            gnutls_privkey_deinit(s->key);
        free(s);
        s = before;
    }
}

static int read_chain(struct shown *s, const struct buf *pem, const char *path, struct err *e)
{
    gnutls_x509_crt_t list[CHAIN_MAX];
    unsigned count = CHAIN_MAX;
    gnutls_datum_t d = {(unsigned char *)pem->data, (unsigned)pem->len};
    int code = gnutls_x509_crt_list_import(list, &count, &d, GNUTLS_X509_FMT_PEM, 0);

    if (code < 0)
        return err_set(e, ERR_FORMAT, "'%s' has no certificate (PEM) that can be read: %s", path,
                       gnutls_strerror(code));
    code = gnutls_pcert_import_x509_list(s->chain, list, &count, 0);
    s->until_ms = INT64_MAX;
    for (unsigned i = 0; i < count; i++) {
        int64_t until = (int64_t)gnutls_x509_crt_get_expiration_time(list[i]) * 1000;
        s->until_ms = until < s->until_ms ? until : s->until_ms;
        gnutls_x509_crt_deinit(list[i]);
    }
    s->count = code < 0 ? 0 : count;
    return code < 0 ? err_set(e, ERR_FORMAT, "'%s': %s", path, gnutls_strerror(code)) : 0;
}

static int read_key(struct shown *s, const struct buf *pem, const char *path, struct err *e)
{
    gnutls_datum_t d = {(unsigned char *)pem->data, (unsigned)pem->len};
    unsigned char of_key[64], of_certificate[64];
    size_t a = sizeof of_key, b = sizeof of_certificate;
    gnutls_pubkey_t public = NULL;
    int code = gnutls_privkey_init(&s->key);

    if (code >= 0)
        code = gnutls_privkey_import_x509_raw(s->key, &d, GNUTLS_X509_FMT_PEM, NULL, 0);
    if (code < 0)
        return err_set(e, ERR_FORMAT, "'%s' has no private key (PEM) that can be read: %s", path,
                       gnutls_strerror(code));
    code = gnutls_pubkey_init(&public);
    if (code >= 0)
        code = gnutls_pubkey_import_privkey(public, s->key, 0, 0);
    if (code >= 0)
        code = gnutls_pubkey_get_key_id(public, GNUTLS_KEYID_USE_SHA256, of_key, &a);
    if (code >= 0)
        code = gnutls_pubkey_get_key_id(s->chain[0].pubkey, GNUTLS_KEYID_USE_SHA256, of_certificate,
                                        &b);
    if (public)
        gnutls_pubkey_deinit(public);
    if (code < 0 || a != b || memcmp(of_key, of_certificate, a) != 0)
        return err_set(e, ERR_CONFIG, "the private key in '%s' is not that of the certificate",
                       path);
    return 0;
}

static int shown_read(const struct tls_identity *i, struct shown **out, struct err *e)
{
    struct shown *s = calloc(1, sizeof *s);
    struct buf certificate, key;

    if (!s)
        return err_set(e, ERR_NO_MEMORY, "no memory for a certificate");
    buf_init(&key, PEM_MAX);
    int rc = env_file_read(i->certificate, PEM_MAX, &certificate, e);
    if (!rc && i->key_path)
        rc = env_file_read(i->key_path, PEM_MAX, &key, e);
    if (!rc)
        rc = read_chain(s, &certificate, i->certificate, e);
    if (!rc)
        rc = read_key(s, i->key_path ? &key : &certificate,
                      i->key_path ? i->key_path : i->certificate, e);
    buf_free(&certificate);
    buf_free(&key);
    if (rc)
        shown_free(s);
    else
        *out = s;
    return rc;
}

static void read_times(const struct tls_identity *i, int64_t *certificate, int64_t *key)
{
    struct err ignored;

    *certificate = *key = 0;
    if (env_file_modified_ms(i->certificate, certificate, &ignored))
        *certificate = 0;
    if (i->key_path && env_file_modified_ms(i->key_path, key, &ignored))
        *key = 0;
}

int tls_identity_open(struct tls_identity **out, const char *certificate, const char *key,
                      struct err *e)
{
    struct tls_identity *i = calloc(1, sizeof *i);
    struct shown *s = NULL;

    if (!i)
        return err_set(e, ERR_NO_MEMORY, "no memory for a certificate");
    i->certificate = strdup(certificate);
    i->key_path = key ? strdup(key) : NULL;
    int rc = i->certificate && (!key || i->key_path)
                 ? 0
                 : err_set(e, ERR_NO_MEMORY, "no memory for a certificate");
    if (!rc) {
        read_times(i, &i->modified_ms,
                   &i->key_modified_ms); /* before: a change meanwhile is seen */
        rc = shown_read(i, &s, e);
    }
    atomic_store(&i->now, s);
    if (rc)
        tls_identity_close(i);
    else
        *out = i;
    return rc;
}

void tls_identity_close(struct tls_identity *i)
{
    if (!i)
        return;
    shown_free(atomic_load(&i->now));
    free(i->certificate);
    free(i->key_path);
    free(i);
}

static void look_at_end(struct tls_identity *i, int64_t now_ms)
{
    int64_t left = tls_identity_until_ms(i) - env_wall_ms();

    if (left > SERVICE_TLS_WARN_DAYS * DAY_MS || (i->said_ms && now_ms - i->said_ms < DAY_MS))
        return;
    i->said_ms = now_ms;
    if (left <= 0)
        log_error("the certificate has expired: no client believes it; file=%s "
                  "renew=\"tacitd tls renew --data DIR\"",
                  i->certificate);
    else
        log_warn("the certificate expires days=%d file=%s renew=\"tacitd tls renew --data DIR\"",
                 (int)((left + DAY_MS / 2) / DAY_MS), i->certificate);
}

void tls_identity_look(struct tls_identity *i)
{
    int64_t now_ms = env_monotonic_ms(), certificate, key;
    struct shown *s = NULL;
    struct err e = {0};

    if (now_ms < i->look_ms)
        return;
    i->look_ms = now_ms + LOOK_MS;
    read_times(i, &certificate, &key);
    if (certificate && (certificate != i->modified_ms || key != i->key_modified_ms)) {
        i->modified_ms = certificate;
        i->key_modified_ms = key;
        if (shown_read(i, &s, &e)) {
            log_warn("the new certificate is not taken, the one before stays: why=\"%s\"",
                     e.message);
        } else {
            s->before = atomic_load(&i->now);
            atomic_store(&i->now, s);
            i->said_ms = 0;
            log_info("another certificate is shown from now on, file=%s", i->certificate);
        }
    }
    look_at_end(i, now_ms);
}

int64_t tls_identity_until_ms(const struct tls_identity *i)
{
    return atomic_load(&i->now)->until_ms;
}

void tls_identity_show(const struct tls_identity *i, gnutls_pcert_st **chain, unsigned *count,
                       gnutls_privkey_t *key)
{
    struct shown *s = atomic_load(&i->now);

    *chain = s->chain;
    *count = s->count;
    *key = s->key;
}
