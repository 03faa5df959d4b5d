/* What is read of a folder that somebody passed on: 'm' and a manifest, 'p' and a SentencePiece
 * model's pieces, which then become a tokenizer.json. */
#include <jansson.h>
#include "core/protocol/manifest.h"
#include "tests/fuzz/fuzz.h"

/* Accepted: names lead nowhere else, and it means the same once written out. */
static void check_manifest(const char *text, size_t size)
{
    struct msg_manifest m, again;
    struct arena a;
    struct buf b;
    struct err e = {0};
    arena_init(&a, 64u << 20);
    buf_init(&b, MANIFEST_BYTES_MAX);
    int rc = manifest_decode(text, size, &a, &m, &e);
    if (rc) {
        fuzz_refused(rc, &e);
    } else {
        for (uint32_t i = 0; i < m.model_count; i++) {
            const char *file = m.models[i].file;
            FUZZ_CHECK(*file && *file != '/' && *file != '.' && !strstr(file, "/."));
            FUZZ_CHECK(manifest_find(&m, m.models[i].target, m.models[i].index) == &m.models[i]);
        }
        FUZZ_OK(message_encode(&message_manifest, &m, &b, &e), &e);
        FUZZ_OK(manifest_decode(b.data, b.len, &a, &again, &e), &e);
        FUZZ_CHECK(again.model_count == m.model_count && again.end == m.end);
    }
    buf_free(&b);
    arena_free(&a);
}

static void check_pieces(const char *model, size_t size)
{
    struct pieces p;
    struct buf b;
    struct err e = {0};
    buf_init(&b, 64u << 20);
    int rc = pieces_read(&p, model, size, &e);
    if (rc) {
        fuzz_refused(rc, &e);
    } else {
        FUZZ_CHECK(p.unknown < p.count && p.end < p.count);
        rc = export_hf_tokenizer(&p, &b, &e);
        json_t *root = rc ? NULL : json_loadb(b.data, b.len, 0, NULL);
        FUZZ_CHECK(rc || root);
        if (rc)
            fuzz_refused(rc, &e);
        json_decref(root);
    }
    buf_free(&b);
    pieces_free(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return -1;
    char *text = fuzz_text(data + 1, size - 1);
    if (data[0] == 'm')
        check_manifest(text, size - 1);
    else
        check_pieces(text, size - 1);
    free(text);
    return 0;
}
