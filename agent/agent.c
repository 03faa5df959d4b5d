#include "agent/agent.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "agent/heartbeat.h"
#include "agent/hold.h"
#include "agent/identity.h"
#include "agent/agent_log.h"
#include "agent/job_log.h"
#include "agent/life.h"
#include "agent/machine.h"
#include "agent/preempt.h"
#include "agent/spool.h"
#include "agent/step.h"
#include "agent/words.h"
#include "core/base/text.h"
#include "core/client/join_file.h"
#include "core/env/clock.h"
#include "core/env/file.h"
#include "core/env/process.h"
#include "core/runners/kept.h"
#include "core/runners/pace.h"
#include "core/version.h"

#define CLAIM_WAIT_MS 30000
#define FAREWELL_MS 3000     /* of a stopping agent's last claim */
#define CLAIM_SLACK_MS 15000 /* of the exchange, over what the coordinator was asked to wait */
#define GRACE_MS 30000       /* what most clouds and clusters give */
#define ORDER_MS 500         /* of the grace are kept for ending in order */
#define RELEASE_MS 2000      /* of the grace are kept for giving the job back */
#define SAY_AGAIN_S 60       /* what goes on for long is said once a minute */
#define ROOM_FIRST_MS 1000   /* waits for room on the disk, doubled … */
#define ROOM_LONGEST_MS 60000
#define LOCK_WAIT_MS 10000 /* a predecessor that is just stopping */
#define COMPLETE_MS 300000 /* the coordinator reads and checks every output before it answers … */
#define COMPLETE_BYTES_MS 20000 /* … at no less than so many bytes a millisecond */
#define ANSWER_ARENA_MAX (64u << 20)

struct agent {
    const struct agent_options *o;
    int lock;
    struct identity id;
    struct client *client;
    struct heartbeat *heartbeat;
    struct cache *cache;
    struct kept *kept;
    struct hold hold;
    struct agent_state state;
    struct preempt *preempt;
    struct preempt_notice notice; /* once a stop is requested */
    bool noticed;
    struct words words;
    struct life life;
    struct pace pace;
    struct job_log log;
    struct job_watch watch;
    double saved_said_s, trouble_said_s; /* when these were said last; 0: not of this job */
    int64_t room_wait_ms;
    bool handed;                                    /* the save in hand is in the store */
    struct arena answer;                            /* of the exchange in hand */
    struct err err;                                 /* of what was done last */
    char failure[sizeof((struct err *)0)->message]; /* why the job in hand failed */
    bool lingers;
};

/* --- exchanges ----------------------------------------------------------------------------------
 */

static int do_join(struct agent *a)
{
    struct client *c;
    const struct agent_options *o = a->o;
    struct client_options co = {.url = o->url, .token_file = o->token_file, .ca_file = o->ca_file};
    struct machine machine;
    struct msg_joined joined;
    int rc = client_open(&c, &co, &a->err);
    if (rc) {
        return rc;
    }
    machine_describe(&machine);
    struct msg_join m = {.identity = a->id.hex,
                         .name = o->name,
                         .host = env_host_name(),
                         .processor = machine.processor,
                         .isa = machine.isa,
                         .version = TACIT_VERSION,
                         .threads = (uint64_t)o->threads,
                         .memory = env_memory_bytes()};
    rc = client_call(c, "POST", "/v1/agents", &message_join, &m, &message_joined, &joined,
                     &a->answer, 0, &a->err);
    if (!rc) {
        rc = identity_keep_token(o->work, &a->id, joined.token, &a->err);
    }
    if (!rc) {
        rc = client_set_token(a->client, joined.token, &a->err);
    }
    if (!rc) {
        heartbeat_set_token(a->heartbeat, joined.token);
        log_info("agent=%" PRIu64 " name=%s joined %s", joined.agent, o->name, o->url);
    }
    client_close(c);
    return rc;
}

/* A job has come into the hand. */
static void begin_job(struct agent *a, const char *key)
{
    const struct msg_grant *g = &a->hold.grant;
    job_log_begin(&a->log);
    a->saved_said_s = a->trouble_said_s = 0;
    a->room_wait_ms = ROOM_FIRST_MS;
    a->handed = false;
    a->pace.life_s = life_mean_s(&a->life);
    words_hold(&a->words, g, key, &a->hold.progress.step);
    heartbeat_begin(a->heartbeat, g->job, g->fence, g->lease_ms, &a->hold.progress, &a->log);
}

