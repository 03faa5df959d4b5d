#include "tests/sim/disk.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "core/env/clock.h"
#include "tests/sim/disk_parts.h"

#define FIRST_FD 1000
#define NO_LIMIT_FREE (1ull << 40)
#define SWEEP_EVERY 512 /* nodes made between two sweeps */
#define NAME_MAX_BYTES 255

/* --- memory --------------------------------------------------------------- */

void *disk__alloc(size_t size)
{
    void *p = calloc(1, size ? size : 1);
    if (!p)
        abort();
    return p;
}

void *disk__grow(void *list, size_t *cap, size_t item_size)
{
    size_t more = *cap ? 2 * *cap : 8;
    void *grown = reallocarray(list, more, item_size);
    if (!grown)
        abort();
    *cap = more;
    return grown;
}

uint64_t disk__mix(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15ull;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

uint64_t sim_disk_random(struct sim_disk *d)
{
    return disk__mix(&d->random);
}

/* --- names ---------------------------------------------------------------- */

/* Where name is, or would be. */
static size_t entries_place(const struct entries *s, const char *name, bool *there)
{
    size_t low = 0, high = s->count;
    *there = false;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(s->list[middle].name, name);
        if (order == 0) {
            *there = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct node *entries__find(const struct entries *s, const char *name)
{
    bool there;
    size_t i = entries_place(s, name, &there);
    return there ? s->list[i].node : NULL;
}

void entries__set(struct entries *s, const char *name, struct node *node)
{
    bool there;
    size_t i = entries_place(s, name, &there);
    if (there && node) {
        s->list[i].node = node;
    } else if (there) {
        free(s->list[i].name);
        memmove(&s->list[i], &s->list[i + 1], (s->count - i - 1) * sizeof *s->list);
        s->count--;
    } else if (node) {
        if (s->count == s->cap)
            s->list = disk__grow(s->list, &s->cap, sizeof *s->list);
        memmove(&s->list[i + 1], &s->list[i], (s->count - i) * sizeof *s->list);
        s->list[i] = (struct entry){strdup(name), node};
        s->count++;
    }
}

void entries__free(struct entries *s)
{
    for (size_t i = 0; i < s->count; i++)
        free(s->list[i].name);
    free(s->list);
    *s = (struct entries){0};
}

/* The next part of a path, copied to name; false at its end. */
static bool path_part(const char **path, char name[NAME_MAX_BYTES + 1], int *error)
{
    *path += strspn(*path, "/");
    size_t len = strcspn(*path, "/");
    if (len > NAME_MAX_BYTES) {
        *error = -ENAMETOOLONG;
        return false;
    }
    memcpy(name, *path, len);
    name[len] = 0;
    *path += len;
    return len > 0;
}

/* The folder that holds the path's last part, and that part ("" for the root itself). */
static int path_holder(struct sim_disk *d, const char *path, struct node **folder,
                       char name[NAME_MAX_BYTES + 1])
{
    struct node *stack[64], *at = d->nodes[0];
    char part[NAME_MAX_BYTES + 1];
    unsigned depth = 0;
    int error = 0;
    name[0] = 0;
    while (path_part(&path, part, &error)) {
        if (strcmp(part, ".") == 0)
            continue;
        if (name[0]) {
            struct node *next = entries__find(&at->names, name);
            if (!next || depth == 64)
                return next ? -ELOOP : -ENOENT;
            if (!next->folder)
                return -ENOTDIR;
            stack[depth++] = at;
            at = next;
            name[0] = 0;
        }
        if (strcmp(part, "..") == 0)
            at = depth ? stack[--depth] : at;
        else
            memcpy(name, part, sizeof part);
    }
    *folder = at;
    return error;
}

static int path_node(struct sim_disk *d, const char *path, struct node **out)
{
    char name[NAME_MAX_BYTES + 1];
    struct node *folder;
    int rc = path_holder(d, path, &folder, name);
    if (rc)
        return rc;
    *out = name[0] ? entries__find(&folder->names, name) : folder;
    return *out ? 0 : -ENOENT;
}

/* --- changes --------------------------------------------------------------- */

struct node *disk__node_make(struct sim_disk *d, bool folder)
{
    struct node *n = disk__alloc(sizeof *n);
    if (d->node_count == d->node_cap) {
        size_t cap = d->node_cap;
        d->nodes = disk__grow(d->nodes, &cap, sizeof(struct node *));
        d->node_cap = cap;
    }
    *n = (struct node){.number = d->node_count, .folder = folder, .lock = -1};
    n->last = &n->first;
    n->modified_ms = env_wall_ms();
    d->nodes[d->node_count++] = n;
    d->used += SIM_DISK_PAGE;
    journal__node(d, JOURNAL_MAKE, n);
    return n;
}

static void change_add(struct node *n, uint64_t offset, const void *data, size_t len)
{
    struct change *c = malloc(sizeof *c + len);
    if (!c)
        abort();
    *c = (struct change){.offset = offset, .len = len};
    if (data) {
        c->data = (uint8_t *)(c + 1);
        memcpy(c->data, data, len);
    }
    *n->last = c;
    n->last = &c->next;
    n->modified_ms = env_wall_ms();
}

void disk__write(struct sim_disk *d, struct node *n, uint64_t offset, const void *data, size_t len)
{
    d->used += content__new_pages(&n->now, offset, len) * SIM_DISK_PAGE;
    content__write(&n->now, offset, data, len);
    change_add(n, offset, data, len);
    journal__write(d, n, offset, data, len);
}

void disk__truncate(struct sim_disk *d, struct node *n, uint64_t size)
{
    size_t before = content__pages(&n->now);
    content__truncate(&n->now, size);
    d->used -= (before - content__pages(&n->now)) * SIM_DISK_PAGE;
    change_add(n, size, NULL, 0);
    journal__truncate(d, n, size);
}

void disk__name(struct sim_disk *d, const struct naming *like)
{
    struct naming *m = disk__alloc(sizeof *m);
    m->sets = like->sets;
    for (unsigned i = 0; i < m->sets; i++) {
        struct node *folder = m->set[i].folder = like->set[i].folder;
        m->set[i].name = strdup(like->set[i].name);
        m->set[i].node = like->set[i].node;
        entries__set(&folder->names, m->set[i].name, m->set[i].node);
        folder->modified_ms = env_wall_ms();
    }
    *d->last = m;
    d->last = &m->next;
    journal__name(d, m);
}

void change__free_all(struct node *n)
{
    while (n->first) {
        struct change *c = n->first;
        n->first = c->next;
        free(c);
    }
    n->last = &n->first;
}

void naming__free(struct naming *m)
{
    for (unsigned i = 0; i < m->sets; i++)
        free(m->set[i].name);
    free(m);
}

void node__free(struct node *n)
{
    if (!n)
        return;
    change__free_all(n);
    content__free(&n->now);
    content__free(&n->durable);
    entries__free(&n->names);
    entries__free(&n->durable_names);
    free(n);
}

static void sync_file(struct node *n)
{
    bool stuck = false;
    for (const struct change *c = n->first; c; c = c->next)
        stuck |= c->stuck;
    for (const struct change *c = n->first; c; c = c->next) {
        if (stuck && !c->stuck && c->data)
            content__write(&n->durable, c->offset, c->data, c->len);
        else if (stuck && !c->stuck)
            content__truncate(&n->durable, c->offset);
        else if (!stuck && c->len > 0)
            content__share(&n->durable, &n->now, (size_t)(c->offset / SIM_DISK_PAGE),
                           (size_t)((c->offset + c->len - 1) / SIM_DISK_PAGE));
        else if (!stuck && !c->data && c->offset % SIM_DISK_PAGE)
            content__share(&n->durable, &n->now, (size_t)(c->offset / SIM_DISK_PAGE),
                           (size_t)(c->offset / SIM_DISK_PAGE));
        /* What a later write has made of a page that this size cut off is shared by that write. */
        if (!stuck && !c->data)
            content__truncate(&n->durable, c->offset);
    }
    if (!stuck)
        n->durable.size = n->now.size;
    change__free_all(n);
}

/* Whether a change of names is in this list of folders; adds its folders where it is. */
static bool touches(const struct naming *m, struct node **folders, size_t *count)
{
    bool yes = false;
    for (unsigned i = 0; i < m->sets; i++)
        for (size_t k = 0; k < *count; k++)
            yes |= m->set[i].folder == folders[k];
    for (unsigned i = 0; yes && i < m->sets && *count < 64; i++)
        folders[(*count)++] = m->set[i].folder;
    return yes;
}

/* With a folder's changes go those of other folders that a rename has tied to them. */
static void sync_names(struct sim_disk *d, struct node *folder)
{
    struct node *folders[64] = {folder};
    size_t count = 1, n = 0;
    for (struct naming *m = d->first; m; m = m->next)
        n++;
    struct naming **all = disk__alloc(n * sizeof *all), *m = d->first;
    bool *chosen = disk__alloc(n);
    for (size_t i = 0; i < n; i++, m = m->next)
        all[i] = m;
    for (size_t i = n; i > 0; i--)
        chosen[i - 1] = touches(all[i - 1], folders, &count);
    d->last = &d->first;
    for (size_t i = 0; i < n; i++) {
        m = all[i];
        if (!chosen[i]) {
            *d->last = m;
            d->last = &m->next;
            continue;
        }
        for (unsigned k = 0; k < m->sets; k++)
            entries__set(&m->set[k].folder->durable_names, m->set[k].name, m->set[k].node);
        naming__free(m);
    }
    *d->last = NULL;
    free(chosen);
    free(all);
}

void disk__sync(struct sim_disk *d, struct node *n)
{
    journal__node(d, JOURNAL_SYNC, n);
    if (d->faults.sync_lies)
        return;
    if (n->folder)
        sync_names(d, n);
    else
        sync_file(n);
}

void disk__sync_failed(struct sim_disk *d, struct node *n)
{
    journal__node(d, JOURNAL_SYNC_FAILED, n);
    for (struct change *c = n->first; c; c = c->next)
        c->stuck = true;
}

/* --- sweeping --------------------------------------------------------------- */

static void see(struct node *n)
{
    if (!n || n->seen)
        return;
    n->seen = true;
    for (size_t i = 0; i < n->names.count; i++)
        see(n->names.list[i].node);
    for (size_t i = 0; i < n->durable_names.count; i++)
        see(n->durable_names.list[i].node);
}

static uint64_t pages_below(struct node *n)
{
    uint64_t pages = 1 + content__pages(&n->now);
    if (n->seen)
        return 0;
    n->seen = true;
    for (size_t i = 0; i < n->names.count; i++)
        pages += pages_below(n->names.list[i].node);
    return pages;
}

static void unsee(struct sim_disk *d)
{
    for (uint64_t i = 0; i < d->node_count; i++)
        if (d->nodes[i])
            d->nodes[i]->seen = false;
}

void disk__sweep(struct sim_disk *d)
{
    uint64_t pages = pages_below(d->nodes[0]);
    for (size_t i = 0; i < d->open_count; i++)
        pages += pages_below(d->open[i].node);
    d->used = pages * SIM_DISK_PAGE;
    unsee(d);
    see(d->nodes[0]);
    for (size_t i = 0; i < d->open_count; i++)
        see(d->open[i].node);
    for (const struct naming *m = d->first; m; m = m->next)
        for (unsigned i = 0; i < m->sets; i++) {
            see(m->set[i].folder);
            see(m->set[i].node);
        }
    for (uint64_t i = 0; i < d->node_count; i++)
        if (d->nodes[i] && !d->nodes[i]->seen) {
            node__free(d->nodes[i]);
            d->nodes[i] = NULL;
        }
    unsee(d);
    d->node_sweep = d->node_count + SWEEP_EVERY;
}

/* --- life -------------------------------------------------------------------- */

struct sim_disk *sim_disk_create(uint64_t seed)
{
    struct sim_disk *d = disk__alloc(sizeof *d);
    *d = (struct sim_disk){
        .last = &d->first, .next_fd = FIRST_FD, .random = seed, .node_sweep = SWEEP_EVERY};
    disk__node_make(d, true);
    return d;
}

void sim_disk_destroy(struct sim_disk *d)
{
    if (!d)
        return;
    for (uint64_t i = 0; i < d->node_count; i++)
        node__free(d->nodes[i]);
    while (d->first) {
        struct naming *m = d->first;
        d->first = m->next;
        naming__free(m);
    }
    journal__free(d->journal);
    free(d->nodes);
    free(d->open);
    free(d);
}

void sim_disk_kill(struct sim_disk *d)
{
    for (size_t i = 0; i < d->open_count; i++)
        d->open[i].node->lock = -1;
    d->open_count = 0;
    d->process = NULL;
}

void **sim_disk_process_memory(struct sim_disk *d)
{
    return &d->process;
}

void sim_disk_set_faults(struct sim_disk *d, const struct sim_disk_faults *f)
{
    d->faults = *f;
}

const struct sim_disk_faults *sim_disk_faults(const struct sim_disk *d)
{
    return &d->faults;
}

uint64_t sim_disk_sync_errors(const struct sim_disk *d)
{
    return d->sync_errors;
}

/* --- operations --------------------------------------------------------------- */

static void spend(const struct sim_disk *d, int64_t fixed_us, size_t len)
{
    int64_t us = fixed_us + (int64_t)((double)d->faults.mib_us * (double)len / (1 << 20));
    if (us > 0)
        sim_disk_spend(us);
}

static bool strikes(struct sim_disk *d, uint32_t ppm)
{
    return ppm > 0 && sim_disk_random(d) % 1000000 < ppm;
}

/* What stands against any change. */
static int refused(const struct sim_disk *d)
{
    return d->faults.read_only ? -EROFS : 0;
}

uint64_t sim_disk_used(struct sim_disk *d)
{
    disk__sweep(d);
    return d->used;
}

uint64_t sim_disk_free(struct sim_disk *d)
{
    uint64_t max = d->faults.bytes_max;
    if (max == 0)
        return NO_LIMIT_FREE;
    uint64_t used = sim_disk_used(d);
    return used < max ? max - used : 0;
}

/* Whether so many more pages fit. */
static bool fits(struct sim_disk *d, uint64_t pages)
{
    uint64_t max = d->faults.bytes_max, bytes = pages * SIM_DISK_PAGE;
    if (max == 0 || pages == 0 || d->used + bytes <= max)
        return true;
    disk__sweep(d);
    return d->used + bytes <= max;
}

static struct open_file *file_of(struct sim_disk *d, int fd)
{
    for (size_t i = d->open_count; i > 0; i--)
        if (d->open[i - 1].fd == fd)
            return &d->open[i - 1];
    return NULL;
}

/* Makes an empty file or folder where there is none of that name. */
static int make(struct sim_disk *d, struct node *folder, char *name, bool is_folder,
                struct node **out)
{
    int rc = refused(d);
    if (rc)
        return rc;
    if (!fits(d, 1))
        return -ENOSPC;
    if (d->node_count >= d->node_sweep)
        disk__sweep(d);
    struct node *n = disk__node_make(d, is_folder);
    struct naming m = {.sets = 1};
    m.set[0].folder = folder;
    m.set[0].name = name;
    m.set[0].node = n;
    disk__name(d, &m);
    *out = n;
    return 0;
}

int sim_disk_open(struct sim_disk *d, const char *path, int flags)
{
    char name[NAME_MAX_BYTES + 1];
    struct node *folder, *n;
    spend(d, d->faults.op_us, 0);
    int rc = path_holder(d, path, &folder, name);
    if (rc)
        return rc;
    n = name[0] ? entries__find(&folder->names, name) : folder;
    if (n && flags & SIM_DISK_EXCLUSIVE)
        return -EEXIST;
    if (n && n->folder && flags & SIM_DISK_WRITE)
        return -EISDIR;
    if (!n && !(flags & SIM_DISK_CREATE))
        return -ENOENT;
    if (n && flags & SIM_DISK_WRITE)
        rc = refused(d);
    if (!n)
        rc = make(d, folder, name, false, &n);
    if (rc)
        return rc;
    if (d->open_count == d->open_cap)
        d->open = disk__grow(d->open, &d->open_cap, sizeof *d->open);
    d->open[d->open_count++] = (struct open_file){.fd = d->next_fd, .node = n, .flags = flags};
    return d->next_fd++;
}

int sim_disk_close(struct sim_disk *d, int fd)
{
    struct open_file *f = file_of(d, fd);
    if (!f)
        return -EBADF;
    if (f->node->lock == fd)
        f->node->lock = -1;
    *f = d->open[--d->open_count];
    return 0;
}

int64_t sim_disk_read_at(struct sim_disk *d, int fd, uint64_t offset, void *out, size_t len)
{
    struct open_file *f = file_of(d, fd);
    if (!f || f->node->folder)
        return f ? -EISDIR : -EBADF;
    if (strikes(d, d->faults.read_ppm))
        return -EIO;
    size_t got = content__read(&f->node->now, offset, out, len);
    spend(d, d->faults.op_us, got);
    return (int64_t)got;
}

int64_t sim_disk_read(struct sim_disk *d, int fd, void *out, size_t len)
{
    struct open_file *f = file_of(d, fd);
    if (!f)
        return -EBADF;
    uint64_t from = f->position;
    int64_t got = sim_disk_read_at(d, fd, from, out, len);
    f = file_of(d, fd);
    if (f && got > 0)
        f->position = from + (uint64_t)got;
    return got;
}

/* As much as a full disk has room for, by pages. */
static size_t room_for(struct sim_disk *d, const struct node *n, uint64_t offset, size_t len)
{
    while (len > 0 && !fits(d, content__new_pages(&n->now, offset, len))) {
        size_t end = (size_t)((offset + len) % SIM_DISK_PAGE);
        size_t less = end ? end : SIM_DISK_PAGE;
        len = less < len ? len - less : 0;
    }
    return len;
}

int sim_disk_write_at(struct sim_disk *d, int fd, uint64_t offset, const void *data, size_t len)
{
    struct open_file *f = file_of(d, fd);
    if (!f || !(f->flags & SIM_DISK_WRITE))
        return -EBADF;
    int rc = refused(d);
    if (rc)
        return rc;
    size_t part = len;
    if (strikes(d, d->faults.write_ppm)) {
        part = sim_disk_random(d) % 2 ? 0 : (size_t)(sim_disk_random(d) % (len + 1));
        rc = -EIO;
    }
    size_t room = room_for(d, f->node, offset, part);
    if (room < part && !rc)
        rc = -ENOSPC;
    if (room > 0)
        disk__write(d, f->node, offset, data, room);
    spend(d, d->faults.op_us, room);
    return rc;
}

int sim_disk_write(struct sim_disk *d, int fd, const void *data, size_t len)
{
    struct open_file *f = file_of(d, fd);
    if (!f)
        return -EBADF;
    uint64_t at = f->flags & SIM_DISK_APPEND ? f->node->now.size : f->position;
    uint64_t before = f->node->now.size;
    int rc = sim_disk_write_at(d, fd, at, data, len);
    f = file_of(d, fd);
    if (f && !rc)
        f->position = at + len;
    else if (f && f->node->now.size > before)
        f->position = f->node->now.size;
    return rc;
}

int sim_disk_truncate(struct sim_disk *d, int fd, uint64_t size)
{
    struct open_file *f = file_of(d, fd);
    if (!f || !(f->flags & SIM_DISK_WRITE))
        return -EBADF;
    int rc = refused(d);
    if (!rc && strikes(d, d->faults.write_ppm))
        rc = -EIO;
    if (!rc && size != f->node->now.size)
        disk__truncate(d, f->node, size);
    spend(d, d->faults.op_us, 0);
    return rc;
}

static int sync_node(struct sim_disk *d, struct node *n)
{
    size_t len = 0;
    for (const struct change *c = n->first; c; c = c->next)
        len += c->len;
    int rc = n->first || n->folder ? refused(d) : 0;
    bool spared = d->faults.syncs_spared > 0;
    d->faults.syncs_spared -= spared;
    if (!rc && !spared && strikes(d, d->faults.sync_ppm)) {
        d->sync_errors++;
        disk__sync_failed(d, n);
        rc = -EIO;
    }
    if (!rc)
        disk__sync(d, n);
    spend(d, d->faults.op_us + d->faults.sync_us, len);
    return rc;
}

int sim_disk_sync(struct sim_disk *d, int fd)
{
    struct open_file *f = file_of(d, fd);
    return f ? sync_node(d, f->node) : -EBADF;
}

int sim_disk_sync_folder(struct sim_disk *d, const char *path, bool holding)
{
    char name[NAME_MAX_BYTES + 1];
    struct node *n;
    int rc = holding ? path_holder(d, path, &n, name) : path_node(d, path, &n);
    if (!rc && !n->folder)
        rc = -ENOTDIR;
    return rc ? rc : sync_node(d, n);
}

int sim_disk_lock(struct sim_disk *d, int fd)
{
    struct open_file *f = file_of(d, fd);
    if (!f)
        return -EBADF;
    if (f->node->lock >= 0 && f->node->lock != fd)
        return -EWOULDBLOCK;
    f->node->lock = fd;
    return 0;
}

static void stat_node(const struct node *n, struct sim_disk_stat *out)
{
    *out = (struct sim_disk_stat){
        .folder = n->folder,
        .size = n->now.size,
        .modified_ms = n->modified_ms,
        .inode = n->number,
    };
}

int sim_disk_fstat(struct sim_disk *d, int fd, struct sim_disk_stat *out)
{
    const struct open_file *f = file_of(d, fd);
    if (!f)
        return -EBADF;
    stat_node(f->node, out);
    return 0;
}

int sim_disk_stat(struct sim_disk *d, const char *path, struct sim_disk_stat *out)
{
    struct node *n;
    int rc = path_node(d, path, &n);
    if (!rc && strikes(d, d->faults.read_ppm))
        rc = -EIO;
    if (!rc)
        stat_node(n, out);
    return rc;
}

int sim_disk_touch(struct sim_disk *d, const char *path)
{
    struct node *n;
    int rc = path_node(d, path, &n);
    if (!rc)
        rc = refused(d);
    if (!rc)
        n->modified_ms = env_wall_ms();
    return rc;
}

static int remove_name(struct sim_disk *d, const char *path, bool folder)
{
    char name[NAME_MAX_BYTES + 1];
    struct naming m = {.sets = 1};
    spend(d, d->faults.op_us, 0);
    int rc = path_holder(d, path, &m.set[0].folder, name);
    if (rc)
        return rc;
    const struct node *n = name[0] ? entries__find(&m.set[0].folder->names, name) : NULL;
    if (!n)
        return name[0] ? -ENOENT : -EBUSY;
    if (n->folder != folder)
        return folder ? -ENOTDIR : -EISDIR;
    if (folder && n->names.count > 0)
        return -ENOTEMPTY;
    rc = refused(d);
    m.set[0].name = name;
    if (!rc)
        disk__name(d, &m);
    return rc;
}

int sim_disk_unlink(struct sim_disk *d, const char *path)
{
    return remove_name(d, path, false);
}

int sim_disk_rmdir(struct sim_disk *d, const char *path)
{
    return remove_name(d, path, true);
}

int sim_disk_rename(struct sim_disk *d, const char *from, const char *to)
{
    char old[NAME_MAX_BYTES + 1], new[NAME_MAX_BYTES + 1];
    struct naming m = {.sets = 2};
    spend(d, d->faults.op_us, 0);
    int rc = path_holder(d, from, &m.set[0].folder, old);
    if (!rc)
        rc = path_holder(d, to, &m.set[1].folder, new);
    if (rc)
        return rc;
    struct node *n = old[0] ? entries__find(&m.set[0].folder->names, old) : NULL;
    const struct node *there = new[0] ? entries__find(&m.set[1].folder->names, new) : NULL;
    if (!n || !new[0])
        return n ? -EBUSY : -ENOENT;
    if (there && there->folder != n->folder)
        return there->folder ? -EISDIR : -ENOTDIR;
    if (there && there->names.count > 0)
        return -ENOTEMPTY;
    rc = refused(d);
    if (rc || there == n)
        return rc;
    m.set[0].name = old;
    m.set[1].name = new;
    m.set[1].node = n;
    disk__name(d, &m);
    return 0;
}

int sim_disk_mkdir(struct sim_disk *d, const char *path)
{
    char name[NAME_MAX_BYTES + 1];
    struct node *folder, *made;
    spend(d, d->faults.op_us, 0);
    int rc = path_holder(d, path, &folder, name);
    if (rc)
        return rc;
    if (!name[0] || entries__find(&folder->names, name))
        return -EEXIST;
    return make(d, folder, name, true, &made);
}

int sim_disk_list(struct sim_disk *d, const char *path, char ***names, size_t *count)
{
    struct node *n;
    *names = NULL;
    *count = 0;
    int rc = path_node(d, path, &n);
    if (!rc && !n->folder)
        rc = -ENOTDIR;
    if (!rc && strikes(d, d->faults.read_ppm))
        rc = -EIO;
    if (rc)
        return rc;
    *names = disk__alloc(n->names.count * sizeof **names);
    for (size_t i = 0; i < n->names.count; i++)
        (*names)[i] = strdup(n->names.list[i].name);
    *count = n->names.count;
    return 0;
}
