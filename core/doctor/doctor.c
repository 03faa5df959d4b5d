#include "core/doctor/doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "core/base/text.h"

#define ARENA_MAX_BYTES (16u << 20)
#define WORDS_MAX 1024

void doctor_init(struct doctor *d)
{
    memset(d, 0, sizeof *d);
    arena_init(&d->arena, ARENA_MAX_BYTES);
}

void doctor_free(struct doctor *d)
{
    arena_free(&d->arena);
}

void doctor_tell(struct doctor *d, int level, int code, const char *check, const char *fix,
                 const char *fmt, ...)
{
    char words[WORDS_MAX];
    va_list args;
    if (d->count == DOCTOR_MAX)
        return;
    va_start(args, fmt);
    vsnprintf(words, sizeof words, fmt, args);
    va_end(args);
    text_make_utf8(words);
    struct msg_finding *f = &d->list[d->count++];
    *f = (struct msg_finding){.level = level, .check = check, .fix = fix};
    f->found = arena_strndup(&d->arena, words, strlen(words));
    if (!f->found)
        f->found = "";
    if (level == FINDING_FAULT && d->code == 0)
        d->code = code;
}

static int count_of(const struct doctor *d, int level)
{
    int n = 0;
    for (uint32_t i = 0; i < d->count; i++)
        n += d->list[i].level == level;
    return n;
}

int doctor_text(const struct doctor *d, bool color, struct buf *out, struct err *e)
{
    static const char *const colors[] = {"\033[32m", "\033[33;1m", "\033[31;1m"};
    int faults = count_of(d, FINDING_FAULT), warnings = count_of(d, FINDING_WARN), rc = 0;
    for (uint32_t i = 0; !rc && i < d->count; i++) {
        const struct msg_finding *f = &d->list[i];
        rc = buf_printf(out, e, "%s%-5s%s  %-11s  %s\n", color ? colors[f->level] : "",
                        finding_level_words[f->level], color ? "\033[0m" : "", f->check, f->found);
        if (!rc && f->fix)
            rc = buf_printf(out, e, "                    → %s\n", f->fix);
    }
    if (!rc && faults)
        rc = buf_printf(out, e, "\n%d fault%s: this must be mended first\n", faults,
                        faults == 1 ? "" : "s");
    else if (!rc)
        rc = buf_printf(out, e, "\nnothing prevents work%s\n",
                        warnings ? "; what is marked warn may slow it, or end it one day" : "");
    return rc;
}

int doctor_json(const struct doctor *d, struct buf *out, struct err *e)
{
    struct msg_doctor m = {.ok = d->code == 0,
                           .exit_code = (uint64_t)d->code,
                           .findings = (struct msg_finding *)d->list,
                           .finding_count = d->count};
    return message_encode(&message_doctor, &m, out, e);
}
