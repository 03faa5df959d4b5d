/* Memory for workspaces: large, kept long, read everywhere at once. */
#ifndef TACIT_ENV_PAGES_H
#define TACIT_ENV_PAGES_H

#include <stddef.h>

/* Zeroed, aligned to a page; NULL: there is no more. From some MiB on in huge pages where the
 * system has them: with small ones a product's rows, each in a page of its own, wait for addresses
 * to be looked up. What is never touched takes no memory. */
void *env_pages_take(size_t bytes);
void env_pages_give(void *pages, size_t bytes); /* accepts NULL */

#endif
