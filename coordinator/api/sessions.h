/* Sessions of the web page: who has shown a token gets a cookie, a secret of 256 random bits, and
 * is known by it until it ends. They are in memory: a restart ends all. And how often somebody who
 * shows wrong tokens may try. All of it under the caller's mutex. */
#ifndef TACIT_COORDINATOR_API_SESSIONS_H
#define TACIT_COORDINATOR_API_SESSIONS_H

#include "core/base/digest.h"
#include "coordinator/service.h"

#define SESSIONS_MAX 256                        /* of more, the one longest unused ends */
#define SESSION_IDLE_MS (12 * 3600 * 1000ll)    /* unused for so long, it is over */
#define SESSION_MAX_MS (7 * 24 * 3600 * 1000ll) /* and in any case after so long */
#define GUESSERS_MAX 256                        /* addresses of which wrong tokens are counted */
#define GUESSES 5                               /* may be wrong at once; then */
#define GUESS_MS 10000                          /* one more each so many milliseconds */

struct session {
    uint64_t number;             /* since the start; 0: there is none here */
    struct digest secret, token; /* of the cookie's value; of the token that began it */
    enum caller caller;
    int64_t began_ms, used_ms;
};

struct guesser {
    char client[48];
    int64_t paid_ms; /* when all of its wrong tokens will be forgotten */
};

struct sessions {
    struct session all[SESSIONS_MAX];
    struct guesser guessers[GUESSERS_MAX];
    uint64_t begun;
};

/* Its number. */
uint64_t sessions_begin(struct sessions *s, const struct session *what, int64_t now_ms);
/* Begins its idle time anew. NULL where there is none, or not any more. */
const struct session *sessions_use(struct sessions *s, const struct digest *secret, int64_t now_ms);
/* The same of one that is known; false where it has ended. */
bool sessions_touch(struct sessions *s, uint64_t number, int64_t now_ms);
void sessions_end(struct sessions *s, uint64_t number);

/* Milliseconds until this address may show a token; 0: now. */
int64_t sessions_guess_wait(const struct sessions *s, const char *client, int64_t now_ms);
void sessions_guessed_wrong(struct sessions *s, const char *client, int64_t now_ms);

#endif
