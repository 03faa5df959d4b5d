#include "ops/cli/top_fetch.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/env/clock.h"
#include "core/env/process.h"
#include "core/env/thread.h"
#include "ops/cli/job_text.h"

#define LOOK_MS 1500
#define LOOKS_SHARE 5 /* of the time, a look takes at most one in so many parts */
#define CALL_MS 10000
#define ORDERS_MAX 8
#define SAMPLES 8 /* of what is stored: its rate is over so many looks */
#define LOG_BYTES (32u << 20)

struct said {
    char words[240];
    bool bad;
};

struct top_fetch {
    struct client *client;
    struct env_thread thread;
    struct env_mutex mutex; /* guards what follows, and nothing is waited for under it */
    struct env_cond wake;
    bool stopping, hurry;
    char run[96];
    uint64_t log_job;
    struct top_order orders[ORDERS_MAX];
    unsigned order_count;

    bool news;
    struct overview *fresh; /* not yet taken */
    int64_t away_since_ms;
    char away[512];
    double stored_rate;
    uint64_t fresh_log_job;
    char *fresh_log; /* owned, as `log` */
    struct said said;

    /* Of the taking thread. */
    struct overview *shown;
    char *log;
    char away_shown[512];

    /* Of the looking thread. */
    int64_t answered_ms; /* wall clock */
    uint64_t events_after;
    struct {
        double at_s;
        uint64_t bytes;
    } samples[SAMPLES];
    unsigned sample_count;
};

/* --- orders ----------------------------------------------------------------------------------- */

static int post(struct top_fetch *f, struct arena *a, const char *path, const struct message *in,
                const void *in_value, const struct message *out, void *out_value, struct err *e)
{
    if (!path)
        return err_set(e, ERR_NO_MEMORY, "no memory for a path");
    return client_call(f->client, "POST", path, in, in_value, out, out_value, a, CALL_MS, e);
}

static int order_run(struct top_fetch *f, struct arena *a, const struct top_order *o,
                     struct said *s, struct err *e)
{
    struct msg_pause pause = {0};
    struct msg_run r;
    bool pauses = o->what == ORDER_PAUSE;
    const char *verb = pauses ? "pause" : o->what == ORDER_RESUME ? "resume" : "retry";
    int rc = post(f, a, arena_printf(a, "/v1/runs/%s/%s", o->name, verb),
                  pauses ? &message_pause : NULL, pauses ? &pause : NULL, &message_run, &r, e);
    if (rc)
        return rc;
    if (pauses)
        snprintf(s->words, sizeof s->words,
                 "run %s is paused; its jobs are handed back at the next heartbeats", o->name);
    else
        snprintf(s->words, sizeof s->words, "run %s goes on: %llu jobs wait", o->name,
                 (unsigned long long)r.jobs_waiting);
    return 0;
}

static int order_agent(struct top_fetch *f, struct arena *a, const struct top_order *o,
                       struct said *s, struct err *e)
{
    struct msg_pattern pattern = {o->name};
    struct msg_fleet m = {.names = &pattern, .name_count = 1, .now = o->what == ORDER_DRAIN_NOW};
    struct msg_fleet_done done;
    struct msg_empty nothing;
    if (o->what == ORDER_UNBENCH) {
        int rc = post(f, a, arena_printf(a, "/v1/agents/%s/unbench", o->name), NULL, NULL,
                      &message_empty, &nothing, e);
        snprintf(s->words, sizeof s->words, "%s gets jobs again", o->name);
        return rc;
    }
    bool undrain = o->what == ORDER_UNDRAIN;
    int rc = post(f, a, undrain ? "/v1/agents/undrain" : "/v1/agents/drain", &message_fleet, &m,
                  &message_fleet_done, &done, e);
    snprintf(s->words, sizeof s->words, "%s %s", o->name,
             undrain ? "gets jobs again"
             : m.now ? "hands over its job, if it has one, and gets no more"
                     : "finishes its job, if it has one, and gets no more");
    return rc;
}

static int order_job(struct top_fetch *f, struct arena *a, const struct top_order *o,
                     struct said *s, struct err *e)
{
    struct msg_job j;
    int rc = post(f, a, arena_printf(a, "/v1/jobs/%llu/retry", (unsigned long long)o->job), NULL,
                  NULL, &message_job, &j, e);
    if (!rc)
        snprintf(s->words, sizeof s->words, "job %llu is %s again; its failures are forgotten",
                 (unsigned long long)o->job, job_status_words[j.state]);
    return rc;
}

