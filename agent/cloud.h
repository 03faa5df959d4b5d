/* What clouds tell a machine before they take it away, by their metadata services:
 *   AWS    PUT /latest/api/token, then GET /latest/meta-data/spot/instance-action with that token:
 *          404, or {"action": "terminate", "time": "2026-01-31T08:22:00Z"}
 *   GCP    GET /computeMetadata/v1/instance/preempted: FALSE, or TRUE, half a minute before the
 * end; asked again with last_etag and wait_for_change it answers when that changes Azure  GET
 * /metadata/scheduledevents: {"Events": [{"EventType": "Preempt", "Resources": ["vm"], "NotBefore":
 * "Mon, 19 Sep 2026 18:29:47 GMT"} …]}, of all machines of the set (AWS, "Spot Instance
 * interruption notices" and IMDSv2; Google Cloud, "Preemptible VM instances"; Azure, "Scheduled
 * Events"). */
#ifndef TACIT_AGENT_CLOUD_H
#define TACIT_AGENT_CLOUD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "core/base/err.h"

enum cloud { CLOUD_NONE, CLOUD_AWS, CLOUD_GCP, CLOUD_AZURE };
/* "aws", "gcp", "azure"; CLOUD_NONE for other words. */
enum cloud cloud_of(const char *word);

struct cloud_notice {
    bool given;
    char words[96];      /* "AWS: terminate at 10:31:07" */
    int64_t deadline_ms; /* when the machine goes, since 1970; 0: not told */
};

/* The answers' bodies. ERR_FORMAT where one makes no sense. machine: this one's name; "": unknown,
 * then an event of any machine counts. */
TACIT_MUST_CHECK int cloud_read_aws(const char *body, size_t len, struct cloud_notice *n,
                                    struct err *e);
TACIT_MUST_CHECK int cloud_read_gcp(const char *body, size_t len, int64_t wall_ms,
                                    struct cloud_notice *n, struct err *e);
TACIT_MUST_CHECK int cloud_read_azure(const char *body, size_t len, const char *machine,
                                      struct cloud_notice *n, struct err *e);

struct cloud_watch;

/* url: of a server that speaks the cloud's format; NULL: the cloud's own. */
TACIT_MUST_CHECK int cloud_watch_create(struct cloud_watch **out, enum cloud cloud, const char *url,
                                        struct err *e);
void cloud_watch_destroy(struct cloud_watch *w); /* accepts NULL */
/* Asks once; may take some seconds. ending: asked meanwhile, true ends it with ERR_STOPPED, as a
 * stop request does. */
TACIT_MUST_CHECK int cloud_watch_ask(struct cloud_watch *w, bool (*ending)(void *arg), void *arg,
                                     struct cloud_notice *n, struct err *e);

#endif