/* The job is no more in the hand. */
static void end_job(struct agent *a, bool adopt, bool remove)
{
    heartbeat_end(a->heartbeat);
    words_drop(&a->words);
    hold_drop(&a->hold, a->cache, adopt, remove);
}

/* The answer's arena goes with the grant. */
static void take(struct agent *a, const struct msg_grant *g)
{
    char words[128], key[33];
    hold_key(g, key);
    hold_take(&a->hold, g, &a->answer);
    begin_job(a, key);
    hold_words(g, words, sizeof words);
    job_log_say(&a->log, "info", "job=%" PRIu64 " run=%s %s", g->job, g->run, words);
    if (g->resume_step) {
        job_log_say(&a->log, "info", "job=%" PRIu64 " was handed over at step %" PRIu64, g->job,
                    g->resume_step);
    }
}

/* How the process before this one ended. */
static int do_words(struct agent *a)
{
    char path[64];
    if (a->words.job == 0) {
        return 1;
    }
    snprintf(path, sizeof path, "/v1/jobs/%" PRIu64 "/words", a->words.job);
    int rc = client_call(a->client, "POST", path, &message_words, &a->words.told, NULL, NULL,
                         &a->answer, 0, &a->err);
    bool refused = rc == ERR_NOT_FOUND || rc == ERR_INVALID || rc == ERR_CONFLICT ||
                   rc == ERR_FENCED || rc == ERR_FORMAT;
    if (rc >= 0 || refused) {
        words_told(&a->words);
    }
    return rc > 0 ? 0 : rc;
}

/* What an earlier process finished and could not deliver. */
static int do_spool(struct agent *a)
{
    char words[128];
    if (!hold_take_spooled(&a->hold, a->o->work, &a->answer)) {
        return 1;
    }
    const struct msg_grant *g = &a->hold.grant;
    const char *slash = strrchr(a->hold.dir, '/');
    begin_job(a, slash ? slash + 1 : a->hold.dir);
    job_log_keep(&a->log, a->hold.dir);
    hold_words(g, words, sizeof words);
    job_log_say(&a->log, "info", "job=%" PRIu64 " run=%s %s: finished before, now delivered",
                g->job, g->run, words);
    return 0;
}

static int do_claim(struct agent *a, bool probe)
{
    struct msg_claim m = {.wait_ms = probe ? 0 : CLAIM_WAIT_MS};
    struct msg_grant g;
    char *jobs = env_path_join(a->o->work, "jobs");
    if (jobs) {
        m.saves = spool_saves(jobs, &a->answer, &m.save_count);
    }
    free(jobs);
    int rc =
        client_call(a->client, "POST", "/v1/claims", &message_claim, &m, &message_grant, &g,
                    &a->answer, a->noticed ? FAREWELL_MS : CLAIM_WAIT_MS + CLAIM_SLACK_MS, &a->err);
    if (!rc) {
        take(a, &g);
    } else if (rc > 0) {
        log_debug("no job is to be had");
    }
    return rc;
}

static void job_path_of(const struct agent *a, const char *verb, char path[64])
{
    snprintf(path, 64, "/v1/jobs/%" PRIu64 "/%s", a->hold.grant.job, verb);
}

static void say_done(struct agent *a)
{
    const struct job_result *r = &a->hold.result;
    char words[128], time[24], loss[32] = "", rate[64] = "", count[28];
    hold_words(&a->hold.grant, words, sizeof words);
    if (!isnan(r->loss)) {
        snprintf(loss, sizeof loss, ", loss %.4f", r->loss);
    }
    if (r->tokens > 0 && r->seconds > 0) {
        snprintf(rate, sizeof rate, ", %s tokens/s",
                 text_count((uint64_t)((double)r->tokens / r->seconds), count));
    }
    job_log_say(&a->log, "info", "job=%" PRIu64 " run=%s %s: done in %s%s%s", a->hold.grant.job,
                a->hold.grant.run, words, text_duration(r->seconds, time), loss, rate);
}

