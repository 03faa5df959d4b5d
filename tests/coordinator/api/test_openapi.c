/* The description of the API is what client programs are generated from: a path, a field or a word
 * that it leaves out is one that their authors do not find. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "core/protocol/messages.h"
#include "core/protocol/schema.h"
#include "coordinator/api/openapi.h"
#include "coordinator/api/routes.h"

static json_t *document(void)
{
    struct buf b;
    struct err e = {0};
    json_error_t je;

    buf_init(&b, OPENAPI_BYTES_MAX);
    assert_int_equal(openapi_write(&b, &e), 0);
    json_t *d = json_loadb(b.data, b.len, JSON_REJECT_DUPLICATES, &je);
    assert_non_null(d);
    buf_free(&b);
    return d;
}

static void test_every_route(void **state)
{
    json_t *d = document(), *paths = json_object_get(d, "paths");
    const struct route *r;
    size_t count = 1; /* /healthz */

    (void)state;
    for (size_t i = 0; (r = route_at(i)) != NULL; i++) {
        json_t *path = json_object_get(paths, r->pattern), *o;
        const char *method = strcmp(r->method, "GET") == 0    ? "get"
                             : strcmp(r->method, "POST") == 0 ? "post"
                             : strcmp(r->method, "PUT") == 0  ? "put"
                                                              : "delete";
        assert_non_null(o = json_object_get(path, method));
        assert_true(json_string_length(json_object_get(o, "summary")) > 3);
        if (r->kind != ROUTE_BLOB)
            assert_true(!r->in == !json_object_get(o, "requestBody"));
        count++;
        /* What an operation answers is said in its row, or it answers nothing. */
        if (r->kind == ROUTE_READ)
            assert_true(r->out || r->raw || r->text);
    }
    const char *key;
    json_t *path;
    size_t described = 0;
    json_object_foreach(paths, key, path)
    {
        described += json_object_size(path) - (json_object_get(path, "head") ? 1 : 0);
    }
    assert_int_equal(described, count);
    json_decref(d);
}

static void test_every_field_is_explained(void **state)
{
    json_t *d = document();
    json_t *schemas = json_object_get(json_object_get(d, "components"), "schemas");
    const char *name, *field;
    json_t *schema, *property;

    (void)state;
    assert_true(json_object_size(schemas) > 60);
    json_object_foreach(schemas, name, schema)
    {
        json_object_foreach(json_object_get(schema, "properties"), field, property)
        {
            if (!json_object_get(property, "description"))
                fail_msg("%s.%s has no description in its row", name, field);
        }
    }
    json_decref(d);
}

static bool has(const json_t *list, const char *word)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (strcmp(json_string_value(json_array_get(list, i)), word) == 0)
            return true;
    return false;
}

/* What must be sent is not what always comes: an answer's numbers always stand there. */
static void test_ways(void **state)
{
    json_t *schemas = json_object();
    struct err e = {0};

    (void)state;
    assert_int_equal(schema_add(schemas, &message_run, SCHEMA_WRITTEN, &e), 0);
    assert_int_equal(schema_add(schemas, &message_heartbeat, SCHEMA_READ, &e), 0);
    json_t *run = json_object_get(schemas, "Run"), *must = json_object_get(run, "required");
    assert_true(has(must, "name") && has(must, "seed") && has(must, "models"));
    assert_false(has(must, "needs"));
    assert_non_null(json_object_get(schemas, "ModelProgress"));
    json_t *beat = json_object_get(schemas, "HeartbeatInput");
    must = json_object_get(beat, "required");
    assert_int_equal(json_array_size(must), 1);
    assert_true(has(must, "fence"));
    json_t *points = json_object_get(json_object_get(beat, "properties"), "points");
    assert_int_equal(json_integer_value(json_object_get(points, "maxItems")), PROTOCOL_POINTS_MAX);
    assert_non_null(json_object_get(schemas, "FenceInput"));
    json_decref(schemas);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_route),
        cmocka_unit_test(test_every_field_is_explained),
        cmocka_unit_test(test_ways),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
