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
#include "agent/machine.h"
#include "core/runners/kept.h"
#include "agent/step.h"
#include "core/base/text.h"
#include "core/env/clock.h"
#include "core/env/file.h"
#include "core/env/process.h"
#include "core/version.h"

#define CLAIM_WAIT_MS 30000
#define CLAIM_SLACK_MS 15000 /* of the exchange, over what the coordinator was asked to wait */
#define GRACE_MS 20000       /* for the last words of a stopping agent */
#define LOCK_WAIT_MS 10000   /* a predecessor that is just stopping */
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
        log_line("agent=%" PRIu64 " name=%s joined %s", joined.agent, o->name, o->url);
    }
    client_close(c);
    return rc;
}

/* The answer's arena goes with the grant. */
static void take(struct agent *a, const struct msg_grant *g)
{
    char words[128];
    hold_take(&a->hold, g, &a->answer);
    if (g->fence) {
        heartbeat_begin(a->heartbeat, g->job, g->fence, g->lease_ms, &a->hold.progress);
    }
    hold_words(g, words, sizeof words);
    log_line("job=%" PRIu64 " run=%s %s", g->job, g->run, words);
}

static int do_claim(struct agent *a, bool probe)
{
    struct msg_claim m = {.wait_ms = probe ? 0 : CLAIM_WAIT_MS};
    struct msg_grant g;
    int rc = client_call(a->client, "POST", "/v1/claims", &message_claim, &m, &message_grant, &g,
                         &a->answer, CLAIM_WAIT_MS + CLAIM_SLACK_MS, &a->err);
    if (!rc) {
        take(a, &g);
    }
    return rc;
}

static void job_path_of(const struct agent *a, const char *verb, char path[64])
{
    snprintf(path, 64, "/v1/jobs/%" PRIu64 "/%s", a->hold.grant.job, verb);
}

static void say_done(const struct agent *a)
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
    log_line("job=%" PRIu64 " run=%s %s: done in %s%s%s", a->hold.grant.job, a->hold.grant.run,
             words, text_duration(r->seconds, time), loss, rate);
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
                             .bytes_up = a->hold.bytes_up};
    job_path_of(a, "complete", path);
    int rc =
        client_call(a->client, "POST", path, &message_complete, &m, &message_completed, &completed,
                    &a->answer, COMPLETE_MS + (long)(bytes / COMPLETE_BYTES_MS), &a->err);
    free(outputs);
    if (rc) {
        return rc;
    }
    say_done(a);
    heartbeat_end(a->heartbeat);
    hold_drop(&a->hold, a->cache, true, true);
    if (completed.next) {
        take(a, completed.next);
    }
    return completed.next ? 0 : 1;
}

static int do_fail(struct agent *a, bool settings)
{
    char path[64];
    struct msg_fail m = {.fence = a->hold.grant.fence, .error = a->failure, .settings = settings};
    job_path_of(a, "fail", path);
    return client_call(a->client, "POST", path, &message_fail, &m, NULL, NULL, &a->answer, 0,
                       &a->err);
}

static int do_release(struct agent *a)
{
    char path[64];
    struct msg_release m = {.fence = a->hold.grant.fence};
    job_path_of(a, "release", path);
    heartbeat_end(a->heartbeat);
    int rc = client_call(a->client, "POST", path, &message_release, &m, NULL, NULL, &a->answer, 0,
                         &a->err);
    if (!rc) {
        log_line("job=%" PRIu64 " given back; what was done is kept here", a->hold.grant.job);
    }
    return rc;
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
        log_line("%s; trying again until it answers", why);
        break;
    case AGENT_SAY_BACK:
        log_line("%s answers again", a->o->url);
        break;
    case AGENT_SAY_REJOIN:
        log_line("the coordinator does not take this agent's token any more (%s): joining again",
                 why);
        break;
    case AGENT_SAY_DROP:
        log_line("job=%" PRIu64 " dropped: %s", a->hold.grant.job, why);
        break;
    case AGENT_SAY_FAIL:
        log_line("job=%" PRIu64 " run=%s failed: %s", a->hold.grant.job, a->hold.grant.run, why);
        break;
    case AGENT_SAY_STOP:
        log_line("stopping, as asked");
        break;
    case AGENT_SAY_END:
        log_line("giving up: %s", why);
        break;
    }
}

/* Returns 0, 1 ("none") or an error, which is in a->err. */
static int perform(struct agent *a, const struct agent_action *action)
{
    arena_reset(&a->answer);
    if (action->last_words && !a->lingers) {
        a->lingers = true;
        client_linger(a->client, GRACE_MS);
    }
    switch (action->what) {
    case AGENT_DO_JOIN:
        return do_join(a);
    case AGENT_DO_CLAIM:
        return do_claim(a, action->probe);
    case AGENT_DO_FETCH:
        return hold_fetch(&a->hold, a->cache, a->client, a->o->work, &a->err);
    case AGENT_DO_RUN:
        return hold_run(&a->hold, a->kept, &a->err);
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

static int loop(struct agent *a)
{
    struct agent_event event = {0};
    struct agent_action action;
    for (;;) {
        event.stop = env_stop_requested();
        env_random(&event.random, sizeof event.random);
        agent_step(&a->state, &event, &action);
        if (action.what == AGENT_DO_FAIL && action.say == AGENT_SAY_FAIL) {
            snprintf(a->failure, sizeof a->failure, "%s", a->err.message);
            text_make_utf8(a->failure);
        }
        say(a, &action);
        if (action.drop && a->hold.held) {
            heartbeat_end(a->heartbeat);
            hold_drop(&a->hold, a->cache, action.keep, !action.keep);
        }
        if (action.what == AGENT_DO_EXIT) {
            return action.exit_code;
        }
        a->err = (struct err){0};
        int rc = perform(a, &action);
        event.result = rc == 0 ? AGENT_OK : rc > 0 ? AGENT_NONE : AGENT_ERROR;
        event.code = rc;
    }
}

/* --- start and end ------------------------------------------------------------------------------
 */

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
    if (!rc) {
        rc = identity_load(o->work, &a->id, e);
    }
    if (!rc && !o->token_file && a->id.token[0] == 0) {
        rc = err_set(e, ERR_INVALID,
                     "no join token: give --token-file FILE (the coordinator's data folder has "
                     "join.token), or set TACIT_TOKEN_FILE");
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
    free(lock);
    free(cache);
    return rc;
}

int agent_run(const struct agent_options *o)
{
    struct agent *a = calloc(1, sizeof *a);
    if (!a) {
        log_line("no memory");
        return err_exit_code(ERR_NO_MEMORY);
    }
    a->o = o;
    a->lock = -1;
    hold_init(&a->hold);
    arena_init(&a->answer, ANSWER_ARENA_MAX);
    int code, rc = open_parts(a, &a->err);
    if (rc) {
        log_line("%s", a->err.message);
        code = err_exit_code(rc);
    } else {
        log_line("tacit-agent %s name=%s threads=%d work=%s coordinator=%s", TACIT_VERSION, o->name,
                 o->threads, o->work, o->url);
        agent_state_init(&a->state, o->token_file != NULL, a->id.token[0] != 0);
        code = loop(a);
    }
    heartbeat_destroy(a->heartbeat);
    client_close(a->client);
    cache_close(a->cache);
    kept_destroy(a->kept);
    hold_free(&a->hold);
    arena_free(&a->answer);
    env_lock_release(a->lock);
    free(a);
    return code;
}
