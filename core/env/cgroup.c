#include "core/env/cgroup.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_LEN_MAX 4096

static bool read_line(const char *folder, const char *name, char *line, int cap)
{
    char path[2 * PATH_LEN_MAX + 64];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return false;
    bool any = fgets(line, cap, f) != NULL;
    fclose(f);
    return any;
}

/* True where the comma-separated list holds the word. */
static bool listed(const char *list, size_t len, const char *word)
{
    size_t n = strlen(word);

    for (const char *at = list; at < list + len;) {
        const char *end = memchr(at, ',', (size_t)(list + len - at));
        if (end == NULL)
            end = list + len;
        if ((size_t)(end - at) == n && memcmp(at, word, n) == 0)
            return true;
        at = end + 1;
    }
    return false;
}

/* The process's path in the hierarchy of controller (NULL: version 2's), from lines
 * "number:controllers:path". */
static bool own_path(const char *self, const char *controller, char *out)
{
    char line[PATH_LEN_MAX];
    bool found = false;
    FILE *f = fopen(self, "re");

    if (f == NULL)
        return false;
    while (!found && fgets(line, sizeof line, f) != NULL) {
        char *list = strchr(line, ':');
        char *path = list == NULL ? NULL : strchr(list + 1, ':');
        if (path == NULL)
            continue;
        size_t len = (size_t)(path - list - 1);
        found = controller == NULL ? len == 0 : listed(list + 1, len, controller);
        path[strcspn(path, "\n")] = '\0';
        if (found)
            snprintf(out, PATH_LEN_MAX, "%s", path + 1);
    }
    fclose(f);
    return found;
}

/* Calls visit on the group's folder and every one above it, up to the root: each may limit. A path
 * that is not there (seen from inside a container) leaves the root alone. */
static void walk(const char *root, const char *sub, char *path,
                 void (*visit)(const char *folder, void *arg), void *arg)
{
    char folder[2 * PATH_LEN_MAX];

    for (;;) {
        size_t len = strlen(path);
        while (len > 0 && path[len - 1] == '/')
            path[--len] = '\0';
        snprintf(folder, sizeof folder, "%s%s%s", root, sub, path);
        visit(folder, arg);
        char *slash = strrchr(path, '/');
        if (slash == NULL)
            return;
        *slash = '\0';
    }
}

static void cpus_limit(double quota, double period, void *least)
{
    if (quota > 0 && period > 0 && quota / period < *(double *)least)
        *(double *)least = quota / period;
}

static void cpus_v2(const char *folder, void *least)
{
    char line[128];
    double quota, period;

    if (read_line(folder, "cpu.max", line, sizeof line) &&
        sscanf(line, "%lf %lf", &quota, &period) == 2)
        cpus_limit(quota, period, least);
}

static void cpus_v1(const char *folder, void *least)
{
    char quota[128], period[128];

    if (read_line(folder, "cpu.cfs_quota_us", quota, sizeof quota) &&
        read_line(folder, "cpu.cfs_period_us", period, sizeof period))
        cpus_limit(strtod(quota, NULL), strtod(period, NULL), least);
}

int cgroup__cpus(const char *self, const char *root)
{
    char path[PATH_LEN_MAX];
    double least = INT_MAX;

    if (own_path(self, NULL, path))
        walk(root, "", path, cpus_v2, &least);
    if (own_path(self, "cpu", path))
        walk(root, "/cpu", path, cpus_v1, &least);
    if (least >= INT_MAX)
        return 0;
    int whole = (int)least;
    return whole + (least > whole);
}

static void memory_in(const char *folder, const char *name, uint64_t *least)
{
    char line[128], *end;

    if (!read_line(folder, name, line, sizeof line))
        return;
    uint64_t limit = strtoull(line, &end, 10); /* "max" has no digit */
    /* Version 1 writes "no limit" as the largest number of whole pages. */
    if (end != line && limit < (uint64_t)INT64_MAX - 65536 && limit < *least)
        *least = limit;
}

static void memory_v2(const char *folder, void *least)
{
    memory_in(folder, "memory.max", least);
    memory_in(folder, "memory.high", least);
}

static void memory_v1(const char *folder, void *least)
{
    memory_in(folder, "memory.limit_in_bytes", least);
}

uint64_t cgroup__memory(const char *self, const char *root)
{
    char path[PATH_LEN_MAX];
    uint64_t least = UINT64_MAX;

    if (own_path(self, NULL, path))
        walk(root, "", path, memory_v2, &least);
    if (own_path(self, "memory", path))
        walk(root, "/memory", path, memory_v1, &least);
    return least;
}
