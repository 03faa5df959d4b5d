/* What the disk's files share: nodes, their content, and what is not durable yet. */
#ifndef TACIT_SIM_DISK_PARTS_H
#define TACIT_SIM_DISK_PARTS_H

#include "tests/sim/disk.h"

/* Shared by contents that agree in it; who changes one that is shared takes a copy. */
struct page {
    uint32_t refs;
    _Alignas(void *) uint8_t data[SIM_DISK_PAGE];
};

/* A file's bytes. Pages that are not there (NULL, or beyond count) are zeros. */
struct content {
    struct page **pages;
    size_t count, cap;
    uint64_t size;
};

void content__write(struct content *c, uint64_t offset, const void *data, size_t len);
void content__truncate(struct content *c, uint64_t size);
size_t content__read(const struct content *c, uint64_t offset, void *out, size_t len);
/* Makes pages first…last of `to` those of `from`. */
void content__share(struct content *to, const struct content *from, size_t first, size_t last);
void content__copy(struct content *to, const struct content *from); /* shares all */
void content__free(struct content *c);
/* Pages that writing there would add. */
size_t content__new_pages(const struct content *c, uint64_t offset, size_t len);
size_t content__pages(const struct content *c);

/* A write, or (data NULL) a new size, that is not durable. */
struct change {
    struct change *next;
    uint64_t offset; /* or size */
    size_t len;
    bool stuck; /* a failed sync has given it up: no later one writes it */
    uint8_t *data;
};

struct entry {
    char *name;
    struct node *node;
};
struct entries {
    struct entry *list; /* sorted by name */
    size_t count, cap;
};
struct node *entries__find(const struct entries *s, const char *name);
/* node NULL: removes the name. */
void entries__set(struct entries *s, const char *name, struct node *node);
void entries__free(struct entries *s);

struct node {
    uint64_t number;
    bool folder, seen; /* seen: by the sweep */
    int64_t modified_ms;
    struct content now, durable;
    struct change *first, **last;
    struct entries names, durable_names;
    int lock; /* descriptor that holds it, or -1 */
};

/* One change of names, in one folder or (a rename) in up to two places at once. */
struct naming {
    struct naming *next;
    struct {
        struct node *folder;
        char *name;
        struct node *node; /* NULL: the name is gone */
    } set[2];
    unsigned sets;
};

struct open_file {
    int fd;
    struct node *node;
    uint64_t position;
    int flags;
};

struct sim_disk {
    struct node **nodes; /* by number; NULL once swept */
    uint64_t node_count, node_cap, node_sweep;
    struct naming *first, **last; /* not durable, in order */
    struct open_file *open;
    size_t open_count, open_cap;
    int next_fd;
    uint64_t used; /* pages of what can be seen, and one a node; too much until the next sweep */
    uint64_t random;
    void *process;
    struct sim_disk_faults faults;
    uint64_t sync_errors;
    struct sim_journal *journal;
};

void *disk__alloc(size_t size); /* zeroed; ends the program where there is none */
void *disk__grow(void *list, size_t *cap, size_t item_size);
uint64_t disk__mix(uint64_t *state); /* splitmix64 */

/* The operations that change a disk, each recorded. */
struct node *disk__node_make(struct sim_disk *d, bool folder);
void disk__write(struct sim_disk *d, struct node *n, uint64_t offset, const void *data, size_t len);
void disk__truncate(struct sim_disk *d, struct node *n, uint64_t size);
void disk__name(struct sim_disk *d, const struct naming *like);
void disk__sync(struct sim_disk *d, struct node *n);
void disk__sync_failed(struct sim_disk *d, struct node *n);
/* Frees what nothing leads to. */
void disk__sweep(struct sim_disk *d);

void change__free_all(struct node *n);
void naming__free(struct naming *m);
void node__free(struct node *n);

enum journal_kind {
    JOURNAL_MAKE,
    JOURNAL_WRITE,
    JOURNAL_TRUNCATE,
    JOURNAL_NAME,
    JOURNAL_SYNC,
    JOURNAL_SYNC_FAILED,
    JOURNAL_MARK,
};
/* These do nothing where no journal is kept. */
void journal__node(struct sim_disk *d, enum journal_kind kind, const struct node *n);
void journal__write(struct sim_disk *d, const struct node *n, uint64_t offset, const void *data,
                    size_t len);
void journal__truncate(struct sim_disk *d, const struct node *n, uint64_t size);
void journal__name(struct sim_disk *d, const struct naming *m);
void journal__free(struct sim_journal *j);

#endif
