/* A folder of a test's own, with real files, removed at its end. */
#ifndef TACIT_TESTS_COORDINATOR_STORE_TEMP_DIR_H
#define TACIT_TESTS_COORDINATOR_STORE_TEMP_DIR_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline int temp_dir__remove(const char *path, const struct stat *st, int type,
                                   struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static inline void temp_dir_make(char dir[64])
{
    snprintf(dir, 64, "/tmp/tacit-test-XXXXXX");
    if (!mkdtemp(dir)) {
        perror("mkdtemp");
        abort();
    }
}

static inline void temp_dir_remove(const char *dir)
{
    nftw(dir, temp_dir__remove, 8, FTW_DEPTH | FTW_PHYS);
}

#endif
