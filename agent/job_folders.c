#include "agent/job_folders.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "agent/spool.h"
#include "core/env/file.h"

#define FOLDERS_MAX 16 /* more chains than that no agent works on within the life of a save */

struct folder {
    char *path;
    uint64_t bytes;
    int64_t written_ms;
    bool empty;
    bool owed; /* holds a result that is to be delivered */
};

void job_folder_remove(const char *path)
{
    char **names;
    size_t count;
    struct err e = {0};
    if (env_dir_list(path, &names, &count, &e)) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        char *file = env_path_join(path, names[i]);
        if (file) {
            (void)!env_file_remove(file, &e);
        }
        free(file);
    }
    env_dir_list_free(names, count);
    (void)!env_dir_remove(path, &e);
}

/* A folder's time of change is that of its last save: they come and go by renaming. */
static void measure(struct folder *f)
{
    char **names;
    size_t count;
    struct err e = {0};
    if (env_file_modified_ms(f->path, &f->written_ms, &e)) {
        f->written_ms = 0;
    }
    if (env_dir_list(f->path, &names, &count, &e)) {
        return;
    }
    f->empty = count == 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t bytes;
        char *file = env_path_join(f->path, names[i]);
        f->owed = f->owed || strcmp(names[i], SPOOL_DELIVER) == 0;
        if (file && env_file_size(file, &bytes, &e) == 0) {
            f->bytes += bytes;
        }
        free(file);
    }
    env_dir_list_free(names, count);
}

static int newest_first(const void *a, const void *b)
{
    const struct folder *x = a, *y = b;
    return (x->written_ms < y->written_ms) - (x->written_ms > y->written_ms);
}

uint64_t job_folders_trim(const char *jobs, const char *key, uint64_t bytes_max)
{
    char **names;
    size_t count, others = 0;
    uint64_t kept = 0;
    struct err e = {0};
    if (env_dir_list(jobs, &names, &count, &e)) {
        return 0;
    }
    struct folder *list = calloc(count + 1, sizeof *list);
    for (size_t i = 0; list && i < count; i++) {
        char *path = strcmp(names[i], key) != 0 ? env_path_join(jobs, names[i]) : NULL;
        if (path) {
            list[others].path = path;
            measure(&list[others++]);
        }
    }
    env_dir_list_free(names, count);
    if (others > 1) {
        qsort(list, others, sizeof *list, newest_first);
    }
    for (size_t i = 0; i < others; i++) {
        const struct folder *f = &list[i];
        if (f->owed) {
            kept += f->bytes < bytes_max - kept ? f->bytes : bytes_max - kept;
        } else if (f->empty || i >= FOLDERS_MAX || f->bytes > bytes_max - kept) {
            job_folder_remove(f->path);
        } else {
            kept += f->bytes;
        }
        free(f->path);
    }
    free(list);
    return kept;
}