static int do_complete(struct agent *a)
{
    const struct job_result *r = &a->hold.result;
    struct msg_completed completed = {0};
    uint64_t bytes = 0;
    char path[64];
    struct msg_blob *outputs = calloc(r->count + 1, sizeof *outputs);
    if (!outputs) {
        return err_set(&a->err, ERR_NO_MEMORY, "no memory for the outputs of a job");
    }
    for (uint32_t i = 0; i < r->count; i++) {
        outputs[i] = r->outputs[i].blob;
        bytes += r->outputs[i].blob.bytes;
    }
    struct msg_complete m = {.fence = a->hold.grant.fence,
                             .outputs = outputs,
                             .output_count = r->count,
                             .loss = r->loss,
                             .seconds = r->seconds,
                             .tokens = r->tokens,
                             .bytes_down = a->hold.bytes_down,
                             .bytes_up = a->hold.bytes_up,
                             .points = a->hold.progress.points,
                             .point_count = atomic_load(&a->hold.progress.point_count)};
    job_path_of(a, "complete", path);
    int rc =
        client_call(a->client, "POST", path, &message_complete, &m, &message_completed, &completed,
                    &a->answer, COMPLETE_MS + (long)(bytes / COMPLETE_BYTES_MS), &a->err);
    free(outputs);
    if (rc) {
        return rc;
    }
    say_done(a);
    end_job(a, true, true);
    if (completed.next) {
        take(a, completed.next);
    }
    return completed.next ? 0 : 1;
}

static int do_fetch(struct agent *a)
{
    int rc = hold_fetch(&a->hold, a->cache, a->client, a->o->work, &a->err);
    if (a->hold.dir) {
        job_log_keep(&a->log, a->hold.dir);
    }
    if (!rc && a->hold.finished) {
        job_log_say(&a->log, "info", "job=%" PRIu64 " was computed here before", a->hold.grant.job);
    }
    return rc;
}

static int do_fail(struct agent *a, bool settings)
{
    char path[64], lines[PROTOCOL_LOG_MAX + 1];
    uint64_t from = 0;
    struct msg_fail m = {.fence = a->hold.grant.fence, .error = a->failure, .settings = settings};
    if (job_log_since(&a->log, &from, lines)) {
        m.log = lines;
    }
    job_path_of(a, "fail", path);
    return client_call(a->client, "POST", path, &message_fail, &m, NULL, NULL, &a->answer, 0,
                       &a->err);
}

/* The save of a job that was cut short goes into the store, if the time suffices. */
static int do_handover(struct agent *a)
{
    const struct hold *h = &a->hold;
    char needs[24], has[24];
    if (h->finished || h->result.saved_step == 0) {
        return 1;
    }
    bool limited = h->upload_until_ms > 0; /* by the grace of a stop */
    double left = (double)(h->upload_until_ms - env_monotonic_ms()) / 1000;
    double seconds = hold_upload_seconds(h);
    if (limited && seconds > left) {
        job_log_say(&a->log, "warn",
                    "job=%" PRIu64 " saved at step %" PRIu64
                    ", not handed over: that would take %s, of which %s are left",
                    h->grant.job, h->result.saved_step, text_duration(seconds, needs),
                    text_duration(left > 0 ? left : 0, has));
        return 1;
    }
    int rc = hold_upload(&a->hold, a->client, &a->err);
    a->handed = rc == 0;
    if (rc) {
        job_log_say(&a->log, "warn", "job=%" PRIu64 " not handed over: %s", h->grant.job,
                    a->err.message);
    }
    return rc;
}

static int release(struct agent *a, struct msg_release *m)
{
    char path[64];
    job_path_of(a, "release", path);
    return client_call(a->client, "POST", path, &message_release, m, NULL, NULL, &a->answer, 0,
                       &a->err);
}

