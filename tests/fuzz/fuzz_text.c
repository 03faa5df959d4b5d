/* What people and files name things: labels, names, numbers, nearest words; one a line, the first
 * byte of the input aside. */
#include <math.h>
#include "core/base/text.h"
#include "core/data/labels.h"
#include "tests/fuzz/fuzz.h"

static void check_line(struct labels *l, const char *line)
{
    static const char *const words[] = {"experts", "steps", "learning_rate", ""};
    char clean[LABEL_BYTES + 1], again[LABEL_BYTES + 1];
    int64_t i;
    uint64_t u;
    double d;

    label_clean(clean, line, strlen(line));
    FUZZ_CHECK(text_is_utf8(clean, strlen(clean)));
    label_clean(again, clean, strlen(clean));
    FUZZ_CHECK(strcmp(clean, again) == 0);
    FUZZ_CHECK(labels_number(l, LABEL_SOURCE, clean) < SHARD_LABELS_MAX);

    char *mended = fuzz_text((const uint8_t *)line, strlen(line));
    text_make_utf8(mended);
    FUZZ_CHECK(text_is_utf8(mended, strlen(mended)));
    free(mended);

    if (text_is_name(line))
        FUZZ_CHECK(strlen(line) <= 64 && text_is_utf8(line, strlen(line)));
    if (text_to_u64(line, &u) && u <= INT64_MAX)
        FUZZ_CHECK(text_to_i64(line, &i) && (uint64_t)i == u);
    if (text_to_double(line, &d))
        FUZZ_CHECK(isfinite(d));
    (void)text_nearest(line, words, sizeof words / sizeof words[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct labels *l = calloc(1, sizeof *l);

    FUZZ_CHECK(l);
    while (size > 0) {
        char *line = fuzz_line(&data, &size);
        check_line(l, line);
        free(line);
    }
    (void)labels_choose(l);
    free(l);
    return 0;
}
