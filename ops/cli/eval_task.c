/* Tasks from files. Which format a line has is told by its fields:
 *
 *     {"prompt","choices":[…],"answer":i,"group"?}        our own multiple choice
 *     {"prompt","target","group"?}                        cloze
 *     {"text","group"?}                                   perplexity
 *     {"question":{"stem","choices":[{"text","label"}]},"answerKey"}      ARC, as published
 *     {"question","choices":{"text":[…],"label":[…]},"answerKey"}         ARC, as on the hub
 *     {"ctx","endings":[…],"label","activity_label"?}                     HellaSwag
 *     {"question","correct_answer","distractor1"…"distractor3","support"?}  SciQ
 *     {"question","choices":[…],"answer":i,"subject"?}                    MMLU
 *     question,A,B,C,D,answer's letter                                    MMLU's .csv
 *
 * Questions are asked as "Question: …\nAnswer:", the answers judged are " …". */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/base/text.h"
#include "core/env/file.h"
#include "ops/cli/eval.h"

#define FILE_MAX (1u << 30)
#define TEXTS_MAX (4ull << 30)

struct line {
    struct eval_task *task;
    const char *file;
    uint64_t number;
    struct eval_item *item;
};

static int wrong(const struct line *l, struct err *e, const char *what)
{
    return err_set(e, ERR_FORMAT, "%s:%llu: %s", l->file, (unsigned long long)l->number, what);
}

static int keep(const struct line *l, const char *prefix, const char *text, const char *suffix,
                const char **out, struct err *e)
{
    if (!text)
        return wrong(l, e, "a text is missing, or is no string");
    *out = arena_printf(&l->task->arena, "%s%s%s", prefix, text, suffix);
    return *out ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for a task");
}

static int add_choice(const struct line *l, const char *prefix, const char *text, struct err *e)
{
    struct eval_item *i = l->item;
    if (!i->choices)
        i->choices = arena_alloc_array(&l->task->arena, EVAL_CHOICES_MAX, sizeof *i->choices);
    if (!i->choices)
        return err_set(e, ERR_NO_MEMORY, "no memory for a task");
    if (i->choice_count == EVAL_CHOICES_MAX)
        return wrong(l, e, "more than 64 answers");
    int rc = keep(l, prefix, text, "", &i->choices[i->choice_count], e);
    i->choice_count += !rc;
    return rc;
}

static int add_choices(const struct line *l, const char *prefix, const json_t *list, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; !rc && i < json_array_size(list); i++)
        rc = add_choice(l, prefix, json_string_value(json_array_get(list, i)), e);
    return rc;
}

static const char *string_of(const json_t *line, const char *name)
{
    return json_string_value(json_object_get(line, name));
}

/* The answer as a number, or a number in a string. */
static int set_answer(const struct line *l, const json_t *answer, struct err *e)
{
    uint64_t n = UINT64_MAX;
    if (json_is_integer(answer))
        n = (uint64_t)json_integer_value(answer);
    else if (!json_is_string(answer) || !text_to_u64(json_string_value(answer), &n))
        return wrong(l, e, "which answer is right is no number");
    if (l->item->choice_count < 2 || n >= l->item->choice_count)
        return wrong(l, e, "fewer than two answers, or the right one is none of them");
    l->item->answer = (uint32_t)n;
    return 0;
}

/* The answer whose label this is ("A", "1"). */
static int set_answer_key(const struct line *l, const json_t *labels, const char *key,
                          struct err *e)
{
    for (uint32_t i = 0; key && i < l->item->choice_count; i++) {
        const json_t *label = json_array_get(labels, i);
        if (json_is_object(label))
            label = json_object_get(label, "label");
        if (json_is_string(label) && strcmp(json_string_value(label), key) == 0) {
            l->item->answer = i;
            return l->item->choice_count < 2 ? wrong(l, e, "fewer than two answers") : 0;
        }
    }
    return wrong(l, e, "answerKey is the label of no answer");
}

static int ask(const struct line *l, const char *question, struct err *e)
{
    return keep(l, "Question: ", question, "\nAnswer:", &l->item->prompt, e);
}

