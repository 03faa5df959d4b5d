#include "core/base/manual.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/version.h"

#define PAGE_MAX (1u << 20)
/* Where a line is broken at the next word: mandoc wishes lines of 80 bytes at most. */
#define COLUMNS_WANTED 60

static void put(struct manual *m, const char *s, size_t len)
{
    if (!m->rc)
        m->rc = buf_append(&m->out, s, len, &m->err);
}

static void puts_(struct manual *m, const char *s)
{
    put(m, s, strlen(s));
}

static size_t utf8_take(const char *s, uint32_t *code)
{
    unsigned char c = (unsigned char)*s;
    size_t len = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    *code = len == 1 ? c : c & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if (((unsigned char)s[i] & 0xc0) != 0x80)
            return i;
        *code = *code << 6 | ((unsigned char)s[i] & 0x3f);
    }
    return len;
}

/* One character of text. code: as somebody would type it, so that a hyphen is a minus. */
static size_t put_char(struct manual *m, const char *s, bool code)
{
    uint32_t u;
    size_t len = utf8_take(s, &u);
    char special[16];
    if (*s == '\\')
        puts_(m, "\\e");
    else if (code && *s == '-')
        puts_(m, "\\-");
    else if (code && *s == '~')
        puts_(m, "\\(ti");
    else if (code && *s == '^')
        puts_(m, "\\(ha");
    else if (code && *s == '\'')
        puts_(m, "\\(aq");
    else if (code && *s == '`')
        puts_(m, "\\(ga");
    else if (len > 1) {
        snprintf(special, sizeof special, "\\[u%04X]", u);
        puts_(m, special);
    } else {
        put(m, s, 1);
    }
    return len;
}

static void put_code(struct manual *m, const char *s)
{
    while (*s && !m->rc)
        s += put_char(m, s, true);
}

/* Whether a heading was the last thing written: paragraphs begin there by themselves. */
static bool after_heading(const struct manual *m)
{
    size_t at = m->out.len ? m->out.len - 1 : 0;
    while (at > 0 && m->out.data[at - 1] != '\n')
        at--;
    return m->out.len && strncmp(m->out.data + at, ".S", 2) == 0;
}

void manual_paragraph(struct manual *m)
{
    if (!after_heading(m))
        puts_(m, ".PP\n");
}

/* Lines as they are, until one that does not begin with two spaces. */
static const char *put_literal(struct manual *m, const char *s)
{
    manual_paragraph(m);
    puts_(m, ".RS 4\n.EX\n");
    while (!m->rc && strncmp(s, "  ", 2) == 0) {
        const char *end = strchrnul(s, '\n');
        s += 2;
        if (*s == '.' || *s == '\'')
            puts_(m, "\\&");
        while (s < end)
            s += put_char(m, s, true);
        puts_(m, "\n");
        s += *s == '\n';
    }
    puts_(m, ".EE\n.RE\n");
    return s;
}

/* Whether the word that begins here is one that is typed: an option. */
static bool is_option_word(const char *s)
{
    return *s == '-' && (s[1] == '-' || isalpha((unsigned char)s[1]));
}

/* A paragraph: up to an empty line, a literal one, or the end. Lines are broken after sentences,
 * and where they get long. */
static const char *put_paragraph(struct manual *m, const char *s)
{
    size_t column = 0;
    bool in_code = false, word_start = true, option = false;
    while (*s && !m->rc) {
        if (*s == '\n' && (s[1] == '\n' || s[1] == '\0' || strncmp(s + 1, "  ", 2) == 0))
            break;
        if (*s == ' ' || *s == '\n') {
            const char *before = s - 1;
            bool sentence = !in_code && strchr(".?!", *before) && s[1] != ' ';
            bool brk = sentence || column >= COLUMNS_WANTED;
            puts_(m, brk ? "\n" : " ");
            column = brk ? 0 : column + 1;
            word_start = true;
            s++;
            continue;
        }
        if (column == 0 && (*s == '.' || *s == '\''))
            puts_(m, "\\&");
        if (word_start)
            option = is_option_word(s) || (*s == '(' && is_option_word(s + 1));
        word_start = false;
        if (*s == '`') {
            in_code = !in_code;
            puts_(m, in_code ? "\\fB" : "\\fR");
            word_start = true;
            s++;
            continue;
        }
        s += put_char(m, s, in_code || option);
        column++;
    }
    if (in_code)
        puts_(m, "\\fR");
    puts_(m, "\n");
    return s + (*s == '\n');
}

