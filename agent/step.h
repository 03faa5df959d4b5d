/* The agent's decisions: a pure function of its state and of what happened last. The shell
 * (agent.c) does what is asked, one thing at a time, and reports back; time, randomness and the
 * network are its business, so that tests and the simulation can play any history.
 *
 *   join → words → spool → claim → fetch → run → upload → complete → claim (or the chain's next
 *   link: fetch) …
 *
 * First it tells how the process before it ended, where that left no word of its own, and delivers
 * what that had finished. While the coordinator is away, whatever was being done is tried again for
 * ever, with backoff and jitter; a job in training does not notice. Only an address that never
 * answered, and can't before somebody changes a setting (ERR_CONFIG), is given up after a few
 * tries. A stop (SIGTERM, a preemption) lets a running job save, delivers what is finished in one
 * last try, hands over what is half done where there is time, gives the lease back, and ends with
 * 0. Of a link that is half done nothing is published: the run's plan names whole links alone. What
 * remains of it is the save: in the coordinator's store, or here for the day this agent is granted
 * the job again.
 *
 * A full disk here is nobody's failure: room is made, and waited for, for ever. A disk that does
 * not read or write is this machine's: after some tries the job goes back and the agent ends. */
#ifndef TACIT_AGENT_STEP_H
#define TACIT_AGENT_STEP_H

#include <stdbool.h>
#include <stdint.h>

enum agent_do {
    AGENT_DO_JOIN,
    AGENT_DO_WORDS, /* how the process before ended, if it did not say; none: it did */
    AGENT_DO_SPOOL, /* ok: a finished result of before is in hand; none: there is none */
    AGENT_DO_CLAIM, /* ok: a job is held; none: no work for now */
    AGENT_DO_FETCH, /* the spec and the inputs of the job into the cache */
    AGENT_DO_RUN,
    AGENT_DO_UPLOAD,   /* the outputs */
    AGENT_DO_COMPLETE, /* ok: the next link is held; none: nothing is */
    AGENT_DO_FAIL,     /* tell that the job failed */
    AGENT_DO_HANDOVER, /* upload the save of a job that was cut short; none: it does not fit */
    AGENT_DO_RELEASE,  /* give the job back, with the save that was handed over */
    AGENT_DO_WAIT,     /* wait_ms, or until a stop is requested */
    AGENT_DO_EXIT,     /* with exit_code */
};

/* A line for the person who looks at the log. */
enum agent_say {
    AGENT_SAY_NOTHING,
    AGENT_SAY_AWAY,    /* first failure: the coordinator can't be reached; trying on */
    AGENT_SAY_BACK,    /* the first answer after that */
    AGENT_SAY_REJOIN,  /* the token is not accepted any more */
    AGENT_SAY_DROP,    /* the job was given to another, or cancelled */
    AGENT_SAY_FAIL,    /* the job failed, as the error says */
    AGENT_SAY_STOP,    /* a stop was requested */
    AGENT_SAY_FULL,    /* no room on this machine's disk; waiting for some */
    AGENT_SAY_ROOM,    /* there is room again */
    AGENT_SAY_BROKEN,  /* this machine's disk does not read or write */
    AGENT_SAY_BENCHED, /* the coordinator gives this agent no jobs, as the error says */
    AGENT_SAY_DRAINED, /* an operator wants it to have none, as the error says */
    AGENT_SAY_GIVE,    /* the job is handed over, as the coordinator asked */
    AGENT_SAY_END,     /* nothing can be done about this error */
};

enum agent_result { AGENT_OK, AGENT_NONE, AGENT_ERROR };

struct agent_event {
    enum agent_result result; /* of what was asked; ignored at the first step */
    int code;                 /* AGENT_ERROR: ERR_…; ERR_STOPPED: by a stop or a dropped lease */
    bool stop;                /* a stop is requested */
    bool hand_over;           /* the coordinator asked for the job back */
    uint32_t random;          /* for jitter */
    int64_t retry_after_ms;   /* the other side's wish, with an error; 0: none */
};

struct agent_action {
    enum agent_do what;
    enum agent_say say;
    bool drop;      /* first forget the job held (its lease is gone, or it is done for) */
    bool keep;      /* drop: its saves stay, since this agent may be granted it again */
    bool settings;  /* AGENT_DO_FAIL: a failure of the run's settings, not of the machine */
    bool probe;     /* AGENT_DO_CLAIM: do not wait for work, so that a return is noticed at once, or
                       that nothing more is granted to a claim whose agent has gone */
    bool make_room; /* first remove what can be fetched again */
    bool last_words; /* a stop was requested: this exchange goes on nevertheless */
    int64_t wait_ms;
    int exit_code;
};

struct agent_state {
    bool can_join;  /* there is a join token */
    bool has_token; /* there is an agent's token from before */
    bool started, waiting, stopping, settings;
    enum agent_do doing;  /* what is being done, or will be after the wait or join */
    enum agent_do resume; /* what a join was put in front of */
    bool heard;           /* the coordinator has answered this process */
    uint32_t misfits;     /* ERR_CONFIG in a row */
    bool rejoined;        /* the token is new since the last success */
    uint32_t away;        /* failures in a row to reach the coordinator */
    int away_code;        /* of the last of them */
    uint32_t bad_digests; /* downloads in a row whose digest was wrong */
    uint32_t bad_uploads; /* uploads in a row that did not come to the store as they were sent */
    bool benched;         /* the last claim was refused for that, or for being drained */
    bool giving;          /* the job in hand goes back, and then the next is asked for */
    uint32_t bad_jobs;    /* failed jobs in a row: this machine may be at fault */
    bool spooled;         /* there may be finished results of before */
    uint32_t full;        /* times in a row that there was no room on this machine's disk */
    uint32_t broken;      /* times in a row that it did not read or write */
    int exit_code;        /* once the job in hand is given back */
};

void agent_state_init(struct agent_state *s, bool can_join, bool has_token);
void agent_step(struct agent_state *s, const struct agent_event *event,
                struct agent_action *action);

#endif
