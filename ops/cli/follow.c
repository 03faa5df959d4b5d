#include "ops/cli/follow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/env/process.h"
#include "ops/cli/format.h"

#define POLL_MS 2000
#define ANSWER_BYTES (16u << 20)
#define KNOWN_BYTES 512 /* of what was shown: enough to be found again in what is there now */

struct follow {
    struct cli *cli;
    uint64_t attempt; /* the last one shown */
    char *shown;      /* of its log; owned */
    bool ended;       /* its end has been told */
    bool away;
};

const char *follow_news(const char *before, const char *now)
{
    size_t len = strlen(before);
    const char *known = len > KNOWN_BYTES ? before + len - KNOWN_BYTES : before;
    const char *last = NULL;
    if (*known == 0)
        return now;
    for (const char *at = strstr(now, known); at; at = strstr(at + 1, known))
        last = at;
    return last ? last + strlen(known) : now;
}

static void print_text(struct arena *a, const char *text)
{
    while (*text) {
        size_t len = strcspn(text, "\n");
        char *line = arena_strndup(a, text, len);
        if (len > 0)
            printf("  | %s\n", line ? format_plain(a, line) : "");
        text += len + (text[len] == '\n');
    }
}

static int show_attempt(struct follow *f, struct arena *a, const struct msg_attempt *t,
                        struct err *e)
{
    if (t->number > f->attempt) {
        printf("\nattempt %llu  %s\n", (unsigned long long)t->number,
               t->agent ? format_plain(a, t->agent) : "the coordinator");
        f->attempt = t->number;
        f->ended = false;
        free(f->shown);
        f->shown = NULL;
    }
    if (t->log) {
        print_text(a, follow_news(f->shown ? f->shown : "", t->log));
        free(f->shown);
        f->shown = strdup(t->log);
        if (!f->shown)
            return err_set(e, ERR_NO_MEMORY, "no memory for a log");
    }
    if (t->outcome != ATTEMPT_OPEN && !f->ended) {
        printf("  %s%s%s\n", attempt_outcome_words[t->outcome], t->end ? ": " : "",
               t->end ? format_plain(a, t->end) : "");
        f->ended = true;
    }
    return 0;
}

static int look(struct follow *f, const char *job_path, const char *attempts_path, bool *over,
                struct err *e)
{
    struct arena a;
    struct msg_job job;
    struct msg_attempt *list;
    uint32_t count;
    arena_init(&a, ANSWER_BYTES);
    /* The job before its attempts: none of these can come after its end. */
    int rc = client_call(f->cli->client, "GET", job_path, NULL, NULL, &message_job, &job, &a, 0, e);
    if (!rc)
        rc = client_get_array(f->cli->client, attempts_path, &message_attempt, (void **)&list,
                              &count, &a, e);
    for (uint32_t i = 0; !rc && i < count; i++)
        if (list[i].number >= f->attempt)
            rc = show_attempt(f, &a, &list[i], e);
    *over = !rc &&
            (job.state == JOB_DONE || job.state == JOB_QUARANTINED || job.state == JOB_CANCELLED);
    if (*over)
        printf("job %llu is %s\n", (unsigned long long)job.job, job_status_words[job.state]);
    fflush(stdout);
    arena_free(&a);
    return rc;
}

int follow_job(struct cli *cli, const char *job_path, const char *attempts_path,
               const struct msg_attempt *attempts, uint32_t count, struct err *e)
{
    struct follow f = {.cli = cli};
    bool over = false;
    if (count > 0) {
        const struct msg_attempt *last = &attempts[count - 1];
        f.attempt = last->number;
        f.ended = last->outcome != ATTEMPT_OPEN;
        f.shown = last->log ? strdup(last->log) : NULL;
    }
    fflush(stdout);
    int rc = 0;
    do {
        rc = look(&f, job_path, attempts_path, &over, e);
        if (rc && cli_may_mend(rc)) {
            if (!f.away)
                fprintf(stderr, "%s: %s; trying again\n", cli->command, e->message);
            f.away = true;
            rc = 0;
        } else if (!rc) {
            f.away = false;
        }
    } while (!rc && !over && !env_stop_wait_ms(POLL_MS));
    free(f.shown);
    return rc == ERR_STOPPED ? 0 : rc;
}
