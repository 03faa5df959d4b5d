#include "ops/cli/trouble.h"

#include <string.h>
#include "ops/cli/format.h"

#define DAY_MS (24 * 3600 * (int64_t)1000)
#define NAMES_SHOWN 3
#define HEARD_MS 60000 /* after its start the coordinator has heard of all that are there */
#define REASON_COLUMNS 160

struct finding {
    struct arena *a;
    const struct overview *s;
    struct trouble *list;
    uint32_t count;
};

static void add(struct finding *f, int level, const char *what, const char *fix)
{
    if (f->count == TROUBLE_MAX || !what || !fix)
        return;
    uint32_t at = f->count++;
    while (level == TROUBLE_FAULT && at > 0 && f->list[at - 1].level != TROUBLE_FAULT) {
        f->list[at] = f->list[at - 1];
        at--;
    }
    f->list[at] = (struct trouble){level, what, fix};
}

static const char *since(const struct finding *f, uint64_t at_ms)
{
    double seconds = (double)(f->s->wall_ms - (int64_t)at_ms) / 1000;
    return format_duration(f->a, seconds > 0 ? seconds : 0);
}

/* --- the coordinator -------------------------------------------------------------------------- */

static void look_at_storage(struct finding *f)
{
    const struct msg_status *t = &f->s->status;
    struct arena *a = f->a;
    if (t->storage_since)
        add(f, TROUBLE_FAULT,
            arena_printf(a, "the coordinator can't write for %s: %s", since(f, t->storage_since),
                         format_plain(a, t->storage)),
            "make room on its disk (`tacit gc` lists what it can let go); it goes on by itself");
    else if (t->disk_planned > t->disk_free)
        add(f, TROUBLE_WARN,
            arena_printf(a, "the active runs will add up to %s, and the disk has %s",
                         format_bytes(a, (double)t->disk_planned),
                         format_bytes(a, (double)t->disk_free)),
            "tacit gc");
    int64_t tls_left = (int64_t)t->tls_until_at - f->s->wall_ms;
    if (t->tls_until_at && t->tls && strcmp(t->tls, "ok") != 0)
        add(f, tls_left < 3 * DAY_MS ? TROUBLE_FAULT : TROUBLE_WARN,
            arena_printf(a, "the coordinator's certificate ends in %s; then no client believes it",
                         format_duration(a, tls_left > 0 ? (double)tls_left / 1000 : 0)),
            "tacitd tls renew --data DIR, where it runs");
    if (t->alarms)
        add(f, TROUBLE_FAULT,
            arena_printf(a, "%s alarm%s: two results of one job differ, and one is wrong",
                         format_count(a, t->alarms), t->alarms == 1 ? "" : "s"),
            "tacit alarms");
}

/* --- runs ------------------------------------------------------------------------------------- */

/* The newest error of its jobs in quarantine: "; failed 3 times: a\nb" → "b". */
static const char *last_error(struct finding *f, const char *run)
{
    for (uint32_t i = 0; i < f->s->job_count; i++) {
        const struct msg_job *j = &f->s->jobs[i];
        if (j->state != JOB_QUARANTINED || !j->reason || strcmp(j->run, run) != 0)
            continue;
        const char *line = strrchr(j->reason, '\n');
        line = line && line[1] ? line + 1 : j->reason;
        return format_cut(f->a, format_plain(f->a, line), REASON_COLUMNS);
    }
    return NULL;
}

static bool is_recent(const struct finding *f, uint64_t at_ms)
{
    return at_ms > 0 && f->s->wall_ms - (int64_t)at_ms < DAY_MS;
}

static void look_at_run(struct finding *f, const struct msg_run *r, bool nobody)
{
    struct arena *a = f->a;
    if (r->state == RUN_FAILED && is_recent(f, r->ended_at))
        add(f, TROUBLE_FAULT,
            arena_printf(a, "run %s failed %s: %s", r->name,
                         format_ago(a, r->ended_at, f->s->wall_ms),
                         r->reason ? format_cut(a, format_plain(a, r->reason), REASON_COLUMNS)
                                   : "no reason is known"),
            arena_printf(a, "tacit jobs --run %s --state quarantined; tacit retry %s", r->name,
                         r->name));
    if (r->state != RUN_ACTIVE)
        return;
    if (r->jobs_quarantined) {
        const char *error = last_error(f, r->name);
        add(f, TROUBLE_FAULT,
            arena_printf(a, "run %s: %s job%s in quarantine%s%s", r->name,
                         format_count(a, r->jobs_quarantined),
                         r->jobs_quarantined == 1 ? " is" : "s are", error ? ": " : "",
                         error ? error : ""),
            arena_printf(a, "tacit jobs --run %s --state quarantined; tacit retry %s", r->name,
                         r->name));
    }
    if (!nobody && !r->paused && r->jobs_leased == 0 && r->jobs_waiting > 0 && r->needs)
        add(f, TROUBLE_WARN,
            arena_printf(a, "run %s: nobody works for it; its agents must have the labels %s",
                         r->name, r->needs),
            arena_printf(a, "tacit agents label NAME %s", r->needs));
}

