/* Where things come from, and whether what is stored is what its name says. What would break for a
 * user: a tree that tells of other inputs than a job really had, a digest that leads nowhere,
 * damage on the disk that a look at the whole store does not find. */
#include "tests/coordinator/run/whole_run.h"

static int lineage(struct world *w, const char *digits, struct msg_made *out)
{
    memset(out, 0, sizeof *out);
    return ask(w, NULL, lineage_show, digits, 0, NULL, out, NULL);
}

static int lineage_of(struct world *w, const struct digest *d, struct msg_made *out)
{
    char hex[DIGEST_HEX + 1];
    return lineage(w, digest_to_hex(d, hex), out);
}

static void check_same_grant(const struct msg_grant *a, const struct msg_grant *b)
{
    assert_int_equal(a->job, b->job);
    assert_int_equal(a->steps, b->steps);
    assert_int_equal(a->window_first, b->window_first);
    assert_int_equal(a->segment_count, b->segment_count);
    assert_int_equal(a->input_count, b->input_count);
    assert_memory_equal(a->inputs, b->inputs, a->input_count * sizeof *a->inputs);
}

static void a_tree_tells_what_jobs_were_told(void **state)
{
    (void)state;
    static const struct digest none;
    static struct msg_grant grants[GRANTS_MAX];
    struct world *w = world_make();
    struct msg_made made;
    make_run(w);
    uint32_t n = do_all(w, grants);
    for (uint32_t i = 0; i < n; i++) {
        memset(&made, 0, sizeof made);
        OK(ask(w, NULL, jobs_made, NULL, grants[i].job, NULL, &made, NULL));
        check_same_grant(made.grant, &grants[i]);
        assert_string_equal(made.agent, "machine");
        /* Every output leads to its job, and every input somewhere. */
        for (uint32_t k = 0; k < made.output_count; k++) {
            struct msg_made again;
            struct msg_blob *b = &made.outputs[k];
            OK(lineage_of(w, &b->digest, &again));
            assert_int_equal(again.what, MADE_BY_JOB);
            assert_true(again.grant->job <= grants[i].job); /* equal pieces have one first maker */
            if (!digest_equal(&b->content, &none)) {
                OK(lineage_of(w, &b->content, &again));
                assert_int_equal(again.grant->job, grants[i].job);
            }
        }
        for (uint32_t k = 0; k < made.grant->input_count; k++) {
            struct msg_made from;
            OK(lineage_of(w, &made.grant->inputs[k].digest, &from));
            if (from.what == MADE_BY_JOB)
                assert_true(from.grant->job < grants[i].job);
            else
                assert_int_equal(from.what, MADE_SHARD);
        }
    }
    world_free(w);
}

static void the_coordinators_jobs_have_inputs_too(void **state)
{
    (void)state;
    static struct msg_grant grants[GRANTS_MAX];
    struct world *w = world_make();
    struct msg_made made = {0};
    struct call c;
    uint32_t assigns = 0, reports = 0, count = 0;
    make_run(w);
    do_all(w, grants);
    OK(ask(w, NULL, runs_results, "demo", 0, NULL, NULL, &c));
    for (const char *at = c.raw; (at = strstr(at, "\"job\":")); at++) {
        uint64_t id = strtoull(at + 6, NULL, 10);
        memset(&made, 0, sizeof made);
        OK(ask(w, NULL, jobs_made, NULL, id, NULL, &made, NULL));
        count++;
        if (made.grant->kind == JOB_ASSIGN) {
            assigns++;
            assert_true(made.grant->input_count > 0);
            assert_int_equal(made.grant->inputs[0].role, ROLE_SCORES);
        }
        if (made.grant->kind == JOB_REPORT) {
            reports++;
            assert_true(made.grant->input_count >= 2 * EXPERTS); /* evaluations */
        }
        assert_true(made.agent || made.doer == 0);
    }
    assert_int_equal(reports, 1);
    assert_int_equal(assigns, 1 + 3); /* a round, and the chunks of 200 sequences */
    assert_true(count > 20);
    world_free(w);
}

static void first_digits_do(void **state)
{
    (void)state;
    struct world *w = world_make();
    struct msg_made made;
    char hex[DIGEST_HEX + 1], digits[16];
    struct run_row run;
    struct store_conn *c;
    struct msg_dataset d;
    make_run(w);
    OK(store_read_begin(w->service.store, &c, &err));
    OK(op_run_find(c, "demo", &w->arena, &run, &err));
    OK(op_dataset_get(c, run.dataset, true, &w->arena, &d, &err));
    store_read_end(w->service.store, c);
    snprintf(digits, sizeof digits, "%.9s", digest_to_hex(&run.spec, hex)); /* an odd number */
    OK(lineage(w, digits, &made));
    assert_int_equal(made.what, MADE_SPEC);
    assert_string_equal(made.run, "demo");
    assert_true(digest_equal(&made.digest, &run.spec));
    OK(lineage_of(w, &d.tokenizer, &made));
    assert_int_equal(made.what, MADE_TOKENIZER);
    OK(lineage_of(w, &d.heldout[0].digest, &made));
    assert_int_equal(made.what, MADE_SHARD);
    assert_string_equal(made.split, "held-out");
    assert_string_equal(made.dataset, "corpus");
    assert_int_equal(lineage(w, "abc", &made), ERR_INVALID);
    assert_int_equal(lineage(w, "wxyz0123", &made), ERR_INVALID);
    assert_int_equal(lineage(w, "ABCDEF01", &made), ERR_INVALID);
    snprintf(digits, sizeof digits, "%.12s", hex);
    digits[11] = digits[11] == '0' ? '1' : '0';
    assert_int_equal(lineage(w, digits, &made), ERR_NOT_FOUND);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tree_tells_what_jobs_were_told),
        cmocka_unit_test(the_coordinators_jobs_have_inputs_too),
        cmocka_unit_test(first_digits_do),
    };
    return cmocka_run_group_tests(tests, forge_folder_make, forge_folder_remove);
}
