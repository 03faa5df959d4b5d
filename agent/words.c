#include "agent/words.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "agent/agent_log.h"
#include "agent/job_log.h"
#include "core/base/text.h"
#include "core/env/file.h"
#include "core/env/last_words.h"
#include "core/runners/saves.h"

#define FILE_BYTES_MAX 4096
#define ARENA_BYTES_MAX (64u << 10)

/* WORK/in-hand */
struct hand {
    uint64_t job;
    const struct msg_fence *fence;
    const char *key;
};
static const struct field hand_fields[] = {
    {.name = "job",
     .type = FIELD_U64,
     .required = true,
     .offset = offsetof(struct hand, job),
     .min = 1},
    {.name = "fence",
     .type = FIELD_OBJECT,
     .required = true,
     .offset = offsetof(struct hand, fence),
     .of = &message_fence},
    {.name = "folder",
     .type = FIELD_STRING,
     .required = true,
     .offset = offsetof(struct hand, key)},
};
static const struct message message_hand = {
    .name = "in-hand", .size = sizeof(struct hand), .fields = hand_fields, .field_count = 3};

static bool read_hand(struct words *w, struct hand *h)
{
    struct buf b;
    struct err e = {0};
    if (!env_file_exists(w->hand) || env_file_read(w->hand, FILE_BYTES_MAX, &b, &e)) {
        return false;
    }
    bool good = b.len > 0 && message_decode(&message_hand, b.data, b.len, h, &w->arena, &e) == 0 &&
                strchr(h->key, '/') == NULL;
    buf_free(&b);
    return good;
}

/* The line that a crashed process left, cut at its end; "" where there is none. */
static void read_last(const struct words *w, char *out, size_t cap)
{
    struct buf b;
    struct err e = {0};
    out[0] = 0;
    if (!env_file_exists(w->last) || env_file_read(w->last, FILE_BYTES_MAX, &b, &e)) {
        return;
    }
    if (b.len > 0) {
        snprintf(out, cap, "%.*s", (int)strcspn(b.data, "\n"), b.data);
        text_make_utf8(out);
    }
    buf_free(&b);
}

/* "… at step 120 of job 5 …" */
static bool step_in(const char *line, uint64_t *step)
{
    const char *at = strstr(line, " at step ");
    return at && sscanf(at, " at step %" SCNu64, step) == 1;
}

static void tell(struct words *w, const char *work, const struct hand *h, const char *line)
{
    char log[PROTOCOL_LOG_MAX + 1], *jobs = env_path_join(work, "jobs");
    char *dir = jobs ? env_path_join(jobs, h->key) : NULL;
    bool crash = !strncmp(line, "signal ", 7);
    const char *end = line[0] ? line : "no last words: killed, or the machine went down";
    w->told = (struct msg_words){.fence = h->fence, .crash = crash};
    w->told.end = arena_strndup(&w->arena, end, strcspn(end, "\n"));
    if (dir && !step_in(line, &w->told.step)) {
        w->told.step = saves_newest(dir);
    }
    if (dir && job_log_read(dir, log)) {
        w->told.log = arena_strndup(&w->arena, log, strlen(log));
    }
    w->job = w->told.end ? h->job : 0;
    log_warn("the agent before this one ended with job=%" PRIu64 " in hand: %s", h->job, end);
    free(dir);
    free(jobs);
}

int words_open(struct words *w, const char *work, struct err *e)
{
    struct hand h;
    char line[256];
    *w = (struct words){.hand = env_path_join(work, "in-hand"),
                        .last = env_path_join(work, "last-words")};
    arena_init(&w->arena, ARENA_BYTES_MAX);
    if (!w->hand || !w->last) {
        return err_set(e, ERR_NO_MEMORY, "no memory for a path");
    }
    read_last(w, line, sizeof line);
    if (read_hand(w, &h)) {
        tell(w, work, &h, line);
    } else if (line[0]) {
        log_warn("the agent before this one ended: %s", line);
    }
    return env_last_words_open(w->last, e);
}

void words_close(struct words *w)
{
    if (w->holding) {
        env_last_words_say("ended in order, but could not give its job back");
    }
    env_last_words_about(NULL, NULL);
    arena_free(&w->arena);
    free(w->hand);
    free(w->last);
    *w = (struct words){0};
}

void words_told(struct words *w)
{
    w->job = 0;
    words_drop(w);
}

void words_hold(struct words *w, const struct msg_grant *g, const char *key,
                const _Atomic uint64_t *step)
{
    char subject[100];
    struct hand h = {.job = g->job, .fence = g->fence, .key = key};
    struct buf b;
    struct err e = {0};
    snprintf(subject, sizeof subject, "job %" PRIu64 " fence %" PRIu64 ".%" PRIu64, g->job,
             g->fence->incarnation, g->fence->counter);
    env_last_words_about(subject, step);
    w->holding = true;
    buf_init(&b, FILE_BYTES_MAX);
    /* Not synced: of a machine that lost its power the coordinator learns by silence, too. */
    struct env_file_new f;
    if (message_encode(&message_hand, &h, &b, &e) == 0 &&
        env_file_new_open(&f, w->hand, 0600, &e) == 0) {
        f.passing = true;
        if (env_file_new_write(&f, b.data, b.len, &e) || env_file_new_commit(&f, &e)) {
            env_file_new_abandon(&f);
        }
    }
    buf_free(&b);
}

void words_drop(struct words *w)
{
    struct err e = {0};
    env_last_words_about(NULL, NULL);
    w->holding = false;
    if (w->hand) {
        (void)!env_file_remove(w->hand, &e);
    }
}