void manual_text(struct manual *m, const char *text, bool sections)
{
    bool first = true;
    while (*text && !m->rc) {
        size_t line = strcspn(text, "\n");
        if (line == 0) {
            text++;
        } else if (strncmp(text, "  ", 2) == 0) {
            text = put_literal(m, text);
            first = false;
        } else if (sections &&
                   (strncmp(text, "Examples:\n", 10) == 0 || strncmp(text, "Example:\n", 9) == 0)) {
            manual_section(m, "EXAMPLES");
            text += line + 1;
            first = true;
        } else {
            if (!first)
                manual_paragraph(m);
            text = put_paragraph(m, text);
            first = false;
        }
    }
}

void manual_begin(struct manual *m, const char *name, int section, const char *summary)
{
    *m = (struct manual){.rc = 0};
    buf_init(&m->out, PAGE_MAX);
    char number[2] = {(char)('0' + section), '\0'};
    puts_(m, ".TH \"");
    for (const char *c = name; *c; c++) {
        char upper = (char)toupper((unsigned char)*c);
        if (upper == '-')
            puts_(m, "\\-");
        else
            put(m, &upper, 1);
    }
    puts_(m, "\" \"");
    puts_(m, number);
    puts_(m, "\" \"" TACIT_DATE "\" \"tacit " TACIT_VERSION "\" \"tacit\"\n.SH NAME\n");
    put_code(m, name);
    puts_(m, " \\- ");
    put_paragraph(m, summary);
}

int manual_end(struct manual *m, struct err *e)
{
    if (m->rc && e)
        *e = m->err;
    return m->rc;
}

void manual_section(struct manual *m, const char *title)
{
    puts_(m, ".SH ");
    puts_(m, title);
    puts_(m, "\n");
}

void manual_subsection(struct manual *m, const char *title)
{
    puts_(m, ".SS ");
    put_code(m, title);
    puts_(m, "\n");
}

void manual_break(struct manual *m)
{
    puts_(m, ".br\n");
}

void manual_synopsis(struct manual *m, const char *name, const char *args)
{
    puts_(m, "\\fB");
    put_code(m, name);
    puts_(m, "\\fR [\\fIOPTION\\fR...]");
    if (args) {
        puts_(m, " \\fI");
        put_code(m, args);
        puts_(m, "\\fR");
    }
    puts_(m, "\n");
}

void manual_item(struct manual *m, const char *term, const char *text)
{
    puts_(m, ".TP\n\\fB");
    put_code(m, term);
    puts_(m, "\\fR\n");
    put_paragraph(m, text);
}

void manual_options(struct manual *m, const struct argp_option *options)
{
    for (const struct argp_option *o = options; o && (o->name || o->doc) && !m->rc; o++) {
        if (!o->name || (o->flags & OPTION_HIDDEN))
            continue;
        char letter = o->key > ' ' && o->key < 0x7f ? (char)o->key : '\0';
        puts_(m, ".TP\n");
        if (letter) {
            puts_(m, "\\fB\\-");
            put(m, &letter, 1);
            puts_(m, "\\fR, ");
        }
        puts_(m, "\\fB\\-\\-");
        put_code(m, o->name);
        puts_(m, "\\fR");
        if (o->arg) {
            puts_(m, "=\\fI");
            put_code(m, o->arg);
            puts_(m, "\\fR");
        }
        puts_(m, "\n");
        put_paragraph(m, o->doc ? o->doc : "");
    }
}

void manual_own_options(struct manual *m)
{
    static const struct argp_option own[] = {
        {"help", '?', NULL, 0, "Print this help", 0},
        {"usage", 0, NULL, 0, "Print the options in a few lines", 0},
        {"version", 'V', NULL, 0, "Print the version", 0},
        {0}};
    manual_options(m, own);
}

void manual_doc_before(struct manual *m, const char *doc)
{
    size_t len = strcspn(doc, "\v");
    char *before = strndup(doc, len);
    if (!before) {
        m->rc = m->rc ? m->rc : err_set(&m->err, ERR_NO_MEMORY, "no memory for a manual page");
        return;
    }
    manual_text(m, before, false);
    free(before);
}

void manual_doc_after(struct manual *m, const char *doc, bool sections)
{
    const char *after = strchr(doc, '\v');
    if (after)
        manual_text(m, after + 1, sections);
}