static int do_release(struct agent *a)
{
    const struct job_result *r = &a->hold.result;
    char lines[PROTOCOL_LOG_MAX + 1];
    uint64_t from = 0;
    struct msg_blob outputs[2];
    struct msg_release m = {.fence = a->hold.grant.fence};
    if (job_log_since(&a->log, &from, lines)) {
        m.log = lines;
    }
    heartbeat_end(a->heartbeat);
    if (a->handed && r->count == 2) {
        outputs[0] = r->outputs[0].blob;
        outputs[1] = r->outputs[1].blob;
        m.outputs = outputs;
        m.output_count = 2;
        m.step = r->saved_step;
    }
    int rc = release(a, &m);
    if (rc < 0 && m.output_count > 0 && rc != ERR_FENCED) {
        log_warn("job=%" PRIu64 " not handed over: %s", a->hold.grant.job, a->err.message);
        m.output_count = 0;
        rc = release(a, &m);
    }
    if (rc >= 0 && m.output_count > 0) {
        log_info("job=%" PRIu64 " handed over at step %" PRIu64, a->hold.grant.job, m.step);
    } else if (rc >= 0) {
        log_info("job=%" PRIu64 " given back; what was done is kept here", a->hold.grant.job);
    }
    if (rc >= 0) {
        words_drop(&a->words);
    }
    return rc;
}

/* --- what the runner says -----------------------------------------------------------------------
 */

static void on_saved(void *arg, uint64_t step, const struct digest *content, double seconds)
{
    struct agent *a = arg;
    char took[24], next[24];
    spool_saved(a->hold.dir,
                &(struct msg_saved){.job = a->hold.grant.job, .step = step, .content = *content});
    double now = env_monotonic_s();
    if (a->saved_said_s > 0 && now - a->saved_said_s < SAY_AGAIN_S) {
        log_debug("job=%" PRIu64 " saved at step %" PRIu64, a->hold.grant.job, step);
        return;
    }
    a->saved_said_s = now;
    job_log_say(&a->log, "info",
                "job=%" PRIu64 " saved at step %" PRIu64 " in %s; at least every %s",
                a->hold.grant.job, step, text_duration(seconds, took),
                text_duration(pace_interval_s(&a->pace), next));
}

static bool on_trouble(void *arg, const struct err *e, bool waits)
{
    struct agent *a = arg;
    double now = env_monotonic_s();
    if (e->code == ERR_NO_SPACE) {
        cache_empty(a->cache);
    }
    if (a->trouble_said_s == 0 || now - a->trouble_said_s >= SAY_AGAIN_S) {
        a->trouble_said_s = now;
        job_log_say(&a->log, "warn", "job=%" PRIu64 " %s; %s", a->hold.grant.job, e->message,
                    waits ? "waiting for room" : "the save before it is good, going on");
    }
    if (!waits) {
        return true;
    }
    bool stop = env_stop_wait_ms(a->room_wait_ms);
    a->room_wait_ms *= a->room_wait_ms < ROOM_LONGEST_MS ? 2 : 1;
    return !stop && !atomic_load(&a->hold.progress.abandon);
}

/* --- the loop -----------------------------------------------------------------------------------
 */

static void say(struct agent *a, const struct agent_action *action)
{
    const char *why = a->err.message;
    switch (action->say) {
    case AGENT_SAY_NOTHING:
        break;
    case AGENT_SAY_AWAY:
        log_warn("%s; trying again until it answers", why);
        break;
    case AGENT_SAY_BACK:
        log_info("%s answers again", a->o->url);
        break;
    case AGENT_SAY_REJOIN:
        log_warn("the coordinator does not take this agent's token any more (%s): joining again",
                 why);
        break;
    case AGENT_SAY_DROP:
        log_warn("job=%" PRIu64 " dropped: %s", a->hold.grant.job, why);
        break;
    case AGENT_SAY_FAIL:
        job_log_say(&a->log, "warn", "job=%" PRIu64 " run=%s failed: %s", a->hold.grant.job,
                    a->hold.grant.run, why);
        break;
    case AGENT_SAY_STOP:
        break; /* look_for_stop says it */
    case AGENT_SAY_FULL:
        job_log_say(&a->log, "warn",
                    "job=%" PRIu64 " %s; waiting for room, which the job is not to blame for",
                    a->hold.grant.job, why);
        break;
    case AGENT_SAY_ROOM:
        job_log_say(&a->log, "info", "job=%" PRIu64 " there is room again", a->hold.grant.job);
        break;
    case AGENT_SAY_BROKEN:
        job_log_say(&a->log, "error",
                    "job=%" PRIu64 " given back, since this machine's disk fails: %s",
                    a->hold.grant.job, why);
        break;
    case AGENT_SAY_BENCHED:
        log_warn("benched: %s", why);
        break;
    case AGENT_SAY_DRAINED:
        log_info("drained: %s", why);
        break;
    case AGENT_SAY_GIVE:
        job_log_say(&a->log, "info", "job=%" PRIu64 " is handed over: %s", a->hold.grant.job, why);
        break;
    case AGENT_SAY_END:
        log_error("giving up: %s", why);
        break;
    }
}

