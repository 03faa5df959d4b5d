#include "coordinator/tls/authority.h"

#include <arpa/inet.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/buf.h"
#include "core/client/join_file.h"
#include "core/env/clock.h"
#include "core/env/file.h"
#include "coordinator/api/tokens.h"

#define PEM_MAX (256u << 10)
#define SERIAL_BYTES 16
#define EARLY_S 3600 /* a client's clock may be late */
#define DAY_S 86400

/* Of a folder: the authority, and what it signs. */
struct paths {
    char *folder, *authority, *authority_key, *server;
    char *agent, *operator;
};

static void paths_free(struct paths *p)
{
    free(p->folder);
    free(p->authority);
    free(p->authority_key);
    free(p->server);
    free(p->agent);
    free(p->operator);
}

static int paths_make(const char *dir, struct paths *p, struct err *e)
{
    p->folder = env_path_join(dir, "tls");
    p->authority = env_path_join(dir, "tls/authority.pem");
    p->authority_key = env_path_join(dir, "tls/authority.key");
    p->server = env_path_join(dir, "tls/server.pem");
    p->agent = env_path_join(dir, "agent.join");
    p->operator= env_path_join(dir, "operator.join");
    return p->folder && p->authority && p->authority_key && p->server && p->agent && p->operator
               ? 0
               : err_set(e, ERR_NO_MEMORY, "no memory for a path");
}

static int check(int code, const char *what, struct err *e)
{
    return code < 0 ? err_set(e, ERR_INTERNAL, "%s: %s", what, gnutls_strerror(code)) : 0;
}

/* --- names ------------------------------------------------------------------------------------ */

/* 4 or 16 bytes of an address, 0 for a name. */
static size_t address_of(const char *host, unsigned char out[16])
{
    if (inet_pton(AF_INET, host, out) == 1)
        return 4;
    return inet_pton(AF_INET6, host, out) == 1 ? 16 : 0;
}

static bool is_host_name(const char *s)
{
    size_t len = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-");

    return len > 0 && len < 254 && s[len] == 0 && s[0] != '-' && s[0] != '.';
}

int tls_hosts_parse(char *text, struct tls_wanted *wanted, struct err *e)
{
    unsigned char address[16];
    char *rest = NULL;

    wanted->host_count = 0;
    for (char *host = strtok_r(text, ", ", &rest); host; host = strtok_r(NULL, ", ", &rest)) {
        if (!address_of(host, address) && !is_host_name(host))
            return err_set(e, ERR_INVALID,
                           "--host: '%s' is no host's name or address: write train.example.org or "
                           "10.0.0.5, with commas between, without scheme and port",
                           host);
        if (wanted->host_count == TLS_HOSTS_MAX)
            return err_set(e, ERR_INVALID, "--host: at most %d are taken", TLS_HOSTS_MAX);
        wanted->hosts[wanted->host_count++] = host;
    }
    return wanted->host_count ? 0 : err_set(e, ERR_INVALID, "--host names no host");
}

/* --- certificates ----------------------------------------------------------------------------- */