static void carry_out(struct top_fetch *f, const struct top_order *o)
{
    struct arena a;
    struct said s = {.words = ""};
    struct err e = {0};
    int rc;
    arena_init(&a, LOG_BYTES);
    switch (o->what) {
    case ORDER_PAUSE:
    case ORDER_RESUME:
    case ORDER_RETRY_RUN:
        rc = order_run(f, &a, o, &s, &e);
        break;
    case ORDER_RETRY_JOB:
        rc = order_job(f, &a, o, &s, &e);
        break;
    default:
        rc = order_agent(f, &a, o, &s, &e);
    }
    if (rc) {
        s.bad = true;
        snprintf(s.words, sizeof s.words, "%.*s", (int)sizeof s.words - 1, e.message);
    }
    arena_free(&a);
    env_mutex_lock(&f->mutex);
    f->said = s;
    f->news = true;
    env_mutex_unlock(&f->mutex);
}

/* --- looking ---------------------------------------------------------------------------------- */

/* The text of a job's log; NULL where it can't be had. */
static char *look_at_log(struct top_fetch *f, uint64_t job)
{
    struct arena a;
    struct msg_job j;
    struct msg_attempt *list;
    struct err e = {0};
    struct buf text;
    uint32_t count = 0;
    buf_init(&text, LOG_BYTES);
    arena_init(&a, LOG_BYTES);
    const char *path = arena_printf(&a, "/v1/jobs/%llu", (unsigned long long)job);
    const char *attempts = arena_printf(&a, "/v1/jobs/%llu/attempts", (unsigned long long)job);
    int rc = path && attempts ? client_call(f->client, "GET", path, NULL, NULL, &message_job, &j,
                                            &a, CALL_MS, &e)
                              : err_set(&e, ERR_NO_MEMORY, "no memory for a log");
    if (!rc)
        rc =
            client_get_array(f->client, attempts, &message_attempt, (void **)&list, &count, &a, &e);
    if (rc) {
        (void)!buf_printf(&text, &(struct err){0}, "%s\n", e.message);
    } else {
        job_text_head(&text, &a, &j, count, env_wall_ms());
        for (uint32_t i = 0; i < count; i++)
            job_text_attempt(&text, &a, &list[i], env_wall_ms());
    }
    arena_free(&a);
    return buf_take(&text);
}

static double stored_rate(struct top_fetch *f, uint64_t bytes)
{
    double now = env_monotonic_s();
    if (f->sample_count == SAMPLES)
        memmove(f->samples, f->samples + 1, --f->sample_count * sizeof f->samples[0]);
    f->samples[f->sample_count].at_s = now;
    f->samples[f->sample_count++].bytes = bytes;
    double took = now - f->samples[0].at_s;
    return took < 1 || bytes < f->samples[0].bytes ? NAN
                                                   : (double)(bytes - f->samples[0].bytes) / took;
}

/* The next look asks for events from the oldest one on that is shown. */
static void remember_events(struct top_fetch *f, const struct overview *s)
{
    if (s->event_count == OVERVIEW_EVENTS)
        f->events_after = s->events[0].event - 1;
}

static double look(struct top_fetch *f)
{
    char run[96];
    uint64_t log_job;
    struct overview *s = NULL;
    struct err e = {0};
    env_mutex_lock(&f->mutex);
    memcpy(run, f->run, sizeof run);
    log_job = f->log_job;
    env_mutex_unlock(&f->mutex);
    struct overview_want want = {.run = *run ? run : NULL,
                                 .curves = true,
                                 .jobs = true,
                                 .events = true,
                                 .events_after = f->events_after};
    int rc = overview_fetch(f->client, &want, CALL_MS, &s, &e);
    char *log = !rc && log_job ? look_at_log(f, log_job) : NULL;
    double rate = s ? stored_rate(f, s->status.blob_bytes) : NAN, took = s ? s->took_s : 0;
    if (s) {
        f->answered_ms = s->wall_ms;
        remember_events(f, s);
    }
    env_mutex_lock(&f->mutex);
    struct overview *old = s ? f->fresh : NULL;
    char *old_log = log ? f->fresh_log : NULL;
    if (s) {
        f->fresh = s;
        f->stored_rate = rate;
        f->away_since_ms = 0;
    } else if (rc != ERR_STOPPED) {
        f->away_since_ms = f->answered_ms;
        snprintf(f->away, sizeof f->away, "%s", e.message);
    }
    if (log) {
        f->fresh_log = log;
        f->fresh_log_job = log_job;
    }
    f->news = true;
    env_mutex_unlock(&f->mutex);
    overview_free(old);
    free(old_log);
    return took;
}

