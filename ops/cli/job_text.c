#include "ops/cli/job_text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "ops/cli/format.h"
#include "ops/cli/watch.h"

/* What does not fit is left out. */
static void __attribute__((format(printf, 2, 3))) put(struct buf *out, const char *fmt, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, fmt);
    int len = vasprintf(&text, fmt, args);
    va_end(args);
    struct err ignored;
    if (len >= 0)
        (void)!buf_append(out, text, (size_t)len, &ignored);
    free(len >= 0 ? text : NULL);
}

/* Line by line, since only line breaks may reach the terminal. */
static void print_lines(struct buf *out, struct arena *a, const char *before, const char *text)
{
    while (*text) {
        size_t len = strcspn(text, "\n");
        char *line = arena_strndup(a, text, len);
        put(out, "%s%s\n", before, line ? format_plain(a, line) : "");
        text += len + (text[len] == '\n');
    }
}

static double seconds_between(uint64_t from_ms, uint64_t to_ms)
{
    return to_ms > from_ms ? (double)(to_ms - from_ms) / 1000 : 0;
}

void job_text_head(struct buf *out, struct arena *a, const struct msg_job *j, uint32_t attempts,
                   int64_t now)
{
    double since = seconds_between(j->since_at, (uint64_t)now);
    put(out, "job %llu of run %s, %s: %s for %s%s%s\n", (unsigned long long)j->job, j->run,
        watch_job(a, j), job_status_words[j->state], format_duration(a, since),
        j->agent ? ", " : "", j->agent ? format_plain(a, j->agent) : "");
    if (j->reason)
        print_lines(out, a, "  ", j->reason);
    if (attempts == 0)
        put(out, "  nobody has tried it yet\n");
}

static const char *losses(struct arena *a, const struct msg_attempt *t)
{
    const char *words = isnan(t->loss)
                            ? ""
                            : arena_printf(a, ", loss %s to %s", format_number(a, t->loss_first, 3),
                                           format_number(a, t->loss, 3));
    return words ? words : "";
}

void job_text_attempt(struct buf *out, struct arena *a, const struct msg_attempt *t, int64_t now)
{
    double lasted = seconds_between(t->started_at, t->ended_at ? t->ended_at : (uint64_t)now);
    bool host = t->host && *t->host;
    put(out, "\nattempt %llu  %s%s%s, %s, %s: %s", (unsigned long long)t->number,
        t->agent ? format_plain(a, t->agent) : "the coordinator", host ? " on " : "",
        host ? format_plain(a, t->host) : "", format_ago(a, t->started_at, now),
        format_duration(a, lasted), attempt_outcome_words[t->outcome]);
    if (t->step > t->step_first)
        put(out, ", step %s after %s", format_count(a, t->step), format_count(a, t->step_first));
    else if (t->outcome != ATTEMPT_DONE)
        put(out, ", no step done");
    put(out, "%s\n", losses(a, t));
    if (t->end)
        put(out, "  %s\n", format_plain(a, t->end));
    if (t->log)
        print_lines(out, a, "  | ", t->log);
}
