#include "ops/cli/scrub_wait.h"

#include <string.h>
#include "core/env/process.h"
#include "ops/cli/upload.h"

#define POLL_MS 500

struct scrubbing {
    struct cli *cli;
    struct arena *arena;
    struct progress progress;
    struct upload trying;
    struct msg_scrub_start start;
    struct msg_scrub *now;
    bool begun;
};

static int ask_once(void *arg, struct err *e)
{
    struct scrubbing *s = arg;
    bool get = s->begun;
    arena_reset(s->arena);
    return client_call(s->cli->client, get ? "GET" : "POST", "/v1/scrub",
                       get ? NULL : &message_scrub_start, get ? NULL : &s->start, &message_scrub,
                       s->now, s->arena, 0, e);
}

static bool is_ours(const struct scrubbing *s)
{
    const char *run = s->now->run;
    return run && s->start.run ? strcmp(run, s->start.run) == 0 : !run && !s->start.run;
}

/* A coordinator that was restarted meanwhile knows nothing of it: then it is begun anew. So it is
 * once another's has ended. */
static int follow(struct scrubbing *s, struct err *e)
{
    uint64_t number = 0;
    for (;;) {
        int rc = upload_persist(&s->trying, ask_once, s, e);
        if (rc)
            return rc;
        bool other = !is_ours(s);
        if (s->begun && (s->now->number != number || (other && !s->now->running))) {
            s->begun = false;
            continue;
        }
        number = s->now->number;
        s->begun = true;
        progress_update(&s->progress, other ? "another scrub, waited for" : "compared",
                        s->now->bytes, s->now->bytes_total, "bytes");
        if (!s->now->running && !other)
            return s->now->error ? err_set(e, ERR_IO, "the coordinator gave up: %s", s->now->error)
                                 : 0;
        if (env_stop_wait_ms(POLL_MS))
            return err_set(e, ERR_STOPPED, "no longer watching; the coordinator goes on");
    }
}

int scrub_follow(struct cli *cli, const char *run, struct arena *a, struct msg_scrub *out,
                 struct err *e)
{
    struct scrubbing s = {.cli = cli, .arena = a, .start = {run}, .now = out};
    progress_init(&s.progress);
    s.trying = (struct upload){.cli = cli, .progress = &s.progress};
    int rc = follow(&s, e);
    progress_finish(&s.progress);
    return rc;
}
