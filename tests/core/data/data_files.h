/* Files for the tests of core/data, in a temporary folder. */
#ifndef TACIT_TESTS_DATA_FILES_H
#define TACIT_TESTS_DATA_FILES_H

#include <assert.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static char files_folder[64];

static inline int files_begin(void **state)
{
    (void)state;
    snprintf(files_folder, sizeof files_folder, "/tmp/tacit-data-XXXXXX");
    return mkdtemp(files_folder) ? 0 : -1;
}

static inline int files_end(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", files_folder);
    return system(command);
}

/* The full path of a name in the folder; eight may be in use at once. */
static inline const char *files_path(const char *name)
{
    static char paths[8][512];
    static int next;
    char *p = paths[next++ % 8];
    snprintf(p, sizeof paths[0], "%s/%s", files_folder, name);
    return p;
}

static inline void files_write(const char *name, const void *data, size_t len)
{
    const char *path = files_path(name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(data, 1, len, f) != len || fclose(f)) {
        fprintf(stderr, "cannot write %s\n", path);
        abort();
    }
}

static inline void files_text(const char *name, const char *text)
{
    files_write(name, text, strlen(text));
}

static inline void files_make_folder(const char *name)
{
    if (mkdir(files_path(name), 0700))
        abort();
}

/* Runs a shell command in the folder. */
static inline void files_shell(const char *command)
{
    char line[1024];
    snprintf(line, sizeof line, "cd '%s' && %s", files_folder, command);
    if (system(line)) {
        fprintf(stderr, "failed: %s\n", line);
        abort();
    }
}

#endif