static void look_at_runs(struct finding *f, const char *url)
{
    const struct msg_status *t = &f->s->status;
    uint64_t wanting = 0;
    bool nobody = t->agents_working + t->agents_idle == 0;
    for (uint32_t i = 0; i < f->s->run_count; i++) {
        const struct msg_run *r = &f->s->runs[i];
        wanting += r->state == RUN_ACTIVE && !r->paused && r->jobs_waiting > 0;
    }
    if (nobody && wanting > 0)
        add(f, TROUBLE_FAULT,
            t->agents ? "no agent is there to work: each is silent, benched, drained or revoked"
                      : "no agent has joined yet, so nothing is computed",
            t->agents ? "tacit agents"
                      : arena_printf(f->a,
                                     "tacit-agent --coordinator %s --token-file DIR/join.token "
                                     "--work DIR2",
                                     url));
    for (uint32_t i = 0; i < f->s->run_count; i++)
        look_at_run(f, &f->s->runs[i], nobody);
}

/* --- agents ----------------------------------------------------------------------------------- */

/* "lab-1, lab-2, lab-3 and 9 others". */
struct names {
    const char *words;
    const struct msg_agent *first;
    uint32_t count;
};

static void name(struct finding *f, struct names *n, const struct msg_agent *g)
{
    if (n->count == 0)
        n->first = g;
    if (n->count++ < NAMES_SHOWN)
        n->words = arena_printf(f->a, "%s%s%s", n->words ? n->words : "", n->words ? ", " : "",
                                format_plain(f->a, g->name));
}

static const char *named(struct finding *f, const struct names *n)
{
    if (!n->words)
        return "agents";
    if (n->count <= NAMES_SHOWN)
        return n->words;
    uint32_t more = n->count - NAMES_SHOWN;
    const char *words =
        arena_printf(f->a, "%s and %u other%s", n->words, more, more == 1 ? "" : "s");
    return words ? words : n->words;
}

static void tell_silent(struct finding *f, const struct names *holding, const struct names *others)
{
    static const char fix[] = "`tacit-agent --doctor` on that machine says what is in its way";
    struct arena *a = f->a;
    if (holding->count == 1)
        add(f, TROUBLE_WARN,
            arena_printf(a, "agent %s is silent for %s, and holds a job (%s)", holding->words,
                         since(f, holding->first->seen_at), format_plain(a, holding->first->job)),
            "its job goes to another once its lease has run out, a minute after its last word");
    else if (holding->count)
        add(f, TROUBLE_WARN,
            arena_printf(a, "%u agents are silent, and hold jobs: %s", holding->count,
                         named(f, holding)),
            "their jobs go to others once their leases have run out; `tacit jobs --state silent`");
    if (others->count == 1)
        add(f, TROUBLE_WARN,
            arena_printf(a, "agent %s is silent for %s", others->words,
                         since(f, others->first->seen_at)),
            fix);
    else if (others->count)
        add(f, TROUBLE_WARN,
            arena_printf(a, "%u agents are silent: %s", others->count, named(f, others)), fix);
}

static void look_at_agents(struct finding *f)
{
    struct names holding = {0}, silent = {0}, benched = {0}, other_version = {0};
    struct arena *a = f->a;
    bool begins = f->s->status.uptime_ms < HEARD_MS;
    for (uint32_t i = 0; i < f->s->agent_count; i++) {
        const struct msg_agent *g = &f->s->agents[i];
        bool recent = is_recent(f, g->seen_at);
        if (strcmp(g->state, "silent") == 0 && (recent || g->job) && !begins)
            name(f, g->job ? &holding : &silent, g);
        if (strcmp(g->state, "benched") == 0)
            name(f, &benched, g);
        if (g->version && f->s->status.version && recent &&
            strcmp(g->version, f->s->status.version) != 0)
            name(f, &other_version, g);
    }
    tell_silent(f, &holding, &silent);
    if (benched.count == 1)
        add(f, TROUBLE_WARN,
            arena_printf(a, "agent %s is benched %s", benched.words,
                         benched.first->reason ? format_plain(a, benched.first->reason) : ""),
            arena_printf(a, "tacit agents unbench %s", benched.words));
    else if (benched.count)
        add(f, TROUBLE_WARN,
            arena_printf(a, "%u agents are benched after failures: %s", benched.count,
                         named(f, &benched)),
            "`tacit agents` says why; tacit agents unbench NAME");
    if (other_version.count)
        add(f, TROUBLE_WARN,
            arena_printf(a, "%s: %s, and the coordinator is %s", named(f, &other_version),
                         other_version.count == 1
                             ? arena_printf(a, "its version is %s", other_version.first->version)
                             : "their versions are others",
                         f->s->status.version),
            "install the same version of tacit on all machines");
}

struct trouble *trouble_find(struct arena *a, const char *url, const struct overview *s,
                             uint32_t *count)
{
    struct finding f = {.a = a, .s = s};
    *count = 0;
    f.list = arena_alloc_array(a, TROUBLE_MAX, sizeof *f.list);
    if (!f.list)
        return NULL;
    look_at_storage(&f);
    look_at_runs(&f, url);
    look_at_agents(&f);
    *count = f.count;
    return f.list;
}