static int key_make(gnutls_x509_privkey_t *key, struct err *e)
{
    int rc = gnutls_x509_privkey_init(key);

    if (rc >= 0)
        rc = gnutls_x509_privkey_generate(*key, GNUTLS_PK_ECDSA,
                                          GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
    return check(rc, "a key", e);
}

/* What every certificate says: who, whose key, from when to when. */
static int certificate_begin(gnutls_x509_crt_t *crt, gnutls_x509_privkey_t key, const char *name,
                             uint32_t days, struct err *e)
{
    unsigned char serial[SERIAL_BYTES], id[64];
    size_t id_len = sizeof id;
    int64_t now = env_wall_ms() / 1000;
    int rc = gnutls_x509_crt_init(crt);

    env_random(serial, sizeof serial);
    serial[0] = (unsigned char)((serial[0] & 0x7f) | 0x40); /* a positive number of full length */
    if (rc >= 0)
        rc = gnutls_x509_crt_set_version(*crt, 3);
    if (rc >= 0)
        rc = gnutls_x509_crt_set_serial(*crt, serial, sizeof serial);
    if (rc >= 0)
        rc = gnutls_x509_crt_set_activation_time(*crt, (time_t)(now - EARLY_S));
    if (rc >= 0)
        rc = gnutls_x509_crt_set_expiration_time(*crt, (time_t)(now + (int64_t)days * DAY_S));
    if (rc >= 0)
        rc = gnutls_x509_crt_set_dn_by_oid(*crt, GNUTLS_OID_X520_COMMON_NAME, 0, name,
                                           (unsigned)strlen(name));
    if (rc >= 0)
        rc = gnutls_x509_crt_set_key(*crt, key);
    if (rc >= 0)
        rc = gnutls_x509_crt_get_key_id(*crt, GNUTLS_KEYID_USE_SHA1, id, &id_len);
    if (rc >= 0)
        rc = gnutls_x509_crt_set_subject_key_id(*crt, id, id_len);
    return check(rc, "a certificate", e);
}

static int authority_make(gnutls_x509_crt_t *crt, gnutls_x509_privkey_t *key, const char *host,
                          struct err *e)
{
    char name[64];

    snprintf(name, sizeof name, "tacit authority of %.40s", host);
    int rc = key_make(key, e);
    if (!rc)
        rc = certificate_begin(crt, *key, name, TLS_AUTHORITY_DAYS, e);
    if (rc)
        return rc;
    int code = gnutls_x509_crt_set_basic_constraints(*crt, 1, 0);
    if (code >= 0)
        code = gnutls_x509_crt_set_key_usage(*crt, GNUTLS_KEY_KEY_CERT_SIGN | GNUTLS_KEY_CRL_SIGN);
    if (code >= 0)
        code = gnutls_x509_crt_sign2(*crt, *crt, *key, GNUTLS_DIG_SHA256, 0);
    return check(code, "the authority's certificate", e);
}

static int add_host(gnutls_x509_crt_t crt, const char *host)
{
    unsigned char address[16];
    size_t len = address_of(host, address);

    if (len)
        return gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_IPADDRESS, address,
                                                    (unsigned)len, GNUTLS_FSAN_APPEND);
    return gnutls_x509_crt_set_subject_alt_name(crt, GNUTLS_SAN_DNSNAME, host,
                                                (unsigned)strlen(host), GNUTLS_FSAN_APPEND);
}

static int server_make(gnutls_x509_crt_t *crt, gnutls_x509_privkey_t *key,
                       gnutls_x509_crt_t authority, gnutls_x509_privkey_t authority_key,
                       const struct tls_wanted *w, struct err *e)
{
    char name[64];
    unsigned char id[64];
    size_t id_len = sizeof id;

    snprintf(name, sizeof name, "%.63s", w->hosts[0]);
    int rc = key_make(key, e);
    if (!rc)
        rc = certificate_begin(crt, *key, name, w->days ? w->days : TLS_DAYS, e);
    if (rc)
        return rc;
    int code = 0;
    for (uint32_t i = 0; code >= 0 && i < w->host_count; i++)
        code = add_host(*crt, w->hosts[i]);
    if (code >= 0)
        code = gnutls_x509_crt_set_basic_constraints(*crt, 0, -1);
    if (code >= 0)
        code = gnutls_x509_crt_set_key_usage(*crt, GNUTLS_KEY_DIGITAL_SIGNATURE);
    if (code >= 0)
        code = gnutls_x509_crt_set_key_purpose_oid(*crt, GNUTLS_KP_TLS_WWW_SERVER, 0);
    if (code >= 0)
        code = gnutls_x509_crt_get_subject_key_id(authority, id, &id_len, NULL);
    if (code >= 0)
        code = gnutls_x509_crt_set_authority_key_id(*crt, id, id_len);
    if (code >= 0)
        code = gnutls_x509_crt_sign2(*crt, authority, authority_key, GNUTLS_DIG_SHA256, 0);
    return check(code, "the coordinator's certificate", e);
}

static int append_key(struct buf *b, gnutls_x509_privkey_t key, struct err *e)
{
    gnutls_datum_t pem;
    int rc = check(gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &pem), "a key", e);

    if (rc)
        return rc;
    rc = buf_append(b, pem.data, pem.size, e);
    gnutls_memset(pem.data, 0, pem.size);
    gnutls_free(pem.data);
    return rc;
}

static int append_certificate(struct buf *b, gnutls_x509_crt_t crt, struct err *e)
{
    gnutls_datum_t pem;
    int rc = check(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &pem), "a certificate", e);

    if (rc)
        return rc;
    rc = buf_append(b, pem.data, pem.size, e);
    gnutls_free(pem.data);
    return rc;
}

/* --- files ------------------------------------------------------------------------------------ */

/* Authority and key, loaded or made. */
struct authority {
    gnutls_x509_crt_t crt;
    gnutls_x509_privkey_t key;
};

