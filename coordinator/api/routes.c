#include "coordinator/api/routes.h"

#include <string.h>
#include "core/base/text.h"
#include "core/protocol/messages.h"
#include "coordinator/api/tokens.h"
#include "coordinator/keep/keeper.h"
#include "coordinator/lease/lease.h"
#include "coordinator/run/events.h"

#define ADMIN MAY(CALLER_ADMIN)
#define AGENT MAY(CALLER_AGENT)
#define JOIN MAY(CALLER_JOIN)
#define READERS (ADMIN | MAY(CALLER_VIEWER))

/* One row each. */
static const struct route routes[] = {
    {"POST", "/v1/agents", ROUTE_WRITE, JOIN, &message_join, &message_joined, lease_join, NULL},
    {"GET", "/v1/agents", ROUTE_READ, READERS, NULL, NULL, status_agents, NULL},
    {"POST", "/v1/agents/{name}/unbench", ROUTE_WRITE, ADMIN, NULL, &message_empty, agents_unbench,
     NULL},

    {"POST", "/v1/agents/drain", ROUTE_WRITE, ADMIN, &message_fleet, &message_fleet_done,
     agents_drain, NULL},
    {"POST", "/v1/agents/undrain", ROUTE_WRITE, ADMIN, &message_fleet, &message_fleet_done,
     agents_undrain, NULL},
    {"POST", "/v1/agents/revoke", ROUTE_WRITE, ADMIN, &message_fleet, &message_fleet_done,
     agents_revoke, NULL},
    {"POST", "/v1/agents/restore", ROUTE_WRITE, ADMIN, &message_fleet, &message_fleet_done,
     agents_restore, NULL},
    {"POST", "/v1/agents/label", ROUTE_WRITE, ADMIN, &message_fleet, &message_fleet_done,
     agents_label, NULL},
    {"GET", "/v1/quotas", ROUTE_READ, READERS, NULL, NULL, quotas_list, NULL},
    {"POST", "/v1/quotas", ROUTE_WRITE, ADMIN, &message_quota, &message_quota, quotas_set, NULL},
    {"GET", "/v1/invitations", ROUTE_READ, READERS, NULL, NULL, invitations_list, NULL},
    {"POST", "/v1/invitations", ROUTE_WRITE, ADMIN, &message_invitation, &message_invitation,
     invitations_make, NULL},
    {"POST", "/v1/invitations/{id}/end", ROUTE_WRITE, ADMIN, NULL, &message_empty, invitations_end,
     NULL},
    {"POST", "/v1/tokens/{name}/rotate", ROUTE_WORK, ADMIN, NULL, &message_token, tokens_rotate,
     NULL},
    {"GET", "/v1/session", ROUTE_SESSION, ANYWHERE, NULL, &message_session, NULL, NULL},
    {"POST", "/v1/session", ROUTE_SESSION, ANYWHERE, &message_token, &message_session, NULL, NULL},
    {"DELETE", "/v1/session", ROUTE_SESSION, ANYWHERE, NULL, NULL, NULL, NULL},
    {"GET", "/v1/history", ROUTE_READ, READERS, NULL, NULL, events_list, NULL},

    {"POST", "/v1/claims", ROUTE_CLAIM, AGENT, &message_claim, &message_grant, lease_claim, NULL},
    {"POST", "/v1/jobs/{id}/heartbeat", ROUTE_READ, AGENT, &message_heartbeat, &message_command,
     lease_heartbeat, NULL},
    {"POST", "/v1/jobs/{id}/complete", ROUTE_WRITE, AGENT, &message_complete, &message_completed,
     lease_complete, runs_prepare_complete},
    {"POST", "/v1/jobs/{id}/fail", ROUTE_WRITE, AGENT, &message_fail, &message_empty, lease_fail,
     NULL},
    {"POST", "/v1/jobs/{id}/release", ROUTE_WRITE, AGENT, &message_release, &message_empty,
     lease_release, runs_prepare_release},
    {"POST", "/v1/jobs/{id}/words", ROUTE_WRITE, AGENT, &message_words, &message_empty, lease_words,
     NULL},
    {"GET", "/v1/jobs", ROUTE_READ, READERS, NULL, NULL, status_jobs, NULL},
    {"GET", "/v1/jobs/{id}", ROUTE_READ, READERS, NULL, &message_job, jobs_show, NULL},
    {"GET", "/v1/jobs/{id}/attempts", ROUTE_READ, READERS, NULL, NULL, jobs_attempts, NULL},
    {"POST", "/v1/jobs/{id}/retry", ROUTE_WRITE, ADMIN, NULL, &message_job, jobs_retry, NULL},

    {"POST", "/v1/datasets", ROUTE_WRITE, ADMIN, &message_dataset, &message_dataset,
     datasets_create, NULL},
    {"GET", "/v1/datasets", ROUTE_READ, READERS, NULL, NULL, datasets_list, NULL},
    {"POST", "/v1/datasets/{name}/delete", ROUTE_WRITE, ADMIN, &message_delete, &message_empty,
     datasets_delete, NULL},
    {"GET", "/v1/datasets/{name}", ROUTE_READ, READERS, NULL, &message_dataset, datasets_show,
     NULL},

    {"POST", "/v1/runs", ROUTE_WRITE, ADMIN | TELLS, &message_run_create, &message_run, runs_create,
     runs_prepare_create},
    {"GET", "/v1/runs", ROUTE_READ, READERS, NULL, NULL, runs_list, NULL},
    {"GET", "/v1/runs/{name}", ROUTE_READ, READERS, NULL, &message_run, runs_show, NULL},
    {"POST", "/v1/runs/{name}/cancel", ROUTE_WRITE, ADMIN, NULL, &message_run, runs_cancel, NULL},
    {"POST", "/v1/runs/{name}/pause", ROUTE_WRITE, ADMIN | TELLS, &message_pause, &message_run,
     runs_pause, NULL},
    {"POST", "/v1/runs/{name}/resume", ROUTE_WRITE, ADMIN, NULL, &message_run, runs_resume, NULL},
    {"POST", "/v1/runs/{name}/extend", ROUTE_WRITE, ADMIN, &message_extend, &message_run,
     runs_extend, NULL},
    {"POST", "/v1/runs/{name}/priority", ROUTE_WRITE, ADMIN | TELLS, &message_priority,
     &message_run, runs_priority, NULL},
    {"POST", "/v1/runs/{name}/retry", ROUTE_WRITE, ADMIN, NULL, &message_run, runs_retry, NULL},
    {"GET", "/v1/runs/{name}/report", ROUTE_READ, READERS, NULL, NULL, runs_report, NULL},

    {"GET", "/v1/runs/{name}/curves", ROUTE_READ, READERS, NULL, NULL, runs_curves, NULL},
    {"GET", "/v1/runs/{name}/results", ROUTE_READ, READERS, NULL, NULL, runs_results, NULL},
    {"POST", "/v1/runs/{name}/verify", ROUTE_WRITE, ADMIN, &message_verify, &message_replays,
     runs_verify, NULL},
    {"GET", "/v1/runs/{name}/replays", ROUTE_READ, READERS, NULL, NULL, runs_replays, NULL},
    {"GET", "/v1/alarms", ROUTE_READ, READERS, NULL, NULL, alarms_list, NULL},
    {"POST", "/v1/jobs/{id}/verified", ROUTE_WRITE, ADMIN | TELLS, NULL, &message_empty,
     jobs_verified, NULL},
    {"POST", "/v1/runs/{name}/rollback", ROUTE_LONG_WRITE, ADMIN | TELLS, &message_rollback,
     &message_rolled_back, runs_rollback, runs_prepare_rollback},
    {"GET", "/v1/jobs/{id}/made", ROUTE_READ, READERS, NULL, &message_made, jobs_made, NULL},
    {"GET", "/v1/lineage/{name}", ROUTE_READ, READERS, NULL, &message_made, lineage_show, NULL},

    {"GET", "/metrics", ROUTE_READ, READERS | MAY(CALLER_NONE), NULL, NULL, status_metrics, NULL},
    {"GET", "/v1/status", ROUTE_READ, READERS, NULL, &message_status, status_show, NULL},

    {"GET", "/v1/gc", ROUTE_WORK, READERS, NULL, &message_gc, keep_gc_show, NULL},
    {"POST", "/v1/gc", ROUTE_WORK, ADMIN, NULL, &message_gc, keep_gc_run, NULL},
    {"POST", "/v1/backups", ROUTE_WORK, ADMIN, NULL, &message_backup, keep_backup_start, NULL},
    {"POST", "/v1/backups/{id}/renew", ROUTE_WRITE, ADMIN | TELLS, NULL, NULL, keep_backup_renew,
     NULL},
    {"POST", "/v1/backups/{id}/end", ROUTE_WRITE, ADMIN, NULL, NULL, keep_backup_end, NULL},
    {"GET", "/v1/scrub", ROUTE_WORK, READERS, NULL, &message_scrub, keep_scrub_show, NULL},
    {"POST", "/v1/scrub", ROUTE_WORK, ADMIN, &message_scrub_start, &message_scrub, keep_scrub_start,
     NULL},

    {"GET", "/v1/blobs/{digest}", ROUTE_BLOB, ADMIN | AGENT, NULL, NULL, NULL, NULL},
    {"PUT", "/v1/blobs/{digest}", ROUTE_BLOB, ADMIN | AGENT, NULL, NULL, NULL, NULL},
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
