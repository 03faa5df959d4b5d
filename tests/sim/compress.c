/* Tables for small models: libarchive asks zstd for those of data without end, 0.8 MB that are
 * cleared for each of the thousands of checkpoints of a history, a few kilobytes each. What is
 * written differs in how well it is compressed, and in nothing else. */
#include <stddef.h>

size_t ZSTD_CCtx_setParameter(void *stream, int parameter, int value);
size_t ZSTD_CCtx_reset(void *stream, int what);
size_t ZSTD_initCStream(void *stream, int level);

/* zstd.h's numbers, which are its interface. */
enum { SESSION_ONLY = 1, LEVEL = 100, WINDOW_LOG = 101, HASH_LOG = 102, CHAIN_LOG = 103 };

/* In front of the library's. */
size_t ZSTD_initCStream(void *stream, int level)
{
    static const int settings[][2] = {{WINDOW_LOG, 14}, {HASH_LOG, 10}, {CHAIN_LOG, 10}};
    size_t rc = ZSTD_CCtx_reset(stream, SESSION_ONLY);
    rc = rc ? rc : ZSTD_CCtx_setParameter(stream, LEVEL, level);
    for (size_t i = 0; rc == 0 && i < sizeof settings / sizeof *settings; i++)
        rc = ZSTD_CCtx_setParameter(stream, settings[i][0], settings[i][1]);
    return rc;
}
