#include "coordinator/store/health.h"

#include <stdio.h>
#include <string.h>
#include "core/env/clock.h"
#include "coordinator/store/store_parts.h"

/* On a disk that is full to the brim, small writes go well between large ones that fail. */
#define HEALTH_SETTLE_MS 1000

void health_init(struct health *h)
{
    memset(h, 0, sizeof *h);
    env_mutex_init(&h->mutex);
}

void health_free(struct health *h)
{
    env_mutex_destroy(&h->mutex);
}

void health_note(struct health *h, enum health_side side, int code, const char *message)
{
    if (code && code != ERR_NO_SPACE && code != ERR_IO)
        return;
    int64_t now = env_monotonic_ms();
    env_mutex_lock(&h->mutex);
    if (!code && h->sides[side].code && now - h->sides[side].failed_ms < HEALTH_SETTLE_MS) {
        env_mutex_unlock(&h->mutex);
        return;
    }
    if (code && !h->sides[side].code)
        h->sides[side].since_ms = env_wall_ms();
    if (code)
        h->sides[side].failed_ms = now;
    h->sides[side].code = code;
    snprintf(h->sides[side].message, sizeof h->sides[side].message, "%s", code ? message : "");
    env_mutex_unlock(&h->mutex);
}

bool health_is_bad(struct health *h, enum health_side side)
{
    env_mutex_lock(&h->mutex);
    bool bad = h->sides[side].code != 0;
    env_mutex_unlock(&h->mutex);
    return bad;
}

int store_health(struct store *s, char *words, size_t size, int64_t *since_ms)
{
    struct health *h = &s->health;
    int code = 0;
    *since_ms = 0;
    snprintf(words, size, "ok");
    env_mutex_lock(&h->mutex);
    for (int i = 0; i < HEALTH_SIDES && !code; i++) {
        if (!h->sides[i].code)
            continue;
        code = h->sides[i].code;
        *since_ms = h->sides[i].since_ms;
        snprintf(words, size, "%s: %s", code == ERR_NO_SPACE ? "full" : "cannot write",
                 h->sides[i].message);
    }
    env_mutex_unlock(&h->mutex);
    return code;
}
