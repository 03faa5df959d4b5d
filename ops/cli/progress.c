#include "ops/cli/progress.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "core/base/text.h"
#include "core/env/clock.h"
#include "ops/cli/format.h"

#define SILENT_MS 2000
#define TERMINAL_EVERY_MS 200
#define PLAIN_EVERY_MS 5000
#define CLEAR_LINE "\r\033[K"

void progress_init(struct progress *p)
{
    memset(p, 0, sizeof *p);
    p->terminal = isatty(STDERR_FILENO);
}

static const char *amount(uint64_t n, const char *unit, char out[48])
{
    char number[28], bytes[16];
    if (strcmp(unit, "bytes") == 0)
        snprintf(out, 48, "%s", text_bytes(n, bytes));
    else
        snprintf(out, 48, "%s %.16s", text_count(n, number), unit);
    return out;
}

void progress_words(char *out, size_t size, const char *phase, uint64_t first, uint64_t done,
                    uint64_t total, const char *unit, double seconds)
{
    char x[48], y[48], left[24];
    if (strcmp(unit, "ms") == 0) { /* all there is to say of it is that time passes */
        snprintf(out, size, "%s: for %s so far", phase, text_duration((double)done / 1000, left));
        return;
    }
    double moved = done > first ? (double)(done - first) : 0;
    int n = snprintf(out, size, "%s: %s", phase, amount(done, unit, x));
    if (total > 0)
        n += snprintf(out + n, size - (size_t)n, " of %s (%.0f %%)", amount(total, unit, y),
                      100 * (double)done / (double)total);
    if (seconds < 1 || moved == 0)
        return;
    double rate = moved / seconds;
    n += snprintf(out + n, size - (size_t)n, ", %s/s", amount((uint64_t)(rate + 0.5), unit, x));
    if (total > done && *format_left((double)(total - done) / rate, left))
        snprintf(out + n, size - (size_t)n, ", %s left", left);
}

static void print_words(struct progress *p, const char *words)
{
    if (p->terminal)
        fprintf(stderr, CLEAR_LINE "%s", words);
    else
        fprintf(stderr, "%s\n", words);
    fflush(stderr);
    p->open = p->terminal;
}

void progress_update(struct progress *p, const char *phase, uint64_t done, uint64_t total,
                     const char *unit)
{
    char words[256];
    int64_t now = env_monotonic_ms();
    if (strncmp(p->phase, phase, sizeof p->phase - 1) != 0) {
        progress_finish(p);
        snprintf(p->phase, sizeof p->phase, "%s", phase);
        p->started_ms = p->printed_ms = now;
        p->first = done;
        if (total == 0) {
            snprintf(words, sizeof words, "%s …", phase);
            print_words(p, words);
        }
        return;
    }
    int64_t every = p->terminal ? TERMINAL_EVERY_MS : PLAIN_EVERY_MS;
    if (now - p->started_ms < SILENT_MS || now - p->printed_ms < every)
        return;
    p->printed_ms = now;
    progress_words(words, sizeof words, phase, p->first, done, total, unit,
                   (double)(now - p->started_ms) / 1000);
    print_words(p, words);
}

void progress_finish(struct progress *p)
{
    if (p->open)
        fputs(CLEAR_LINE, stderr);
    p->open = false;
}
