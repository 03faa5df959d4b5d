#include "agent/cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/env/file.h"

#define CACHE_BUCKETS 4096
#define PART_SUFFIX ".part"

/* A blob, or the part of one whose download broke off. */
struct entry {
    struct digest digest;
    uint64_t bytes, used; /* used: the clock of the last use */
    bool partial, pinned, checked;
    struct entry *next; /* in the bucket */
    char path[];
};

struct cache {
    char *dir;
    uint64_t bytes, bytes_max, reserved, clock;
    struct entry *buckets[CACHE_BUCKETS];
};

static struct entry **slot_of(struct cache *c, const struct digest *d)
{
    struct entry **p = &c->buckets[(d->bytes[0] << 4 | d->bytes[1] >> 4) % CACHE_BUCKETS];
    while (*p && !digest_equal(&(*p)->digest, d)) {
        p = &(*p)->next;
    }
    return p;
}

static struct entry *entry_add(struct cache *c, const struct digest *d, struct err *e)
{
    char hex[DIGEST_HEX + 1];
    size_t cap = strlen(c->dir) + DIGEST_HEX + 8;
    struct entry *x = calloc(1, sizeof *x + cap);
    if (!x) {
        err_set(e, ERR_NO_MEMORY, "no memory for the cache");
        return NULL;
    }
    x->digest = *d;
    digest_to_hex(d, hex);
    snprintf(x->path, cap, "%s/%.2s/%s", c->dir, hex, hex);
    struct entry **slot = slot_of(c, d);
    x->next = *slot;
    *slot = x;
    return x;
}

static char *part_of(const struct entry *x)
{
    size_t cap = strlen(x->path) + sizeof PART_SUFFIX;
    char *part = malloc(cap);
    if (part) {
        snprintf(part, cap, "%s%s", x->path, PART_SUFFIX);
    }
    return part;
}

/* Forgets the entry and removes its files. */
static int entry_remove(struct cache *c, struct entry *x, struct err *e)
{
    char *part = part_of(x);
    int rc = env_file_remove(x->path, e);
    if (!rc) {
        rc = part ? env_file_remove(part, e) : err_set(e, ERR_NO_MEMORY, "no memory for a path");
    }
    free(part);
    if (rc) {
        return rc;
    }
    struct entry **slot = slot_of(c, &x->digest);
    *slot = x->next;
    c->bytes -= x->bytes;
    free(x);
    return 0;
}

/* Takes up a file of an earlier process; what is no blob is left alone. */
static int scan_file(struct cache *c, const char *folder, const char *name, struct err *e)
{
    struct digest d;
    size_t len = strlen(name);
    bool partial =
        len == DIGEST_HEX + strlen(PART_SUFFIX) && !strcmp(name + DIGEST_HEX, PART_SUFFIX);
    if ((len != DIGEST_HEX && !partial) || !digest_from_hex(&d, name, DIGEST_HEX)) {
        return 0;
    }
    struct entry *x = *slot_of(c, &d);
    if (!x && !(x = entry_add(c, &d, e))) {
        return e->code;
    }
    char *path = env_path_join(folder, name);
    uint64_t bytes = 0;
    int rc =
        path ? env_file_size(path, &bytes, e) : err_set(e, ERR_NO_MEMORY, "no memory for a path");
    free(path);
    if (!rc) {
        x->partial = partial; /* "HEX" sorts before "HEX.part": a leftover part counts as one */
        x->bytes += bytes;
        c->bytes += bytes;
    }
    return rc;
}

static int scan(struct cache *c, struct err *e)
{
    char **folders, **names;
    size_t folder_count, name_count;
    int rc = env_dir_list(c->dir, &folders, &folder_count, e);
    if (rc) {
        return rc;
    }
    for (size_t i = 0; !rc && i < folder_count; i++) {
        char *folder = env_path_join(c->dir, folders[i]);
        if (!folder) {
            rc = err_set(e, ERR_NO_MEMORY, "no memory for a path");
        } else if (env_dir_exists(folder)) {
            rc = env_dir_list(folder, &names, &name_count, e);
            for (size_t k = 0; !rc && k < name_count; k++) {
                rc = scan_file(c, folder, names[k], e);
            }
            if (names) {
                env_dir_list_free(names, name_count);
            }
        }
        free(folder);
    }
    env_dir_list_free(folders, folder_count);
    return rc;
}

int cache_open(struct cache **out, const char *dir, uint64_t bytes_max, struct err *e)
{
    *out = NULL;
    struct cache *c = calloc(1, sizeof *c);
    if (!c || !(c->dir = strdup(dir))) {
        free(c);
        return err_set(e, ERR_NO_MEMORY, "no memory for the cache");
    }
    c->bytes_max = bytes_max;
    int rc = env_dir_make(dir, e);
    if (!rc) {
        rc = scan(c, e);
    }
    if (rc) {
        cache_close(c);
        return rc;
    }
    *out = c;
    return 0;
}

void cache_close(struct cache *c)
{
    if (!c) {
        return;
    }
    for (size_t i = 0; i < CACHE_BUCKETS; i++) {
        for (struct entry *x = c->buckets[i]; x;) {
            struct entry *next = x->next;
            free(x);
            x = next;
        }
    }
    free(c->dir);
    free(c);
}

