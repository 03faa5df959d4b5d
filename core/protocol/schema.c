#include "core/protocol/schema.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define STRING_MAX_DEFAULT 256 /* as field.c has it */
#define ITEMS_MAX_DEFAULT 256

const char *schema_name(const struct message *m, enum schema_way way, char out[SCHEMA_NAME_MAX])
{
    size_t n = 0;
    bool upper = true;

    for (const char *c = m->name; *c && n < SCHEMA_NAME_MAX - 8; c++) {
        if (*c == '_') {
            upper = true;
            continue;
        }
        out[n++] = (char)(upper ? toupper((unsigned char)*c) : *c);
        upper = false;
    }
    snprintf(out + n, SCHEMA_NAME_MAX - n, "%s", way == SCHEMA_READ ? "Input" : "");
    return out;
}

json_t *schema_ref(const struct message *m, enum schema_way way)
{
    char name[SCHEMA_NAME_MAX];

    return json_pack("{s:s+}", "$ref", "#/components/schemas/", schema_name(m, way, name));
}

static json_t *words_schema(const char *const *words)
{
    json_t *list = json_array();

    for (size_t i = 0; words[i]; i++)
        json_array_append_new(list, json_string(words[i]));
    return json_pack("{s:s, s:o}", "type", "string", "enum", list);
}

/* What is said of one field, but for its description. */
static json_t *field_schema(const struct field *f, enum schema_way way)
{
    json_int_t most = f->length_max ? (json_int_t)f->length_max : ITEMS_MAX_DEFAULT;

    switch (f->type) {
    case FIELD_U64:
        return json_pack("{s:s, s:s, s:I, s:I}", "type", "integer", "format", "int64", "minimum",
                         (json_int_t)f->min, "maximum",
                         f->max ? (json_int_t)f->max : (json_int_t)INT64_MAX);
    case FIELD_DOUBLE:
        if (f->required)
            return json_pack("{s:s, s:s}", "type", "number", "format", "double");
        return json_pack("{s:[ss], s:s}", "type", "number", "null", "format", "double");
    case FIELD_BOOL:
        return json_pack("{s:s}", "type", "boolean");
    case FIELD_STRING:
        return json_pack("{s:s, s:I}", "type", "string", "maxLength",
                         f->length_max ? (json_int_t)f->length_max : STRING_MAX_DEFAULT);
    case FIELD_WORD:
        return words_schema(f->words);
    case FIELD_DIGEST:
        return json_pack("{s:s, s:s}", "type", "string", "pattern", "^[0-9a-f]{64}$");
    case FIELD_OBJECT:
        if (f->absent_null)
            return json_pack("{s:[o, {s:s}]}", "anyOf", schema_ref(f->of, way), "type", "null");
        return schema_ref(f->of, way);
    case FIELD_ARRAY:
        return json_pack("{s:s, s:o, s:I}", "type", "array", "items", schema_ref(f->of, way),
                         "maxItems", most);
    case FIELD_DOUBLES:
        return json_pack("{s:s, s:{s:[ss]}, s:I}", "type", "array", "items", "type", "number",
                         "null", "maxItems", most);
    }
    return NULL;
}

static bool always_there(const struct field *f, enum schema_way way)
{
    bool left_out = f->type == FIELD_STRING || f->type == FIELD_DIGEST || f->type == FIELD_OBJECT;

    return f->required || (way == SCHEMA_WRITTEN && (!left_out || f->absent_null));
}

static int no_memory(struct err *e)
{
    return err_set(e, ERR_NO_MEMORY, "no memory for the description of a message");
}

static int fields_add(json_t *schemas, json_t *schema, const struct message *m, enum schema_way way,
                      struct err *e)
{
    json_t *properties = json_object_get(schema, "properties");
    json_t *required = json_object_get(schema, "required");

    for (uint32_t i = 0; i < m->field_count; i++) {
        const struct field *f = &m->fields[i];
        json_t *s = field_schema(f, way);
        if (!s ||
            (f->about && f->about[0] &&
             json_object_set_new(s, "description", json_string(f->about))) ||
            (always_there(f, way) && json_array_append_new(required, json_string(f->name)))) {
            json_decref(s);
            return no_memory(e);
        }
        if (json_object_set_new(properties, f->name, s))
            return no_memory(e);
        int rc = f->of ? schema_add(schemas, f->of, way, e) : 0;
        if (rc)
            return rc;
    }
    return 0;
}

int schema_add(json_t *schemas, const struct message *m, enum schema_way way, struct err *e)
{
    char name[SCHEMA_NAME_MAX];

    schema_name(m, way, name);
    if (json_object_get(schemas, name))
        return 0;
    json_t *schema = json_pack("{s:s, s:{}, s:[]}", "type", "object", "properties", "required");
    if (!schema || json_object_set_new(schemas, name, schema))
        return no_memory(e);
    int rc = fields_add(schemas, schema, m, way, e);
    if (!rc && json_array_size(json_object_get(schema, "required")) == 0)
        json_object_del(schema, "required");
    return rc;
}