static int read_arc(const struct line *l, const json_t *line, struct err *e)
{
    const json_t *question = json_object_get(line, "question"), *choices, *labels;
    int rc;
    if (json_is_object(question)) {
        rc = ask(l, string_of(question, "stem"), e);
        labels = json_object_get(question, "choices");
        for (size_t i = 0; !rc && i < json_array_size(labels); i++)
            rc = add_choice(l, " ", string_of(json_array_get(labels, i), "text"), e);
    } else {
        rc = ask(l, json_string_value(question), e);
        choices = json_object_get(line, "choices");
        labels = json_object_get(choices, "label");
        if (!rc)
            rc = add_choices(l, " ", json_object_get(choices, "text"), e);
    }
    return rc ? rc : set_answer_key(l, labels, string_of(line, "answerKey"), e);
}

static int read_sciq(const struct line *l, const json_t *line, struct err *e)
{
    static const char *const names[] = {"correct_answer", "distractor1", "distractor2",
                                        "distractor3"};
    const char *support = string_of(line, "support");
    int rc = ask(l, string_of(line, "question"), e);
    if (!rc && support && *support)
        rc = keep(l, support, "\n", l->item->prompt, &l->item->prompt, e);
    for (int i = 0; !rc && i < 4; i++)
        rc = add_choice(l, " ", string_of(line, names[i]), e);
    return rc;
}

static int read_choices(const struct line *l, const json_t *line, struct err *e)
{
    int rc;
    const json_t *answer = json_object_get(line, "answer");
    if (json_object_get(line, "endings")) {
        answer = json_object_get(line, "label");
        rc = keep(l, "", string_of(line, "ctx"), "", &l->item->prompt, e);
        if (!rc)
            rc = add_choices(l, " ", json_object_get(line, "endings"), e);
    } else if (json_object_get(line, "prompt")) {
        rc = keep(l, "", string_of(line, "prompt"), "", &l->item->prompt, e);
        if (!rc)
            rc = add_choices(l, "", json_object_get(line, "choices"), e);
    } else {
        rc = ask(l, string_of(line, "question"), e);
        if (!rc)
            rc = add_choices(l, " ", json_object_get(line, "choices"), e);
    }
    return rc ? rc : set_answer(l, answer, e);
}

