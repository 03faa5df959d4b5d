/* A manifest decides which files are read and what they are taken for: one that leads out of its
 * folder, names a model twice or a shape that can't be is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "core/protocol/manifest.h"

#define DIGEST "\"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\""
#define SHAPE "{\"vocab\":300,\"seq\":32,\"hidden\":16,\"layers\":1,\"heads\":2,\"ffn\":64}"

static const char whole[] =
    "{\"format\":\"tacit-mixture\",\"version\":1,\"layout\":\"safetensors\",\"type\":\"f32\","
    "\"run\":\"r\",\"dataset\":\"d\",\"spec\":" DIGEST ",\"experts\":2,\"prefix\":16,"
    "\"routing\":\"em\",\"seed\":1,\"tokenizer\":" DIGEST ",\"end\":2,\"expert_model\":" SHAPE
    ",\"router_model\":" SHAPE ",\"models\":["
    "{\"target\":\"expert\",\"index\":1,\"step\":9,\"content\":" DIGEST
    ",\"file\":\"experts/1.safetensors\",\"bytes\":5,\"digest\":" DIGEST "},"
    "{\"target\":\"dense\",\"index\":0,\"step\":9,\"content\":" DIGEST
    ",\"file\":\"dense.safetensors\",\"bytes\":5,\"digest\":" DIGEST "}]}";

static int decode(const char *text, struct msg_manifest *m, struct arena *a, struct err *e)
{
    arena_init(a, 1u << 20);
    return manifest_decode(text, strlen(text), a, m, e);
}

static void test_whole(void **state)
{
    (void)state;
    struct msg_manifest m;
    struct model_config c;
    struct arena a;
    struct err e = {0};
    assert_int_equal(decode(whole, &m, &a, &e), 0);
    assert_int_equal(m.model_count, 2);
    assert_string_equal(manifest_find(&m, TARGET_EXPERT, 1)->file, "experts/1.safetensors");
    assert_null(manifest_find(&m, TARGET_EXPERT, 0));
    manifest_shape(&m, TARGET_ROUTER, &c);
    assert_int_equal(c.hidden, 16);
    arena_free(&a);
}

/* The first `from` in the whole one replaced by `to`. */
static void refused(const char *from, const char *to, int code)
{
    struct msg_manifest m;
    struct arena a;
    struct err e = {0};
    char text[4096];
    const char *at = strstr(whole, from);
    assert_non_null(at);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - whole), whole, to, at + strlen(from));
    int rc = decode(text, &m, &a, &e);
    if (rc != code)
        fail_msg("%s: %d, %s", to, rc, e.message);
    arena_free(&a);
}

static void test_refuses(void **state)
{
    (void)state;
    refused("tacit-mixture", "gguf", ERR_FORMAT);
    refused("\"version\":1", "\"version\":2", ERR_VERSION);
    refused("experts/1.safetensors", "../1.safetensors", ERR_FORMAT);
    refused("experts/1.safetensors", "experts/../../1", ERR_FORMAT);
    refused("experts/1.safetensors", "/etc/passwd", ERR_FORMAT);
    refused("experts/1.safetensors", "experts//1", ERR_FORMAT);
    refused("experts/1.safetensors", "experts/", ERR_FORMAT);
    refused("experts/1.safetensors", "", ERR_FORMAT);
    refused("\"target\":\"dense\",\"index\":0", "\"target\":\"expert\",\"index\":1", ERR_FORMAT);
    refused("\"index\":1", "\"index\":2", ERR_FORMAT);
    refused("\"target\":\"dense\"", "\"target\":\"none\"", ERR_FORMAT);
    refused("\"hidden\":16", "\"hidden\":17", ERR_RANGE);
    refused("\"end\":2", "\"end\":300", ERR_FORMAT);
    refused("\"prefix\":16", "\"prefix\":33", ERR_FORMAT);
    refused("\"run\":\"r\",", "", ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
