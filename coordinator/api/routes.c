#include "coordinator/api/routes.h"

#include <string.h>
#include "core/base/text.h"
#include "core/protocol/messages.h"
#include "coordinator/api/exchange.h"
#include "coordinator/api/openapi.h"
#include "coordinator/api/tokens.h"
#include "coordinator/keep/keeper.h"
#include "coordinator/lease/lease.h"
#include "coordinator/run/events.h"

#define ADMIN MAY(CALLER_ADMIN)
#define AGENT MAY(CALLER_AGENT)
#define JOIN MAY(CALLER_JOIN)
#define READERS (ADMIN | MAY(CALLER_VIEWER))

/* What the raw JSON of an operation is. */
#define RAW(m) .raw = &message_##m
#define LIST(m) .raw = &message_##m, .list = true

/* One row each. */
static const struct route routes[] = {
    {"POST", "/v1/agents", ROUTE_WRITE, JOIN, &message_join, &message_joined, lease_join, NULL,
     .about = "an agent joins, by the join token or an invitation; idempotent on its identity"},
    {"GET", "/v1/agents", ROUTE_READ, READERS, NULL, NULL, status_agents, NULL, LIST(agent),
     .about = "all agents"},
    {"POST", "/v1/agents/{name}/unbench", ROUTE_WRITE, ADMIN, NULL, &message_empty, agents_unbench,
     NULL, .about = "gives a benched agent jobs again"},

    {"POST", "/v1/agents/drain", ROUTE_WRITE, ADMIN, &message_fleet, &message_fleet_done,
     agents_drain, NULL, .about = "lets agents finish, and gives them no more"},
    {"POST", "/v1/agents/undrain", ROUTE_WRITE, ADMIN, &message_fleet, &message_fleet_done,
     agents_undrain, NULL, .about = "gives drained agents jobs again"},
    {"POST", "/v1/agents/revoke", ROUTE_WRITE, ADMIN, &message_fleet, &message_fleet_done,
     agents_revoke, NULL, .about = "takes agents' tokens away at once"},
    {"POST", "/v1/agents/restore", ROUTE_WRITE, ADMIN, &message_fleet, &message_fleet_done,
     agents_restore, NULL, .about = "trusts revoked agents again"},
    {"POST", "/v1/agents/label", ROUTE_WRITE, ADMIN, &message_fleet, &message_fleet_done,
     agents_label, NULL, .about = "labels agents"},
    {"GET", "/v1/quotas", ROUTE_READ, READERS, NULL, NULL, quotas_list, NULL, LIST(quota),
     .about = "owners of agents, and how many jobs theirs may hold at once"},
    {"POST", "/v1/quotas", ROUTE_WRITE, ADMIN, &message_quota, &message_quota, quotas_set, NULL,
     .about = "how many jobs an owner's agents may hold at once"},
    {"GET", "/v1/invitations", ROUTE_READ, READERS, NULL, NULL, invitations_list, NULL,
     LIST(invitation), .about = "all invitations"},
    {"POST", "/v1/invitations", ROUTE_WRITE, ADMIN, &message_invitation, &message_invitation,
     invitations_make, NULL, .about = "makes an invitation; its token is told this once"},
    {"POST", "/v1/invitations/{id}/end", ROUTE_WRITE, ADMIN, NULL, &message_empty, invitations_end,
     NULL, .about = "ends an invitation; agents that joined by it stay"},
    {"POST", "/v1/tokens/{name}/rotate", ROUTE_WORK, ADMIN, NULL, &message_token, tokens_rotate,
     NULL,
     .about =
         "makes another admin, join or viewer token; the one before is worth nothing any more"},
    {"GET", "/v1/session", ROUTE_SESSION, ANYWHERE, NULL, &message_session, NULL, NULL,
     .about = "who the page's session is of, if there is one"},
    {"POST", "/v1/session", ROUTE_SESSION, ANYWHERE, &message_token, &message_session, NULL, NULL,
     .about = "begins a session: shows a token, gives a cookie"},
    {"DELETE", "/v1/session", ROUTE_SESSION, ANYWHERE, NULL, NULL, NULL, NULL, .about = "ends it"},
    {"GET", "/v1/history", ROUTE_READ, READERS, NULL, NULL, events_list, NULL, LIST(event),
     .queries = QUERY_AFTER | QUERY_LIMIT | QUERY_SINCE, .about = "what happened, oldest first"},
    {"GET", "/v1/events", ROUTE_EVENTS, READERS, NULL, NULL, NULL, NULL,
     .text = "text/event-stream", .queries = QUERY_AFTER,
     .about = "a stream: what happens (event: log), and what moves (event: change)"},

    {"POST", "/v1/claims", ROUTE_CLAIM, AGENT, &message_claim, &message_grant, lease_claim, NULL,
     .about = "asks for a job, and waits for one; 204: there was none"},
    {"POST", "/v1/jobs/{id}/heartbeat", ROUTE_READ, AGENT, &message_heartbeat, &message_command,
     lease_heartbeat, NULL, .about = "keeps the lease, tells of progress, brings back a command"},
    {"POST", "/v1/jobs/{id}/complete", ROUTE_WRITE, AGENT, &message_complete, &message_completed,
     lease_complete, runs_prepare_complete,
     .about = "publishes a job's outputs, whose blobs are in the store; may grant the next job"},
    {"POST", "/v1/jobs/{id}/fail", ROUTE_WRITE, AGENT, &message_fail, &message_empty, lease_fail,
     NULL, .about = "tells of a failure"},
    {"POST", "/v1/jobs/{id}/release", ROUTE_WRITE, AGENT, &message_release, &message_empty,
     lease_release, runs_prepare_release, .about = "gives a job back, neither done nor failed"},
    {"POST", "/v1/jobs/{id}/words", ROUTE_WRITE, AGENT, &message_words, &message_empty, lease_words,
     NULL, .about = "tells how the process ended that held the job before"},
    {"GET", "/v1/jobs", ROUTE_READ, READERS, NULL, NULL, status_jobs, NULL, LIST(job),
     .queries = QUERY_RUN | QUERY_STATE | QUERY_LIMIT, .about = "jobs"},
    {"GET", "/v1/jobs/{id}", ROUTE_READ, READERS, NULL, &message_job, jobs_show, NULL,
     .about = "a job"},
    {"GET", "/v1/jobs/{id}/attempts", ROUTE_READ, READERS, NULL, NULL, jobs_attempts, NULL,
     LIST(attempt),
     .about = "all that was tried with a job, oldest first: the first few and the last"},
    {"POST", "/v1/jobs/{id}/retry", ROUTE_WRITE, ADMIN, NULL, &message_job, jobs_retry, NULL,
     .about = "takes a job out of quarantine"},

    {"POST", "/v1/datasets", ROUTE_WRITE, ADMIN, &message_dataset, &message_dataset,
     datasets_create, NULL, .about = "publishes a data set, whose blobs are in the store"},
    {"GET", "/v1/datasets", ROUTE_READ, READERS, NULL, NULL, datasets_list, NULL,
     LIST(dataset_listed), .about = "all data sets, without their shards"},
    {"POST", "/v1/datasets/{name}/delete", ROUTE_WRITE, ADMIN, &message_delete, &message_empty,
     datasets_delete, NULL, .about = "deletes a data set, unless runs need it"},
    {"GET", "/v1/datasets/{name}", ROUTE_READ, READERS, NULL, &message_dataset, datasets_show, NULL,
     .about = "a data set, with its shards"},

    {"POST", "/v1/runs", ROUTE_WRITE, ADMIN | TELLS, &message_run_create, &message_run, runs_create,
     runs_prepare_create, .about = "creates a run from a spec"},
    {"GET", "/v1/runs", ROUTE_READ, READERS, NULL, NULL, runs_list, NULL, LIST(run),
     .about = "all runs, newest first, without their models"},
    {"GET", "/v1/runs/{name}", ROUTE_READ, READERS, NULL, &message_run, runs_show, NULL,
     .about = "a run, with its models"},
    {"POST", "/v1/runs/{name}/cancel", ROUTE_WRITE, ADMIN, NULL, &message_run, runs_cancel, NULL,
     .about = "ends a run early"},
    {"POST", "/v1/runs/{name}/pause", ROUTE_WRITE, ADMIN | TELLS, &message_pause, &message_run,
     runs_pause, NULL, .about = "gives out no more of its jobs, for a while"},
    {"POST", "/v1/runs/{name}/resume", ROUTE_WRITE, ADMIN, NULL, &message_run, runs_resume, NULL,
     .about = "goes on with a paused run"},
    {"POST", "/v1/runs/{name}/extend", ROUTE_WRITE, ADMIN, &message_extend, &message_run,
     runs_extend, NULL, .about = "trains its experts on"},
    {"POST", "/v1/runs/{name}/priority", ROUTE_WRITE, ADMIN | TELLS, &message_priority,
     &message_run, runs_priority, NULL, .about = "which run gets agents first"},
    {"POST", "/v1/runs/{name}/retry", ROUTE_WRITE, ADMIN, NULL, &message_run, runs_retry, NULL,
     .about = "takes all its jobs out of quarantine"},
    {"GET", "/v1/runs/{name}/report", ROUTE_READ, READERS, NULL, NULL, runs_report, NULL,
     RAW(report), .about = "the mixture against dense models; 409 while the run goes on"},

    {"GET", "/v1/runs/{name}/curves", ROUTE_READ, READERS, NULL, NULL, runs_curves, NULL,
     LIST(curve), .queries = QUERY_LIMIT,
     .about = "the learning curve of every model, routers' first"},
    {"GET", "/v1/runs/{name}/timeline", ROUTE_READ, READERS, NULL, &message_timeline, runs_timeline,
     NULL, .queries = QUERY_LIMIT, .about = "who had which of its jobs when"},
    {"GET", "/v1/runs/{name}/parting", ROUTE_READ, READERS, NULL, &message_parting, runs_parting,
     NULL, .about = "how its corpus is parted among the experts, round by round, by source"},
    {"GET", "/v1/runs/{name}/costs", ROUTE_READ, READERS, NULL, &message_spending, runs_costs, NULL,
     .about = "what each part of it takes, and has taken so far"},
    {"GET", "/v1/runs/{name}/results", ROUTE_READ, READERS, NULL, NULL, runs_results, NULL,
     LIST(result), .queries = QUERY_AFTER | QUERY_LIMIT,
     .about = "its done jobs, by their numbers"},
    {"POST", "/v1/runs/{name}/verify", ROUTE_WRITE, ADMIN, &message_verify, &message_replays,
     runs_verify, NULL, .about = "has agents replay done jobs"},
    {"GET", "/v1/runs/{name}/replays", ROUTE_READ, READERS, NULL, NULL, runs_replays, NULL,
     LIST(replay), .queries = QUERY_AFTER | QUERY_LIMIT, .about = "replays of its jobs"},
    {"GET", "/v1/alarms", ROUTE_READ, READERS, NULL, NULL, alarms_list, NULL, LIST(alarm),
     .queries = QUERY_RUN, .about = "two results of one job, of which one is wrong"},
    {"POST", "/v1/jobs/{id}/verified", ROUTE_WRITE, ADMIN | TELLS, NULL, &message_empty,
     jobs_verified, NULL, .about = "a replay elsewhere gave the same"},
    {"POST", "/v1/runs/{name}/rollback", ROUTE_LONG_WRITE, ADMIN | TELLS, &message_rollback,
     &message_rolled_back, runs_rollback, runs_prepare_rollback,
     .about = "undoes what was published after a good step, and computes it anew"},
    {"GET", "/v1/jobs/{id}/made", ROUTE_READ, READERS, NULL, &message_made, jobs_made, NULL,
     .about = "what a done job read and made"},
    {"GET", "/v1/lineage/{name}", ROUTE_READ, READERS, NULL, &message_made, lineage_show, NULL,
     .about = "what an artifact was made of; its name is its digest, or the first digits of that"},

    {"GET", "/metrics", ROUTE_READ, READERS | MAY(CALLER_NONE), NULL, NULL, status_metrics, NULL,
     .text = "text/plain", .about = "figures for Prometheus"},
    {"GET", "/v1/transfers", ROUTE_READ, READERS, NULL, NULL, transfers_list, NULL, LIST(transfer),
     .about = "uploads that are going on"},
    {"GET", "/v1/overview", ROUTE_READ, READERS | MAY(CALLER_NONE), NULL, &message_overview,
     status_overview, NULL, .about = "figures over all, without names"},
    {"GET", "/v1/status", ROUTE_READ, READERS, NULL, &message_status, status_show, NULL,
     .about = "the coordinator in figures"},

    {"GET", "/v1/openapi.json", ROUTE_READ, READERS | AGENT | JOIN | MAY(CALLER_NONE), NULL, NULL,
     openapi_show, NULL, .text = "application/json", .about = "this description"},

    {"GET", "/v1/gc", ROUTE_WORK, READERS, NULL, &message_gc, keep_gc_show, NULL,
     .about = "blobs that nobody needs"},
    {"POST", "/v1/gc", ROUTE_WORK, ADMIN, NULL, &message_gc, keep_gc_run, NULL,
     .about = "lets blobs go that nobody needs and whose time has come"},
    {"POST", "/v1/backups", ROUTE_WORK, ADMIN, NULL, &message_backup, keep_backup_start, NULL,
     .about = "begins a backup: holds on to what is stored now"},
    {"POST", "/v1/backups/{id}/renew", ROUTE_WRITE, ADMIN | TELLS, NULL, NULL, keep_backup_renew,
     NULL, .about = "holds on for another 15 minutes"},
    {"POST", "/v1/backups/{id}/end", ROUTE_WRITE, ADMIN, NULL, NULL, keep_backup_end, NULL,
     .about = "holds on no more"},
    {"GET", "/v1/scrub", ROUTE_WORK, READERS, NULL, &message_scrub, keep_scrub_show, NULL,
     .about = "how far the scrub is"},
    {"POST", "/v1/scrub", ROUTE_WORK, ADMIN, &message_scrub_start, &message_scrub, keep_scrub_start,
     NULL, .about = "begins to compare what is stored with its names"},

    {"GET", "/v1/blobs/{digest}", ROUTE_BLOB, ADMIN | AGENT, NULL, NULL, NULL, NULL,
     .text = "application/octet-stream", .about = "the bytes; one range a request"},
    {"PUT", "/v1/blobs/{digest}", ROUTE_BLOB, ADMIN | AGENT, NULL, NULL, NULL, NULL,
     .queries = QUERY_JOB, .about = "stores bytes, whole or from an offset on"},
};
#define ROUTE_COUNT (sizeof routes / sizeof routes[0])

