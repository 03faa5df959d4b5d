/* What happened to a simulated disk, in order, and doing it again to another one. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/sim/disk_parts.h"

/* One operation. Nodes are numbers: making them in the same order gives them again. */
struct record {
    enum journal_kind kind;
    uint64_t node, offset; /* offset: or the new size, or what a mark says */
    size_t len;
    uint8_t *data;
    bool folder;
    unsigned sets;
    struct {
        uint64_t folder, node;
        bool gone;
        char *name;
    } set[2];
};

struct sim_journal {
    struct record *list;
    size_t count, cap;
};

struct sim_journal *sim_disk_record(struct sim_disk *d)
{
    d->journal = disk__alloc(sizeof *d->journal);
    return d->journal;
}

static struct record *add(struct sim_disk *d, enum journal_kind kind)
{
    struct sim_journal *j = d->journal;
    if (!j)
        return NULL;
    if (j->count == j->cap)
        j->list = disk__grow(j->list, &j->cap, sizeof *j->list);
    struct record *r = &j->list[j->count++];
    *r = (struct record){.kind = kind};
    return r;
}

void journal__node(struct sim_disk *d, enum journal_kind kind, const struct node *n)
{
    struct record *r = add(d, kind);
    if (!r)
        return;
    r->node = n->number;
    r->folder = n->folder;
}

void journal__write(struct sim_disk *d, const struct node *n, uint64_t offset, const void *data,
                    size_t len)
{
    struct record *r = add(d, JOURNAL_WRITE);
    if (!r)
        return;
    r->node = n->number;
    r->offset = offset;
    r->len = len;
    r->data = disk__alloc(len);
    memcpy(r->data, data, len);
}

void journal__truncate(struct sim_disk *d, const struct node *n, uint64_t size)
{
    struct record *r = add(d, JOURNAL_TRUNCATE);
    if (!r)
        return;
    r->node = n->number;
    r->offset = size;
}

void journal__name(struct sim_disk *d, const struct naming *m)
{
    struct record *r = add(d, JOURNAL_NAME);
    if (!r)
        return;
    r->sets = m->sets;
    for (unsigned i = 0; i < m->sets; i++) {
        r->set[i].folder = m->set[i].folder->number;
        r->set[i].name = strdup(m->set[i].name);
        r->set[i].gone = !m->set[i].node;
        r->set[i].node = m->set[i].node ? m->set[i].node->number : 0;
    }
}

void sim_disk_mark(struct sim_disk *d, uint64_t what)
{
    struct record *r = add(d, JOURNAL_MARK);
    if (r)
        r->offset = what;
}

void journal__free(struct sim_journal *j)
{
    for (size_t i = 0; j && i < j->count; i++) {
        free(j->list[i].data);
        for (unsigned k = 0; k < j->list[i].sets; k++)
            free(j->list[i].set[k].name);
    }
    if (j)
        free(j->list);
    free(j);
}

size_t sim_journal_count(const struct sim_journal *j)
{
    return j->count;
}

enum sim_journal_effect sim_journal_apply(const struct sim_journal *j, size_t i,
                                          struct sim_disk *onto, uint64_t *what)
{
    const struct record *r = &j->list[i];
    struct node *n = r->node < onto->node_count ? onto->nodes[r->node] : NULL;
    struct naming m = {.sets = r->sets};
    switch (r->kind) {
    case JOURNAL_MAKE:
        disk__node_make(onto, r->folder);
        break;
    case JOURNAL_WRITE:
        disk__write(onto, n, r->offset, r->data, r->len);
        break;
    case JOURNAL_TRUNCATE:
        disk__truncate(onto, n, r->offset);
        break;
    case JOURNAL_NAME:
        for (unsigned k = 0; k < m.sets; k++) {
            m.set[k].folder = onto->nodes[r->set[k].folder];
            m.set[k].name = r->set[k].name;
            m.set[k].node = r->set[k].gone ? NULL : onto->nodes[r->set[k].node];
        }
        disk__name(onto, &m);
        break;
    case JOURNAL_SYNC:
        disk__sync(onto, n);
        return SIM_JOURNAL_SYNC;
    case JOURNAL_SYNC_FAILED:
        disk__sync_failed(onto, n);
        break;
    case JOURNAL_MARK:
        *what = r->offset;
        return SIM_JOURNAL_MARK;
    }
    return SIM_JOURNAL_CHANGE;
}

/* The last name that node had before operation i; "/" for the root. */
static const char *label(const struct sim_journal *j, size_t i, uint64_t node)
{
    while (i-- > 0)
        for (unsigned k = 0; k < j->list[i].sets; k++)
            if (!j->list[i].set[k].gone && j->list[i].set[k].node == node)
                return j->list[i].set[k].name;
    return "/";
}

void sim_journal_text(const struct sim_journal *j, size_t i, char *out, size_t cap)
{
    const struct record *r = &j->list[i];
    const char *name = label(j, i, r->node);
    switch (r->kind) {
    case JOURNAL_MAKE:
        snprintf(out, cap, "make a %s", r->folder ? "folder" : "file");
        break;
    case JOURNAL_WRITE:
        snprintf(out, cap, "write %zu bytes at %" PRIu64 " of %s", r->len, r->offset, name);
        break;
    case JOURNAL_TRUNCATE:
        snprintf(out, cap, "cut %s to %" PRIu64 " bytes", name, r->offset);
        break;
    case JOURNAL_NAME:
        snprintf(out, cap, "%s %s%s%s",
                 r->sets == 2     ? "rename"
                 : r->set[0].gone ? "remove"
                                  : "name",
                 r->set[0].name, r->sets == 2 ? " to " : "", r->sets == 2 ? r->set[1].name : "");
        break;
    case JOURNAL_SYNC:
        snprintf(out, cap, "sync %s", name);
        break;
    case JOURNAL_SYNC_FAILED:
        snprintf(out, cap, "fail to sync %s", name);
        break;
    case JOURNAL_MARK:
        snprintf(out, cap, "acknowledged: %" PRIu64, r->offset);
        break;
    }
}