/* Makes room for bytes more, as far as what is pinned allows. */
static int make_room(struct cache *c, uint64_t bytes, struct err *e)
{
    while (c->bytes + c->reserved + bytes > c->bytes_max) {
        struct entry *oldest = NULL;
        for (size_t i = 0; i < CACHE_BUCKETS; i++) {
            for (struct entry *x = c->buckets[i]; x; x = x->next) {
                if (!x->pinned && (!oldest || x->used < oldest->used)) {
                    oldest = x;
                }
            }
        }
        if (!oldest) {
            return 0; /* a job needs what it needs */
        }
        int rc = entry_remove(c, oldest, e);
        if (rc) {
            return rc;
        }
    }
    return 0;
}

static int check_digest(const struct entry *x, struct err *e)
{
    struct env_map map;
    struct digest got;
    int rc = env_file_map(x->path, &map, e);
    if (rc) {
        return rc;
    }
    digest_of(map.data, map.size, &got);
    env_file_unmap(&map);
    return digest_equal(&got, &x->digest)
               ? 0
               : err_set(e, ERR_DIGEST, "'%s' was damaged on disk", x->path);
}

static int make_folder(const struct entry *x, struct err *e)
{
    char *folder = strndup(x->path, strlen(x->path) - DIGEST_HEX - 1);
    int rc = folder ? env_dir_make(folder, e) : err_set(e, ERR_NO_MEMORY, "no memory for a path");
    free(folder);
    return rc;
}

static int measure(struct cache *c, struct entry *x, struct err *e)
{
    uint64_t bytes;
    int rc = env_file_size(x->path, &bytes, e);
    if (!rc) {
        c->bytes += bytes - x->bytes;
        x->bytes = bytes;
        x->partial = false;
        x->checked = true;
    }
    return rc;
}

/* What a download that broke off has left counts like any other. */
static void measure_part(struct cache *c, struct entry *x)
{
    uint64_t bytes = 0;
    struct err e = {0};
    char *part = part_of(x);
    if (!part || (env_file_exists(part) && env_file_size(part, &bytes, &e))) {
        bytes = x->bytes;
    }
    c->bytes += bytes - x->bytes;
    x->bytes = bytes;
    free(part);
}

static int fetch_entry(struct cache *c, struct entry *x, uint64_t bytes, cache_fetch_fn *fetch,
                       void *arg, struct err *e)
{
    x->pinned = true; /* making room must not remove it */
    int rc = make_room(c, bytes > x->bytes ? bytes - x->bytes : 0, e);
    if (!rc) {
        rc = make_folder(x, e);
    }
    if (!rc) {
        rc = fetch(arg, &x->digest, x->path, e);
        if (rc) {
            measure_part(c, x);
        }
    }
    if (!rc) {
        rc = measure(c, x, e);
    }
    if (rc) {
        x->pinned = false;
    }
    return rc;
}

int cache_get(struct cache *c, const struct digest *d, uint64_t bytes, cache_fetch_fn *fetch,
              void *arg, const char **path, struct err *e)
{
    struct entry *x = *slot_of(c, d);
    int rc = 0;
    if (x && !x->partial && !x->checked) {
        struct err damaged = {0};
        if (check_digest(x, &damaged) == 0) {
            x->checked = true;
        } else {
            rc = entry_remove(c, x, e);
            x = NULL;
        }
    }
    if (!rc && !x) {
        x = entry_add(c, d, e);
        if (!x) {
            return ERR_NO_MEMORY;
        }
        x->partial = true;
    }
    if (!rc && x->partial) {
        rc = fetch_entry(c, x, bytes, fetch, arg, e);
    }
    if (!rc) {
        x->pinned = true;
        x->used = ++c->clock;
        *path = x->path;
    }
    return rc;
}

int cache_adopt(struct cache *c, const struct digest *d, const char *path, struct err *e)
{
    struct entry *x = *slot_of(c, d);
    uint64_t bytes = 0;
    if (x && !x->partial) {
        x->used = ++c->clock;
        return env_file_remove(path, e);
    }
    int rc = env_file_size(path, &bytes, e);
    if (!rc && !x && !(x = entry_add(c, d, e))) {
        rc = ERR_NO_MEMORY;
    }
    if (rc) {
        return rc;
    }
    bool pinned = x->pinned;
    x->pinned = x->partial = true;
    x->used = ++c->clock;
    rc = make_room(c, bytes, e);
    if (!rc) {
        rc = make_folder(x, e);
    }
    if (!rc) {
        rc = env_file_move(path, x->path, e); /* what a crash damages is found at the next start */
    }
    if (!rc) {
        rc = measure(c, x, e);
    }
    x->pinned = pinned;
    return rc;
}

void cache_unpin_all(struct cache *c)
{
    for (size_t i = 0; i < CACHE_BUCKETS; i++) {
        for (struct entry *x = c->buckets[i]; x; x = x->next) {
            x->pinned = false;
        }
    }
}

void cache_reserve(struct cache *c, uint64_t bytes)
{
    c->reserved = bytes;
}

uint64_t cache_bytes(const struct cache *c)
{
    return c->bytes;
}

uint64_t cache_bytes_max(const struct cache *c)
{
    return c->bytes_max;
}

void cache_empty(struct cache *c)
{
    for (size_t i = 0; i < CACHE_BUCKETS; i++) {
        for (struct entry *x = c->buckets[i], *next; x; x = next) {
            struct err e = {0};
            next = x->next;
            if (!x->pinned) {
                (void)!entry_remove(c, x, &e);
            }
        }
    }
}
