#include "core/env/last_words.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 256
#define SUBJECT_MAX 100
#define STACK_BYTES 65536 /* a stack that overflowed has no room for a handler */

static const struct {
    int number;
    const char *name;
} fatal[] = {{SIGSEGV, "SIGSEGV"},
             {SIGBUS, "SIGBUS"},
             {SIGILL, "SIGILL"},
             {SIGFPE, "SIGFPE"},
             {SIGABRT, "SIGABRT"}};

/* A signal has no argument to carry state in. The subject is one of two buffers, so that a handler
 * never sees one that is being written. */
static int words_fd = -1;
static char subjects[2][SUBJECT_MAX + 1];
static const char *_Atomic subject;
static const _Atomic uint64_t *_Atomic subject_step;
static atomic_flag said = ATOMIC_FLAG_INIT;

struct line {
    char text[LINE_MAX_BYTES];
    size_t len;
};

static void add(struct line *l, const char *text)
{
    while (*text && l->len < sizeof l->text - 1)
        l->text[l->len++] = *text++;
}

static void add_number(struct line *l, uint64_t n)
{
    char digits[24];
    size_t at = sizeof digits - 1;

    digits[at] = '\0';
    do
        digits[--at] = (char)('0' + n % 10);
    while ((n /= 10) > 0);
    add(l, digits + at);
}

/* Safe in a signal handler. Of several threads that fail, the first one has the word. */
static void write_line(struct line *l)
{
    const char *about = atomic_load(&subject);
    const _Atomic uint64_t *step = atomic_load(&subject_step);

    if (words_fd < 0 || atomic_flag_test_and_set(&said))
        return;
    if (about) {
        add(l, " at step ");
        add_number(l, step ? atomic_load_explicit(step, memory_order_relaxed) : 0);
        add(l, " of ");
        add(l, about);
    }
    add(l, "\n");
    (void)!pwrite(words_fd, l->text, l->len, 0);
}

static void on_fatal(int number)
{
    struct line l = {.len = 0};

    add(&l, "signal ");
    add_number(&l, (uint64_t)number);
    for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++) {
        if (fatal[i].number == number) {
            add(&l, " (");
            add(&l, fatal[i].name);
            add(&l, ")");
        }
    }
    write_line(&l);
    raise(number); /* the handler is gone: ends as it would have */
}

int env_last_words_open(const char *path, struct err *e)
{
    static char stack[STACK_BYTES];
    stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction action = {.sa_handler = on_fatal,
                               .sa_flags = (int)(SA_RESETHAND | SA_NODEFER | SA_ONSTACK)};
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0)
        return err_set_errno(e, "cannot open '%s' for last words", path);
    if (words_fd >= 0)
        close(words_fd);
    words_fd = fd;
    sigaltstack(&alternate, NULL);
    for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++)
        sigaction(fatal[i].number, &action, NULL);
    return 0;
}

void env_last_words_about(const char *text, const _Atomic uint64_t *step)
{
    static unsigned next;
    char *to = subjects[next++ % 2];

    if (!text) {
        atomic_store(&subject, NULL);
        atomic_store(&subject_step, NULL);
        return;
    }
    size_t len = strnlen(text, SUBJECT_MAX);
    memcpy(to, text, len);
    to[len] = '\0';
    atomic_store(&subject_step, step);
    atomic_store(&subject, to);
}

void env_last_words_say(const char *what)
{
    struct line l = {.len = 0};

    add(&l, what);
    write_line(&l);
}

void env_end_now(int code)
{
    _exit(code);
}