static int read_group(const struct line *l, const json_t *line, struct err *e)
{
    static const char *const names[] = {"group", "subject", "activity_label"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (string_of(line, names[i]))
            return keep(l, "", string_of(line, names[i]), "", &l->item->group, e);
    return 0;
}

static int read_line(const struct line *l, const json_t *line, struct err *e)
{
    int rc = read_group(l, line, e);
    l->item->kind = EVAL_CHOICE;
    if (rc)
        return rc;
    if (json_object_get(line, "answerKey"))
        return read_arc(l, line, e);
    if (json_object_get(line, "correct_answer"))
        return read_sciq(l, line, e);
    if (json_object_get(line, "choices") || json_object_get(line, "endings"))
        return read_choices(l, line, e);
    if (json_object_get(line, "target")) {
        l->item->kind = EVAL_CLOZE;
        rc = keep(l, "", string_of(line, "prompt"), "", &l->item->prompt, e);
        return rc ? rc : add_choice(l, "", string_of(line, "target"), e);
    }
    if (json_object_get(line, "text")) {
        l->item->kind = EVAL_TEXT;
        return keep(l, "", string_of(line, "text"), "", &l->item->prompt, e);
    }
    return wrong(l, e, "no fields of a task that is known: `tacit eval --help` names them");
}

/* --- CSV (RFC 4180), as far as MMLU has it ---------------------------------------------------- */

/* A field from *at, which moves behind it and its comma; false: there is none any more. */
static bool csv_field(const char **at, const char *end, struct buf *out, struct err *e)
{
    const char *p = *at;
    bool quoted = p < end && *p == '"';
    int rc = 0;
    buf_reset(out);
    if (p > end)
        return false;
    for (p += quoted; !rc && p < end; p++) {
        if (quoted && *p == '"') {
            if (p + 1 < end && p[1] == '"')
                p++;
            else {
                quoted = false;
                continue;
            }
        } else if (!quoted && *p == ',') {
            break;
        }
        rc = buf_append(out, p, 1, e);
    }
    *at = p + 1;
    return rc == 0;
}

static int read_csv_line(const struct line *l, const char *text, size_t len, struct err *e)
{
    const char *at = text, *end = text + len;
    struct buf field;
    buf_init(&field, 1u << 20);
    int rc = csv_field(&at, end, &field, e) ? ask(l, field.data ? field.data : "", e)
                                            : wrong(l, e, "no question");
    for (int i = 0; !rc && i < 4; i++)
        rc = csv_field(&at, end, &field, e) ? add_choice(l, " ", field.data ? field.data : "", e)
                                            : wrong(l, e, "fewer than four answers");
    if (!rc && (!csv_field(&at, end, &field, e) || field.len != 1 || field.data[0] < 'A' ||
                field.data[0] > 'D'))
        rc = wrong(l, e, "the last field is no letter of A to D");
    if (!rc)
        l->item->answer = (uint32_t)(field.data[0] - 'A');
    buf_free(&field);
    return rc;
}

/* --- files ------------------------------------------------------------------------------------ */

static int next_item(struct line *l, struct err *e)
{
    struct eval_task *t = l->task;
    if (t->count == t->capacity) {
        uint32_t capacity = 2 * t->capacity + 256;
        struct eval_item *items = realloc(t->items, capacity * sizeof *items);
        if (!items)
            return err_set(e, ERR_NO_MEMORY, "no memory for a task");
        t->items = items;
        t->capacity = capacity;
    }
    l->item = &t->items[t->count];
    *l->item = (struct eval_item){0};
    return 0;
}

static int parse_line(struct line *l, const char *text, size_t len, bool csv, struct err *e)
{
    json_error_t fault;
    int rc = next_item(l, e);
    if (rc)
        return rc;
    if (!text_is_utf8(text, len))
        return wrong(l, e, "not valid UTF-8");
    if (csv) {
        rc = read_csv_line(l, text, len, e);
    } else {
        json_t *line = json_loadb(text, len, 0, &fault);
        rc = json_is_object(line) ? read_line(l, line, e) : wrong(l, e, "no JSON object");
        json_decref(line);
    }
    if (!rc && !*l->item->prompt)
        rc = wrong(l, e, "an empty prompt or text: there is nothing to route on");
    for (uint32_t i = 0; !rc && i < l->item->choice_count; i++)
        if (!*l->item->choices[i])
            rc = wrong(l, e, "an empty answer");
    l->task->count += !rc;
    return rc;
}

int eval_task_parse(struct eval_task *t, const char *file, const char *text, size_t len, bool csv,
                    uint64_t limit, struct err *e)
{
    struct line l = {.task = t, .file = file};
    const char *end = text + len;
    int rc = 0;
    for (const char *at = text; !rc && at < end && (!limit || t->count < limit);) {
        const char *nl = memchr(at, '\n', (size_t)(end - at));
        const char *to = nl ? nl : end;
        size_t n = (size_t)(to - at);
        l.number++;
        n -= n > 0 && at[n - 1] == '\r';
        if (strspn(at, " \t") < n)
            rc = parse_line(&l, at, n, csv, e);
        at = to + (nl != NULL);
    }
    if (!rc && t->count == 0)
        rc = err_set(e, ERR_INVALID, "%s has no items", file);
    return rc;
}

int eval_task_read(struct eval_task *t, const char *path, uint64_t limit, struct err *e)
{
    struct buf b;
    const size_t len = strlen(path);
    memset(t, 0, sizeof *t);
    arena_init(&t->arena, TEXTS_MAX);
    int rc = env_file_read(path, FILE_MAX, &b, e);
    if (rc)
        return rc;
    rc = eval_task_parse(t, path, b.data ? b.data : "", b.len,
                         len > 4 && strcmp(path + len - 4, ".csv") == 0, limit, e);
    buf_free(&b);
    return rc;
}

void eval_task_free(struct eval_task *t)
{
    free(t->items);
    arena_free(&t->arena);
    memset(t, 0, sizeof *t);
}
