#include "coordinator/api/sessions.h"

#include <stdio.h>
#include <string.h>

uint64_t sessions_begin(struct sessions *s, const struct session *what, int64_t now_ms)
{
    struct session *place = &s->all[0];

    for (int i = 0; i < SESSIONS_MAX && place->number; i++)
        if (!s->all[i].number || s->all[i].used_ms < place->used_ms)
            place = &s->all[i];
    *place = *what;
    place->number = ++s->begun;
    place->began_ms = place->used_ms = now_ms;
    return place->number;
}

static bool touch(struct session *one, int64_t now_ms)
{
    if (now_ms - one->used_ms > SESSION_IDLE_MS || now_ms - one->began_ms > SESSION_MAX_MS)
        one->number = 0;
    one->used_ms = now_ms;
    return one->number != 0;
}

const struct session *sessions_use(struct sessions *s, const struct digest *secret, int64_t now_ms)
{
    /* Digests are compared: how long that takes says nothing of the secret. */
    for (int i = 0; i < SESSIONS_MAX; i++)
        if (s->all[i].number && memcmp(&s->all[i].secret, secret, sizeof *secret) == 0)
            return touch(&s->all[i], now_ms) ? &s->all[i] : NULL;
    return NULL;
}

bool sessions_touch(struct sessions *s, uint64_t number, int64_t now_ms)
{
    for (int i = 0; i < SESSIONS_MAX; i++)
        if (s->all[i].number == number)
            return touch(&s->all[i], now_ms);
    return false;
}

void sessions_end(struct sessions *s, uint64_t number)
{
    for (int i = 0; i < SESSIONS_MAX; i++)
        if (s->all[i].number == number)
            s->all[i].number = 0;
}

static const struct guesser *find(const struct sessions *s, const char *client)
{
    for (int i = 0; i < GUESSERS_MAX; i++)
        if (strcmp(s->guessers[i].client, client) == 0)
            return &s->guessers[i];
    return NULL;
}

int64_t sessions_guess_wait(const struct sessions *s, const char *client, int64_t now_ms)
{
    const struct guesser *g = find(s, client);
    int64_t wait = g ? g->paid_ms - now_ms - (GUESSES - 1) * GUESS_MS : 0;

    return wait > 0 ? wait : 0;
}

void sessions_guessed_wrong(struct sessions *s, const char *client, int64_t now_ms)
{
    struct guesser *g = &s->guessers[0];
    const struct guesser *known = find(s, client);

    for (int i = 0; i < GUESSERS_MAX; i++)
        if (s->guessers[i].paid_ms < g->paid_ms)
            g = &s->guessers[i];
    if (known)
        g = &s->guessers[known - s->guessers];
    else
        g->paid_ms = 0;
    snprintf(g->client, sizeof g->client, "%s", client);
    g->paid_ms = (g->paid_ms > now_ms ? g->paid_ms : now_ms) + GUESS_MS;
}