/* Returns 0, 1 ("none") or an error, which is in a->err. */
static int perform(struct agent *a, const struct agent_action *action)
{
    arena_reset(&a->answer);
    if (action->last_words && !a->lingers) {
        a->lingers = true;
        client_linger(a->client, a->notice.deadline_ms - ORDER_MS - env_monotonic_ms());
        a->hold.upload_until_ms = a->notice.deadline_ms - RELEASE_MS;
    }
    if (action->make_room) {
        cache_empty(a->cache);
    }
    switch (action->what) {
    case AGENT_DO_JOIN:
        return do_join(a);
    case AGENT_DO_WORDS:
        return do_words(a);
    case AGENT_DO_SPOOL:
        return do_spool(a);
    case AGENT_DO_CLAIM:
        return do_claim(a, action->probe);
    case AGENT_DO_FETCH:
        return do_fetch(a);
    case AGENT_DO_RUN:
        return hold_run(&a->hold, a->kept, &a->pace, &a->watch, &a->err);
    case AGENT_DO_HANDOVER:
        return do_handover(a);
    case AGENT_DO_UPLOAD:
        return hold_upload(&a->hold, a->client, &a->err);
    case AGENT_DO_COMPLETE:
        return do_complete(a);
    case AGENT_DO_FAIL:
        return do_fail(a, action->settings);
    case AGENT_DO_RELEASE:
        return do_release(a);
    case AGENT_DO_WAIT:
        (void)env_stop_wait_ms(action->wait_ms);
        return 0;
    case AGENT_DO_EXIT:
        break;
    }
    return 0;
}

/* Whether to stop; the first time, says why, and lets the grace run. */
static bool look_for_stop(struct agent *a)
{
    char grace[24];
    if (!env_stop_requested() || a->noticed) {
        return a->noticed;
    }
    a->noticed = true;
    preempt_notice(a->preempt, &a->notice);
    int64_t left = a->notice.deadline_ms - env_monotonic_ms();
    heartbeat_linger(a->heartbeat, a->notice.deadline_ms);
    text_duration((double)left / 1000, grace);
    if (a->hold.held) {
        job_log_say(&a->log, "info", "stopping: %s; %s to save, deliver and give back",
                    a->notice.words, grace);
    } else {
        log_info("stopping: %s", a->notice.words);
    }
    return true;
}

static int loop(struct agent *a)
{
    struct agent_event event = {0};
    struct agent_action action;
    for (;;) {
        event.stop = look_for_stop(a);
        env_random(&event.random, sizeof event.random);
        agent_step(&a->state, &event, &action);
        if (action.what == AGENT_DO_FAIL && action.say == AGENT_SAY_FAIL) {
            snprintf(a->failure, sizeof a->failure, "%s", a->err.message);
            text_make_utf8(a->failure);
        }
        say(a, &action);
        if (action.drop && a->hold.held) {
            end_job(a, false, !action.keep);
        }
        if (action.what == AGENT_DO_EXIT) {
            return action.exit_code;
        }
        a->err = (struct err){0};
        int rc = perform(a, &action);
        event.result = rc == 0 ? AGENT_OK : rc > 0 ? AGENT_NONE : AGENT_ERROR;
        event.code = rc;
        event.hand_over = rc == ERR_STOPPED && atomic_load(&a->hold.progress.hand_over) &&
                          !atomic_load(&a->hold.progress.abandon);
        event.retry_after_ms = rc < 0 ? client_retry_after_ms(a->client) : 0;
    }
}

/* How the process is to end. */
static int exit_code_of(const struct agent *a, int code)
{
    if (!a->noticed || code != 0) {
        return code;
    }
    if (a->notice.broken) {
        log_error("%s: it can't be run (see --preempt-command)", a->notice.words);
        return err_exit_code(ERR_CONFIG);
    }
    return a->notice.by_hand ? 0 : a->o->preempt.exit_code;
}