static bool part_matches(const char *pattern, size_t pattern_len, const char *part, size_t len,
                         struct arena *a, struct route_match *m)
{
    const char *text = arena_strndup(a, part, len);

    if (!text)
        return false;
    if (strncmp(pattern, "{name}", pattern_len) == 0) {
        m->name = text;
        return text_is_name(text);
    }
    if (strncmp(pattern, "{id}", pattern_len) == 0)
        return text_to_u64(text, &m->id) && m->id > 0 && m->id <= (uint64_t)INT64_MAX;
    return digest_from_hex(&m->digest, part, len);
}

static bool path_matches(const char *pattern, const char *path, struct arena *a,
                         struct route_match *m)
{
    while (*pattern) {
        if (*pattern != '{') {
            if (*pattern++ != *path++)
                return false;
            continue;
        }
        size_t pattern_len = strcspn(pattern, "/"), len = strcspn(path, "/");
        if (!part_matches(pattern, pattern_len, path, len, a, m))
            return false;
        pattern += pattern_len;
        path += len;
    }
    return *path == 0;
}

const struct route *route_find(const char *method, const char *path, struct arena *a,
                               struct route_match *match, const char **allow)
{
    const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;

    *allow = NULL;
    for (size_t i = 0; i < ROUTE_COUNT; i++) {
        const struct route *r = &routes[i];
        memset(match, 0, sizeof *match);
        if (!path_matches(r->pattern, path, a, match))
            continue;
        if (strcmp(r->method, wanted) == 0)
            return r;
        const char *head = strcmp(r->method, "GET") == 0 ? "GET, HEAD" : r->method;
        *allow = *allow ? arena_printf(a, "%s, %s", *allow, head) : head;
    }
    return NULL;
}

const struct route *route_at(size_t i)
{
    return i < ROUTE_COUNT ? &routes[i] : NULL;
}