static void authority_free(struct authority *a)
{
    if (a->crt)
        gnutls_x509_crt_deinit(a->crt);
    if (a->key)
        gnutls_x509_privkey_deinit(a->key);
}

static int authority_keep(const struct paths *p, const struct authority *a, struct err *e)
{
    struct buf b;

    buf_init(&b, PEM_MAX);
    int rc = append_key(&b, a->key, e);
    if (!rc)
        rc = env_file_write_atomic(p->authority_key, b.data, b.len, 0600, e);
    buf_free(&b);
    buf_init(&b, PEM_MAX);
    if (!rc)
        rc = append_certificate(&b, a->crt, e);
    if (!rc)
        rc = env_file_write_atomic(p->authority, b.data, b.len, 0644, e);
    buf_free(&b);
    return rc;
}

static int authority_load(const struct paths *p, struct authority *a, struct err *e)
{
    struct buf crt, key;
    int rc = env_file_read(p->authority, PEM_MAX, &crt, e);

    if (rc)
        return err_prefix(e, "there is no authority to renew by (`tacitd tls init` makes one)");
    rc = env_file_read(p->authority_key, PEM_MAX, &key, e);
    if (rc) {
        buf_free(&crt);
        return err_prefix(e, "the authority's key is needed to renew; where it is kept elsewhere, "
                             "bring it back for now");
    }
    gnutls_datum_t c = {(unsigned char *)crt.data, (unsigned)crt.len};
    gnutls_datum_t k = {(unsigned char *)key.data, (unsigned)key.len};
    int code = gnutls_x509_crt_init(&a->crt);
    if (code >= 0)
        code = gnutls_x509_crt_import(a->crt, &c, GNUTLS_X509_FMT_PEM);
    if (code >= 0)
        code = gnutls_x509_privkey_init(&a->key);
    if (code >= 0)
        code = gnutls_x509_privkey_import(a->key, &k, GNUTLS_X509_FMT_PEM);
    buf_free(&crt);
    buf_free(&key);
    return code < 0 ? err_set(e, ERR_FORMAT, "'%s' or its key is damaged: %s", p->authority,
                              gnutls_strerror(code))
                    : 0;
}

static int server_keep(const struct paths *p, const struct authority *a, const struct tls_wanted *w,
                       struct tls_made *made, struct err *e)
{
    gnutls_x509_crt_t crt = NULL;
    gnutls_x509_privkey_t key = NULL;
    struct buf b;

    buf_init(&b, PEM_MAX);
    int rc = server_make(&crt, &key, a->crt, a->key, w, e);
    if (!rc)
        rc = append_key(&b, key, e);
    if (!rc)
        rc = append_certificate(&b, crt, e);
    if (!rc)
        rc = append_certificate(&b, a->crt, e);
    if (!rc)
        rc = env_file_write_atomic(p->server, b.data, b.len, 0600, e);
    if (!rc)
        made->until_ms = (int64_t)gnutls_x509_crt_get_expiration_time(crt) * 1000;
    buf_free(&b);
    if (crt)
        gnutls_x509_crt_deinit(crt);
    if (key)
        gnutls_x509_privkey_deinit(key);
    return rc;
}

static int joins_keep(const char *dir, const struct paths *p, const struct tls_made *made,
                      struct err *e)
{
    struct tokens tokens;
    struct buf authority;
    int rc = tokens_open(dir, &tokens, e);

    if (rc)
        return rc;
    rc = env_file_read(p->authority, PEM_MAX, &authority, e);
    if (rc)
        return rc;
    rc = join_file_write(p->agent, "for agents: tacit-agent --join FILE --work DIR", made->url,
                         tokens.join, authority.data, e);
    if (!rc)
        rc = join_file_write(p->operator, "for the operator: tacit --join FILE …", made->url,
                             tokens.admin, authority.data, e);
    buf_free(&authority);
    return rc;
}

static void url_of(const struct tls_wanted *w, uint16_t port, struct tls_made *made)
{
    bool v6 = strchr(w->hosts[0], ':') != NULL;

    snprintf(made->url, sizeof made->url, "https://%s%s%s:%u", v6 ? "[" : "", w->hosts[0],
             v6 ? "]" : "", port);
}

