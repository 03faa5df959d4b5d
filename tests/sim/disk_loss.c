/* What a power loss leaves of a simulated disk, and copies of one. */
#include <stdlib.h>
#include <string.h>
#include "tests/sim/disk_parts.h"

/* How this power loss treats what is not durable, drawn once for all, so that some lose nearly
 * everything, some nearly nothing, and some what was written last. */
struct style {
    uint64_t random;
    uint32_t keep_percent, torn_percent; /* of the writes; the rest is dropped */
    uint32_t cut_percent;                /* chance that a folder's changes end at one of them */
    bool in_order;                       /* of a file: a prefix of its writes, the last one torn */
};

static uint32_t draw(struct style *s, uint32_t below)
{
    return (uint32_t)(disk__mix(&s->random) % below);
}

static bool chance(struct style *s, uint32_t percent)
{
    return draw(s, 100) < percent;
}

static void style_draw(struct style *s, uint64_t seed)
{
    static const uint32_t keeps[] = {5, 50, 50, 90}, torn[] = {5, 20, 45, 5}, cuts[] = {2, 20, 50};
    *s = (struct style){.random = seed};
    uint32_t k = draw(s, 4);
    s->keep_percent = keeps[k];
    s->torn_percent = torn[k];
    s->cut_percent = cuts[draw(s, 3)];
    s->in_order = draw(s, 3) == 0;
}

/* --- content ----------------------------------------------------------------- */

/* Writes [from, to) of the change, both within it. */
static void put_part(struct content *c, const struct change *x, uint64_t from, uint64_t to)
{
    if (from < x->offset)
        from = x->offset;
    if (to > x->offset + x->len)
        to = x->offset + x->len;
    if (from < to)
        content__write(c, from, x->data + (from - x->offset), (size_t)(to - from));
}

/* Part of a write: up to somewhere, or each sector or page for itself; the file's new size may have
 * been written without the bytes. */
static void put_torn(struct content *c, const struct change *x, struct style *s)
{
    uint64_t end = x->offset + x->len;
    uint32_t how = draw(s, 3);
    if (how == 0) {
        uint64_t sectors = (x->len + SIM_DISK_SECTOR - 1) / SIM_DISK_SECTOR;
        uint64_t first = x->offset / SIM_DISK_SECTOR * SIM_DISK_SECTOR;
        put_part(c, x, x->offset, first + disk__mix(&s->random) % (sectors + 1) * SIM_DISK_SECTOR);
    } else {
        uint64_t unit = how == 1 ? SIM_DISK_SECTOR : SIM_DISK_PAGE;
        for (uint64_t at = x->offset / unit * unit; at < end; at += unit)
            if (draw(s, 2))
                put_part(c, x, at, at + unit);
    }
    if (c->size < end && draw(s, 2))
        content__truncate(c, end);
}

static void put(struct content *c, const struct change *x)
{
    if (x->data)
        content__write(c, x->offset, x->data, x->len);
    else
        content__truncate(c, x->offset);
}

static void lose_changes(struct node *n, struct style *s)
{
    size_t left = 0;
    for (const struct change *x = n->first; x; x = x->next)
        left++;
    size_t cut = s->in_order && left ? draw(s, (uint32_t)left + 1) : 0;
    for (const struct change *x = n->first; x; x = x->next, cut -= cut > 0) {
        uint32_t lot = draw(s, 100);
        bool keep = s->in_order ? cut > 1 : lot < s->keep_percent;
        bool torn = s->in_order ? cut == 1 : lot < s->keep_percent + s->torn_percent;
        if (keep || (torn && !x->data))
            put(&n->durable, x);
        else if (torn)
            put_torn(&n->durable, x, s);
    }
}

static void lose_content(struct node *n, enum sim_disk_loss loss, struct style *s)
{
    if (loss == SIM_DISK_LOSS_NONE) {
        content__copy(&n->durable, &n->now);
    } else {
        if (loss == SIM_DISK_LOSS_DRAWN)
            lose_changes(n, s);
        content__copy(&n->now, &n->durable);
    }
    change__free_all(n);
}

/* --- names ------------------------------------------------------------------- */

static bool is_in(struct node *const *folders, size_t count, const struct node *f)
{
    for (size_t i = 0; i < count; i++)
        if (folders[i] == f)
            return true;
    return false;
}

