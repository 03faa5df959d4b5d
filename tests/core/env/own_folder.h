/* A folder of a test's own under /tmp, in which it works: made and entered before its first test,
 * removed after the last. */
#ifndef TACIT_TESTS_CORE_ENV_OWN_FOLDER_H
#define TACIT_TESTS_CORE_ENV_OWN_FOLDER_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char own_folder[] = "/tmp/tacit-test-XXXXXX"; /* its path, once it was entered */

static inline int own_folder_enter(void **state)
{
    (void)state;
    return mkdtemp(own_folder) == NULL || chdir(own_folder) != 0;
}

static inline int own_folder_leave(void **state)
{
    char command[64];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", own_folder);
    return chdir("/") != 0 || system(command) != 0;
}

#endif
