#include "core/data/document.h"

#include <string.h>
#include <jansson.h>
#include "core/base/digest.h"
#include "core/base/text.h"

static bool is_blank(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (s[i] != ' ' && s[i] != '\n' && s[i] != '\t' && s[i] != '\r')
            return false;
    return true;
}

static enum document_status read_json(struct document *d, const struct document_rules *rules,
                                      const char *data, size_t len, struct err *why)
{
    json_error_t je;
    json_t *root = json_loadb(data, len, 0, &je);
    if (!root) {
        err_set(why, ERR_FORMAT, "not JSON (%s)", je.text);
        return json_error_code(&je) == json_error_invalid_utf8 ? DOCUMENT_UTF8 : DOCUMENT_JSON;
    }
    d->json = root;
    const json_t *text = json_object_get(root, rules->field_text);
    const json_t *source = json_object_get(root, rules->field_source);
    if (!json_is_string(text)) {
        err_set(why, ERR_FORMAT,
                json_is_object(root) ? "no field \"%s\" that is a string; name the right one"
                                     : "not a JSON object with a field \"%s\"",
                rules->field_text);
        document_free(d);
        return DOCUMENT_JSON;
    }
    d->text = json_string_value(text);
    d->len = json_string_length(text);
    if (json_is_string(source) && json_string_length(source)) {
        d->source = json_string_value(source);
        d->source_len = json_string_length(source);
    }
    return DOCUMENT_OK;
}

enum document_status document_read(struct document *d, const struct document_rules *rules,
                                   const char *data, size_t len, bool is_json, struct err *why)
{
    memset(d, 0, sizeof *d);
    d->text = data;
    d->len = len;
    if (is_json) {
        enum document_status status = read_json(d, rules, data, len, why);
        if (status != DOCUMENT_OK)
            return status;
    }
    enum document_status status = DOCUMENT_OK;
    if (d->len > rules->bytes_max)
        status = DOCUMENT_LONG;
    else if (is_blank(d->text, d->len))
        status = DOCUMENT_EMPTY;
    else if (!is_json && !text_is_utf8(d->text, d->len)) /* the JSON reader has checked its own */
        status = DOCUMENT_UTF8;
    if (status != DOCUMENT_OK) {
        document_free(d);
        return status;
    }
    struct digest digest;
    digest_of(d->text, d->len, &digest);
    for (int i = 0; i < 8; i++)
        d->fraction = d->fraction << 8 | digest.bytes[i];
    d->heldout = (double)d->fraction * 0x1p-64 < rules->holdout;
    return DOCUMENT_OK;
}

void document_free(struct document *d)
{
    if (d->json)
        json_decref(d->json);
    memset(d, 0, sizeof *d);
}