static void run(void *arg)
{
    struct top_fetch *f = arg;
    double took = 0;
    env_mutex_lock(&f->mutex);
    while (!f->stopping) {
        while (f->order_count > 0 && !f->stopping) {
            struct top_order o = f->orders[0];
            memmove(f->orders, f->orders + 1, --f->order_count * sizeof f->orders[0]);
            env_mutex_unlock(&f->mutex);
            carry_out(f, &o);
            env_mutex_lock(&f->mutex);
        }
        f->hurry = false;
        env_mutex_unlock(&f->mutex);
        took = look(f);
        int64_t pause = (int64_t)(took * 1000 * (LOOKS_SHARE - 1));
        int64_t until = env_monotonic_ms() + (pause > LOOK_MS ? pause : LOOK_MS);
        env_mutex_lock(&f->mutex);
        while (!f->stopping && !f->hurry && f->order_count == 0 &&
               env_cond_wait_until(&f->wake, &f->mutex, until))
            ;
    }
    env_mutex_unlock(&f->mutex);
}

/* --- the other thread ------------------------------------------------------------------------- */

int top_fetch_start(struct top_fetch **out, struct client *c, struct err *e)
{
    struct top_fetch *f = calloc(1, sizeof *f);
    *out = NULL;
    if (!f)
        return err_set(e, ERR_NO_MEMORY, "no memory to look at the coordinator");
    f->client = c;
    f->stored_rate = NAN;
    f->answered_ms = env_wall_ms();
    env_mutex_init(&f->mutex);
    env_cond_init(&f->wake);
    int rc = env_thread_start(&f->thread, run, f, "the thread that looks at the coordinator", e);
    if (rc) {
        env_cond_destroy(&f->wake);
        env_mutex_destroy(&f->mutex);
        free(f);
        return rc;
    }
    *out = f;
    return 0;
}

void top_fetch_stop(struct top_fetch *f)
{
    env_mutex_lock(&f->mutex);
    f->stopping = true;
    env_cond_signal(&f->wake);
    env_mutex_unlock(&f->mutex);
    env_stop_request();
    env_thread_join(&f->thread);
    env_cond_destroy(&f->wake);
    env_mutex_destroy(&f->mutex);
    overview_free(f->fresh);
    overview_free(f->shown);
    free(f->fresh_log);
    free(f->log);
    free(f);
}

void top_fetch_want(struct top_fetch *f, const char *run_name, uint64_t log_job)
{
    char name[96];
    snprintf(name, sizeof name, "%s", run_name ? run_name : "");
    env_mutex_lock(&f->mutex);
    if (strcmp(name, f->run) != 0 || log_job != f->log_job) {
        memcpy(f->run, name, sizeof f->run);
        f->log_job = log_job;
        f->hurry = true;
        env_cond_signal(&f->wake);
    }
    env_mutex_unlock(&f->mutex);
}

void top_fetch_order(struct top_fetch *f, const struct top_order *o)
{
    env_mutex_lock(&f->mutex);
    if (f->order_count < ORDERS_MAX)
        f->orders[f->order_count++] = *o;
    env_cond_signal(&f->wake);
    env_mutex_unlock(&f->mutex);
}

bool top_fetch_take(struct top_fetch *f, struct top_view *v, struct top_ui *ui)
{
    struct overview *old = NULL;
    char *old_log = NULL;
    env_mutex_lock(&f->mutex);
    bool news = f->news;
    f->news = false;
    if (f->fresh) {
        old = f->shown;
        f->shown = f->fresh;
        f->fresh = NULL;
    }
    if (f->fresh_log) {
        old_log = f->log;
        f->log = f->fresh_log;
        f->fresh_log = NULL;
        v->log_job = f->fresh_log_job;
    }
    memcpy(f->away_shown, f->away, sizeof f->away_shown);
    v->away_since_ms = f->away_since_ms;
    v->stored_rate = f->stored_rate;
    if (*f->said.words) {
        snprintf(ui->said, sizeof ui->said, "%s", f->said.words);
        ui->said_bad = f->said.bad;
        f->said.words[0] = 0;
    }
    env_mutex_unlock(&f->mutex);
    v->s = f->shown;
    v->log = f->log;
    v->away = f->away_shown;
    overview_free(old);
    free(old_log);
    return news;
}
