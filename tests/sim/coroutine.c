#include "tests/sim/coroutine.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

/* Free stacks, each holding the address of the next in its lowest word. */
static char *idle;

static char *stack_take(void)
{
    const size_t guard = 4096;
    char *s = idle;

    if (s) {
        idle = *(char **)(void *)s;
        return s;
    }
    s = mmap(NULL, guard + COROUTINE_STACK, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (s == MAP_FAILED || mprotect(s, guard, PROT_NONE)) {
        perror("no room for another stack");
        abort();
    }
    return s + guard;
}

static void stack_give(char *s)
{
    *(char **)(void *)s = idle;
    idle = s;
}

#if defined(__x86_64__)

/* What the ABI says a callee keeps: six registers, and the two control words. */
__asm__(".text\n"
        ".globl coroutine__swap\n"
        ".type coroutine__swap, @function\n"
        "coroutine__swap:\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    subq $8, %rsp\n"
        "    stmxcsr (%rsp)\n"
        "    fnstcw 4(%rsp)\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    ldmxcsr (%rsp)\n"
        "    fldcw 4(%rsp)\n"
        "    addq $8, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n"
        ".size coroutine__swap, .-coroutine__swap\n"
        /* The first return leads here: function and argument were left in two of the registers. */
        ".globl coroutine__first\n"
        ".type coroutine__first, @function\n"
        "coroutine__first:\n"
        "    movq %r13, %rdi\n"
        "    callq *%r12\n"
        "    ud2\n"
        ".size coroutine__first, .-coroutine__first\n");
void coroutine__swap(void **save, void *to);
void coroutine__first(void);

void coroutine_create(struct coroutine *c, void (*fn)(void *arg), void *arg)
{
    const uint32_t words[2] = {0x1f80, 0x037f}; /* MXCSR and the x87 control word at a start */

    c->stack = stack_take();
    uint64_t *sp = (uint64_t *)(void *)(c->stack + COROUTINE_STACK) - 2; /* call: 16-aligned */
    *--sp = (uint64_t)(uintptr_t)coroutine__first;
    *--sp = 0;                        /* rbp */
    *--sp = 0;                        /* rbx */
    *--sp = (uint64_t)(uintptr_t)fn;  /* r12 */
    *--sp = (uint64_t)(uintptr_t)arg; /* r13 */
    *--sp = 0;                        /* r14 */
    *--sp = 0;                        /* r15 */
    *--sp = (uint64_t)words[1] << 32 | words[0];
    c->sp = sp;
}

void coroutine_switch(struct coroutine *from, struct coroutine *to)
{
    coroutine__swap(&from->sp, to->sp);
}

#else

#include <ucontext.h>

static void first(uint32_t high, uint32_t low)
{
    uint64_t *top = (uint64_t *)(uintptr_t)((uint64_t)high << 32 | low);

    ((void (*)(void *))(uintptr_t)top[0])((void *)(uintptr_t)top[1]);
    abort();
}

/* The context stands at the stack's top, function and argument below it. */
void coroutine_create(struct coroutine *c, void (*fn)(void *arg), void *arg)
{
    c->stack = stack_take();
    char *top = c->stack + COROUTINE_STACK - (sizeof(ucontext_t) + 63) / 64 * 64;
    uint64_t *facts = (uint64_t *)(void *)top - 2, at = (uint64_t)(uintptr_t)facts;
    ucontext_t *u = (ucontext_t *)(void *)top;
    getcontext(u);
    u->uc_stack.ss_sp = c->stack;
    u->uc_stack.ss_size = (size_t)((char *)facts - c->stack) / 64 * 64;
    u->uc_link = NULL;
    facts[0] = (uint64_t)(uintptr_t)fn;
    facts[1] = (uint64_t)(uintptr_t)arg;
    makecontext(u, (void (*)(void))first, 2, (uint32_t)(at >> 32), (uint32_t)at);
    c->sp = u;
}

void coroutine_switch(struct coroutine *from, struct coroutine *to)
{
    static ucontext_t outside; /* of the program's own stack */

    if (!from->sp)
        from->sp = &outside;
    swapcontext(from->sp, to->sp);
}

#endif

void coroutine_destroy(struct coroutine *c)
{
    if (c->stack)
        stack_give(c->stack);
    *c = (struct coroutine){0};
}