/* --- start and end ------------------------------------------------------------------------------
 */

static void on_tick(void *arg)
{
    life_go_on(arg);
}

/* So that the next start needs the folder alone. */
static int keep_join(const struct agent_options *o, struct err *e)
{
    struct buf b;
    char *kept = env_path_join(o->work, "join");
    int rc = kept ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for a path");
    if (!rc && strcmp(kept, o->join) != 0) {
        rc = env_file_read(o->join, JOIN_FILE_MAX, &b, e);
        if (!rc) {
            rc = env_file_write_atomic(kept, b.data, b.len, 0600, e);
            buf_free(&b);
        }
    }
    free(kept);
    return rc;
}

static int open_parts(struct agent *a, struct err *e)
{
    const struct agent_options *o = a->o;
    struct client_options co = {.url = o->url, .ca_file = o->ca_file};
    char *lock = env_path_join(o->work, "lock"), *cache = env_path_join(o->work, "cache");
    int rc = lock && cache ? env_dir_make(o->work, e)
                           : err_set(e, ERR_NO_MEMORY, "no memory for a path");
    if (!rc) {
        rc = env_lock_take(lock, LOCK_WAIT_MS, &a->lock, e);
        if (rc == ERR_BUSY) {
            err_prefix(e, "another agent works in '%s' (give each a --work of its own)", o->work);
        }
    }
    if (!rc && o->join) {
        rc = keep_join(o, e);
    }
    if (!rc) {
        rc = identity_load(o->work, &a->id, e);
    }
    if (!rc && !o->token_file && a->id.token[0] == 0) {
        rc = err_set(e, ERR_INVALID,
                     "no join token: give --join FILE or --token-file FILE (the coordinator's data "
                     "folder has agent.join or join.token), or set TACIT_TOKEN_FILE");
    }
    if (!rc) {
        co.token = a->id.token[0] ? a->id.token : NULL;
        rc = client_open(&a->client, &co, e);
    }
    if (!rc) {
        rc = heartbeat_create(&a->heartbeat, &co, e);
    }
    if (!rc) {
        rc = cache_open(&a->cache, cache, o->cache_bytes, e);
    }
    if (!rc) {
        rc = kept_create(&a->kept, o->threads, e);
    }
    if (!rc) {
        rc = words_open(&a->words, o->work, e);
    }
    if (!rc) {
        struct preempt_options p = o->preempt;
        p.grace_ms = p.grace_ms > 0 ? p.grace_ms : GRACE_MS;
        life_begin(&a->life, o->work);
        rc = preempt_create(&a->preempt, &p, on_tick, &a->life, e);
    }
    free(lock);
    free(cache);
    return rc;
}

int agent_run(const struct agent_options *o)
{
    struct agent *a = calloc(1, sizeof *a);
    if (!a) {
        log_error("no memory");
        return err_exit_code(ERR_NO_MEMORY);
    }
    a->o = o;
    a->lock = -1;
    hold_init(&a->hold);
    job_log_init(&a->log);
    a->watch = (struct job_watch){on_saved, on_trouble, a};
    arena_init(&a->answer, ANSWER_ARENA_MAX);
    int code, rc = open_parts(a, &a->err);
    if (rc) {
        log_error("%s", a->err.message);
        code = err_exit_code(rc);
    } else {
        log_info("tacit-agent %s name=%s threads=%d work=%s coordinator=%s", TACIT_VERSION, o->name,
                 o->threads, o->work, o->url);
        agent_state_init(&a->state, o->token_file != NULL, a->id.token[0] != 0);
        code = exit_code_of(a, loop(a));
    }
    preempt_destroy(a->preempt);
    life_end(&a->life, !a->noticed || a->notice.by_hand);
    heartbeat_destroy(a->heartbeat);
    client_close(a->client);
    cache_close(a->cache);
    kept_destroy(a->kept);
    hold_free(&a->hold);
    words_close(&a->words);
    job_log_free(&a->log);
    arena_free(&a->answer);
    env_lock_release(a->lock);
    free(a);
    return code;
}
