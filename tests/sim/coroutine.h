/* Stacks that take turns: the bare switch, knowing nothing of who runs when. */
#ifndef TACIT_SIM_COROUTINE_H
#define TACIT_SIM_COROUTINE_H

#include <stddef.h>

#define COROUTINE_STACK (512u << 10) /* pages are taken as they are touched */

struct coroutine {
    void *sp; /* where it stands, while it does not run */
    char *stack;
};

/* fn(arg) runs at the first switch to it, and must never return: it ends by switching away for
 * good. Stacks are reused. */
void coroutine_create(struct coroutine *c, void (*fn)(void *arg), void *arg);
/* Not of the one that runs. */
void coroutine_destroy(struct coroutine *c);
void coroutine_switch(struct coroutine *from, struct coroutine *to);

#endif
