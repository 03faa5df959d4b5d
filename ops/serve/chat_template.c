#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "ops/serve/question.h"

#define CONTENT "{content}"

static const char default_template[] =
    "{\"system\": \"{content}\\n\\n\", \"user\": \"User: {content}\\n\", "
    "\"assistant\": \"Assistant: {content}\\n\", \"reply\": \"Assistant:\", "
    "\"stop\": [\"\\nUser:\"]}";

int chat_template_default(struct chat_template *t, struct err *e)
{
    return chat_template_parse(t, default_template, sizeof default_template - 1, "default", e);
}

void chat_template_free(struct chat_template *t)
{
    free(t->system);
    free(t->user);
    free(t->assistant);
    free(t->reply);
    for (uint32_t i = 0; i < t->stop_count; i++)
        free(t->stops[i]);
    *t = (struct chat_template){0};
}

static int take_text(const json_t *root, const char *key, bool content, const char *name,
                     char **out, struct err *e)
{
    const char *text = json_string_value(json_object_get(root, key));
    if (!text || (content && !strstr(text, CONTENT)))
        return err_set(e, ERR_INVALID, "%s: \"%s\" must be a text%s", name, key,
                       content ? " with {content} in it" : "");
    *out = strdup(text);
    return *out ? 0 : err_set(e, ERR_NO_MEMORY, "no memory for a template");
}

int chat_template_parse(struct chat_template *t, const char *json, size_t len, const char *name,
                        struct err *e)
{
    json_error_t why;
    json_t *root = json_loadb(json, len, JSON_REJECT_DUPLICATES, &why), *stop;
    size_t i;
    *t = (struct chat_template){0};
    if (!root)
        return err_set(e, ERR_INVALID, "%s: line %d: %s", name, why.line, why.text);
    int rc = take_text(root, "system", true, name, &t->system, e);
    if (!rc)
        rc = take_text(root, "user", true, name, &t->user, e);
    if (!rc)
        rc = take_text(root, "assistant", true, name, &t->assistant, e);
    if (!rc)
        rc = take_text(root, "reply", false, name, &t->reply, e);
    json_array_foreach(json_object_get(root, "stop"), i, stop)
    {
        const char *text = json_string_value(stop);
        if (!rc && (!text || !*text || t->stop_count == CHAT_STOPS_MAX))
            rc = err_set(e, ERR_INVALID, "%s: \"stop\" must be at most %d texts", name,
                         CHAT_STOPS_MAX);
        if (!rc && !(t->stops[t->stop_count++] = strdup(text)))
            rc = err_set(e, ERR_NO_MEMORY, "no memory for a template");
    }
    json_decref(root);
    return rc;
}

int chat_template_add(const struct chat_template *t, const char *role, const char *content,
                      struct buf *out, struct err *e)
{
    const char *form = strcmp(role, "system") == 0 || strcmp(role, "developer") == 0 ? t->system
                       : strcmp(role, "user") == 0                                   ? t->user
                       : strcmp(role, "assistant") == 0                              ? t->assistant
                                                                                     : NULL;
    if (!form)
        return err_set(e, ERR_INVALID,
                       "role \"%.40s\" is not known: system, user and assistant are", role);
    const char *at = strstr(form, CONTENT);
    int rc = buf_append(out, form, (size_t)(at - form), e);
    if (!rc)
        rc = buf_append(out, content, strlen(content), e);
    at += strlen(CONTENT);
    return rc ? rc : buf_append(out, at, strlen(at), e);
}
