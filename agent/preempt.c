#include "agent/preempt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "agent/agent_log.h"
#include "core/env/child.h"
#include "core/env/clock.h"
#include "core/env/file.h"
#include "core/env/last_words.h"
#include "core/env/process.h"
#include "core/env/thread.h"

#define LOOK_MS 1000        /* how soon a stop is seen here; loops poll for it themselves */
#define FILE_MS 1000        /* a look at the file and the command */
#define CLOUD_MS 2000       /* between questions to the metadata service */
#define CLOUD_AGAIN_MS 5000 /* after one that failed */
#define TICK_MS 10000
#define GRACE_LEAST_MS 2000 /* a notice whose time has passed still gets a try */
#define CANT_RUN 126        /* a shell's exit code: 126 not executable, 127 not found */

struct preempt {
    struct preempt_options o;
    void (*tick)(void *arg);
    void *tick_arg;
    struct env_thread thread;
    /* The thread's alone. */
    struct env_child child;
    struct cloud_watch *cloud;
    bool cloud_fails;
    int64_t file_ms, cloud_ms, tick_ms;
    /* Guards what follows; nothing is called under it. */
    struct env_mutex lock;
    struct env_cond wake; /* the end */
    bool ending, noticed;
    struct preempt_notice notice;
};

static void note(struct preempt *p, const char *words, int64_t at_most_ms, bool broken)
{
    int64_t grace = p->o.grace_ms;
    if (at_most_ms > 0 && at_most_ms < grace) {
        grace = at_most_ms > GRACE_LEAST_MS ? at_most_ms : GRACE_LEAST_MS;
    }
    env_mutex_lock(&p->lock);
    if (!p->noticed) {
        p->noticed = true;
        snprintf(p->notice.words, sizeof p->notice.words, "%s", words);
        p->notice.deadline_ms = env_monotonic_ms() + grace;
        p->notice.by_hand = !strcmp(words, "SIGINT");
        p->notice.broken = broken;
    }
    env_mutex_unlock(&p->lock);
    env_stop_request();
}

void preempt_notice(struct preempt *p, struct preempt_notice *out)
{
    const char *signal = env_stop_signal();
    note(p, signal ? signal : "a request", 0, false); /* unless it was noticed before */
    env_mutex_lock(&p->lock);
    *out = p->notice;
    env_mutex_unlock(&p->lock);
}

static bool is_ending(void *arg)
{
    struct preempt *p = arg;
    env_mutex_lock(&p->lock);
    bool ending = p->ending;
    env_mutex_unlock(&p->lock);
    return ending;
}

static void look_at_command(struct preempt *p)
{
    char words[128];
    int code;
    if (!env_child_ended(&p->child, &code)) {
        return;
    }
    snprintf(words, sizeof words, "the command '%.60s' ended with exit code %d", p->o.command,
             code);
    note(p, words, 0, code == CANT_RUN || code == CANT_RUN + 1);
}

static void look_at_file(struct preempt *p)
{
    char words[128];
    if (p->o.file && env_file_exists(p->o.file)) {
        snprintf(words, sizeof words, "the file '%.80s' is there", p->o.file);
        note(p, words, 0, false);
    }
}

static void look_here(struct preempt *p)
{
    int64_t now = env_monotonic_ms();
    if (now >= p->file_ms) {
        p->file_ms = now + FILE_MS;
        look_at_file(p);
        look_at_command(p);
    }
}

/* Asked while the cloud lets its answer wait: what can be seen here is seen in time nevertheless.
 */
static bool is_cut(void *arg)
{
    look_here(arg);
    return env_stop_requested() || is_ending(arg);
}

static void ask_cloud(struct preempt *p)
{
    struct cloud_notice n;
    struct err e = {0};
    int rc = cloud_watch_ask(p->cloud, is_cut, p, &n, &e);
    p->cloud_ms = env_monotonic_ms() + (rc ? CLOUD_AGAIN_MS : CLOUD_MS);
    if (rc && rc != ERR_STOPPED && !p->cloud_fails) {
        log_warn("no notice of a preemption would be seen: %s; asking on", e.message);
    } else if (!rc && p->cloud_fails) {
        log_info("the cloud's notices can be asked for again");
    }
    p->cloud_fails = rc && rc != ERR_STOPPED;
    if (!rc && n.given) {
        note(p, n.words, n.deadline_ms ? n.deadline_ms - env_wall_ms() : 0, false);
    }
}

static void look(struct preempt *p, int64_t now)
{
    if (now >= p->tick_ms) {
        p->tick_ms = now + TICK_MS;
        if (p->tick) {
            p->tick(p->tick_arg);
        }
    }
    look_here(p);
    if (p->cloud && now >= p->cloud_ms && !env_stop_requested()) {
        ask_cloud(p);
    }
}

/* Once the grace is over: whoever hangs would be killed without a word. Returns when it is. */
static int64_t end_if_over(struct preempt *p)
{
    struct preempt_notice n;
    preempt_notice(p, &n);
    if (env_monotonic_ms() >= n.deadline_ms) {
        log_error("the grace is over: ending without having given back what is held");
        env_last_words_say("did not end within its grace");
        env_end_now(p->o.exit_code);
    }
    return n.deadline_ms;
}

static void preempt_main(void *arg)
{
    struct preempt *p = arg;
    while (!is_ending(p)) {
        int64_t until = env_monotonic_ms() + LOOK_MS;
        if (env_stop_requested()) {
            until = end_if_over(p);
        } else {
            look(p, env_monotonic_ms());
        }
        env_mutex_lock(&p->lock);
        if (!p->ending) {
            (void)env_cond_wait_until(&p->wake, &p->lock, until);
        }
        env_mutex_unlock(&p->lock);
    }
}

int preempt_create(struct preempt **out, const struct preempt_options *o, void (*tick)(void *arg),
                   void *arg, struct err *e)
{
    *out = NULL;
    struct preempt *p = calloc(1, sizeof *p);
    if (!p) {
        return err_set(e, ERR_NO_MEMORY, "no memory to watch for notices");
    }
    p->o = *o;
    p->tick = tick;
    p->tick_arg = arg;
    env_mutex_init(&p->lock);
    env_cond_init(&p->wake);
    int rc = o->cloud ? cloud_watch_create(&p->cloud, o->cloud, o->url, e) : 0;
    if (!rc && o->command) {
        rc = env_child_start(&p->child, o->command, e);
    }
    if (!rc) {
        rc =
            env_thread_start(&p->thread, preempt_main, p, "the thread that watches for notices", e);
    }
    if (rc) {
        env_child_stop(&p->child);
        cloud_watch_destroy(p->cloud);
        env_cond_destroy(&p->wake);
        env_mutex_destroy(&p->lock);
        free(p);
        return rc;
    }
    *out = p;
    return 0;
}

void preempt_destroy(struct preempt *p)
{
    if (!p) {
        return;
    }
    env_mutex_lock(&p->lock);
    p->ending = true;
    env_cond_signal(&p->wake);
    env_mutex_unlock(&p->lock);
    env_thread_join(&p->thread);
    env_child_stop(&p->child);
    cloud_watch_destroy(p->cloud);
    env_cond_destroy(&p->wake);
    env_mutex_destroy(&p->lock);
    free(p);
}