/* A prefix of every folder's changes, and of a rename all or nothing. */
static void lose_names(struct sim_disk *d, enum sim_disk_loss loss, struct style *s)
{
    size_t count = 0, cap = 0;
    struct node **ended = NULL;
    while (d->first) {
        struct naming *m = d->first;
        bool keep = loss == SIM_DISK_LOSS_NONE ||
                    (loss == SIM_DISK_LOSS_DRAWN && !chance(s, s->cut_percent));
        for (unsigned i = 0; i < m->sets; i++)
            keep = keep && !is_in(ended, count, m->set[i].folder);
        for (unsigned i = 0; i < m->sets; i++) {
            if (keep) {
                entries__set(&m->set[i].folder->durable_names, m->set[i].name, m->set[i].node);
                continue;
            }
            if (count == cap)
                ended = disk__grow(ended, &cap, sizeof(struct node *));
            ended[count++] = m->set[i].folder;
        }
        d->first = m->next;
        naming__free(m);
    }
    d->last = &d->first;
    free(ended);
}

static void entries_copy(struct entries *to, const struct entries *from)
{
    entries__free(to);
    for (size_t i = 0; i < from->count; i++)
        entries__set(to, from->list[i].name, from->list[i].node);
}

void sim_disk_power_loss(struct sim_disk *d, enum sim_disk_loss loss, uint64_t seed)
{
    struct style s;
    sim_disk_kill(d);
    style_draw(&s, seed);
    lose_names(d, loss, &s);
    for (uint64_t i = 0; i < d->node_count; i++) {
        struct node *n = d->nodes[i];
        if (n && n->folder)
            entries_copy(&n->names, &n->durable_names);
        else if (n)
            lose_content(n, loss, &s);
    }
    disk__sweep(d);
}

/* --- copies ------------------------------------------------------------------ */

static void clone_entries(struct sim_disk *to, struct entries *out, const struct entries *from)
{
    for (size_t i = 0; i < from->count; i++)
        entries__set(out, from->list[i].name, to->nodes[from->list[i].node->number]);
}

static struct node *clone_node(const struct node *n)
{
    struct node *x = disk__alloc(sizeof *x);
    *x = (struct node){
        .number = n->number, .folder = n->folder, .modified_ms = n->modified_ms, .lock = -1};
    x->last = &x->first;
    content__copy(&x->now, &n->now);
    content__copy(&x->durable, &n->durable);
    for (const struct change *c = n->first; c; c = c->next) {
        struct change *y = disk__alloc(sizeof *y + c->len);
        *y = *c;
        y->next = NULL;
        if (c->data) {
            y->data = (uint8_t *)(y + 1);
            memcpy(y->data, c->data, c->len);
        }
        *x->last = y;
        x->last = &y->next;
    }
    return x;
}

struct sim_disk *sim_disk_clone(const struct sim_disk *d, uint64_t seed)
{
    struct sim_disk *x = disk__alloc(sizeof *x);
    *x = (struct sim_disk){.next_fd = d->next_fd,
                           .random = seed,
                           .used = d->used,
                           .node_count = d->node_count,
                           .node_cap = d->node_count,
                           .node_sweep = d->node_sweep};
    x->last = &x->first;
    x->nodes = disk__alloc(d->node_count * sizeof(struct node *));
    for (uint64_t i = 0; i < d->node_count; i++)
        x->nodes[i] = d->nodes[i] ? clone_node(d->nodes[i]) : NULL;
    for (uint64_t i = 0; i < d->node_count; i++)
        if (d->nodes[i]) {
            clone_entries(x, &x->nodes[i]->names, &d->nodes[i]->names);
            clone_entries(x, &x->nodes[i]->durable_names, &d->nodes[i]->durable_names);
        }
    for (const struct naming *m = d->first; m; m = m->next) {
        struct naming *y = disk__alloc(sizeof *y);
        y->sets = m->sets;
        for (unsigned i = 0; i < m->sets; i++) {
            y->set[i].folder = x->nodes[m->set[i].folder->number];
            y->set[i].name = strdup(m->set[i].name);
            y->set[i].node = m->set[i].node ? x->nodes[m->set[i].node->number] : NULL;
        }
        *x->last = y;
        x->last = &y->next;
    }
    disk__sweep(x);
    return x;
}