int tls_init(const char *dir, const struct tls_wanted *wanted, struct tls_made *made, struct err *e)
{
    struct paths p = {0};
    struct authority a = {0};
    int rc = paths_make(dir, &p, e);

    if (!rc && env_file_exists(p.server))
        rc = err_set(e, ERR_EXISTS,
                     "'%s' has an authority already: `tacitd tls renew --data %s` makes another "
                     "certificate by it; to begin anew, remove that folder: then every client "
                     "needs the new join file",
                     p.folder, dir);
    if (!rc)
        rc = env_dir_make(p.folder, e);
    if (!rc)
        rc = authority_make(&a.crt, &a.key, wanted->hosts[0], e);
    if (!rc)
        rc = authority_keep(&p, &a, e);
    url_of(wanted, wanted->port, made);
    if (!rc)
        rc = joins_keep(dir, &p, made, e);
    if (!rc) /* last: where it is there, all is */
        rc = server_keep(&p, &a, wanted, made, e);
    authority_free(&a);
    paths_free(&p);
    return rc;
}

/* --- renewing --------------------------------------------------------------------------------- */

/* Names and addresses that the certificate of before was made for. */
static int hosts_of_before(const struct paths *p, struct tls_wanted *w,
                           char hosts[TLS_HOSTS_MAX][256], struct err *e)
{
    gnutls_x509_crt_t crt = NULL;
    struct buf b;
    int rc = env_file_read(p->server, PEM_MAX, &b, e);

    if (rc)
        return err_prefix(e, "the certificate of before; name its hosts with --host");
    gnutls_datum_t d = {(unsigned char *)b.data, (unsigned)b.len};
    int code = gnutls_x509_crt_init(&crt);
    if (code >= 0)
        code = gnutls_x509_crt_import(crt, &d, GNUTLS_X509_FMT_PEM);
    for (unsigned i = 0; code >= 0 && w->host_count < TLS_HOSTS_MAX; i++) {
        unsigned char name[256];
        size_t len = sizeof name - 1;
        unsigned type;
        char *to = hosts[w->host_count];
        if (gnutls_x509_crt_get_subject_alt_name2(crt, i, name, &len, &type, NULL) < 0)
            break;
        name[len < sizeof name ? len : sizeof name - 1] = 0;
        if (type == GNUTLS_SAN_DNSNAME)
            snprintf(to, 256, "%s", (const char *)name);
        else if (type != GNUTLS_SAN_IPADDRESS ||
                 !inet_ntop(len == 4 ? AF_INET : AF_INET6, name, to, 256))
            continue;
        w->hosts[w->host_count++] = to;
    }
    if (crt)
        gnutls_x509_crt_deinit(crt);
    buf_free(&b);
    if (code < 0 || w->host_count == 0)
        return err_set(e, ERR_FORMAT, "'%s' names no hosts: give them with --host", p->server);
    return 0;
}

static uint16_t port_of_before(const struct paths *p, uint16_t otherwise)
{
    struct join_file f;
    struct err ignored;

    if (join_file_read(p->agent, &f, &ignored) != 0)
        return otherwise;
    const char *colon = strrchr(f.url, ':');
    return colon ? (uint16_t)atoi(colon + 1) : otherwise;
}

int tls_renew(const char *dir, const struct tls_wanted *wanted, struct tls_made *made,
              struct err *e)
{
    char hosts[TLS_HOSTS_MAX][256];
    struct tls_wanted w = *wanted;
    struct paths p = {0};
    struct authority a = {0};
    int rc = paths_make(dir, &p, e);

    if (!rc)
        rc = authority_load(&p, &a, e);
    if (!rc && w.host_count == 0)
        rc = hosts_of_before(&p, &w, hosts, e);
    if (!rc) {
        url_of(&w, w.port ? w.port : port_of_before(&p, 8420), made);
        rc = server_keep(&p, &a, &w, made, e);
    }
    if (!rc)
        rc = joins_keep(dir, &p, made, e);
    authority_free(&a);
    paths_free(&p);
    return rc;
}

int tls_join_token(const char *dir, const char *token, struct err *e)
{
    struct paths p = {0};
    struct join_file f;
    struct buf authority;
    int rc = paths_make(dir, &p, e);

    if (!rc && env_file_exists(p.agent)) {
        rc = join_file_read(p.agent, &f, e);
        if (!rc)
            rc = env_file_read(p.agent, JOIN_FILE_MAX, &authority, e);
        if (!rc) {
            rc = join_file_write(p.agent, "for agents: tacit-agent --join FILE --work DIR", f.url,
                                 token, authority.data, e);
            buf_free(&authority);
        }
    }
    paths_free(&p);
    return rc;
}

char *tls_server_path(const char *dir)
{
    char *path = env_path_join(dir, "tls/server.pem");

    if (path && !env_file_exists(path)) {
        free(path);
        path = NULL;
    }
    return path;
}
