/* The texts beside a model of the layout hf. Documents of ours follow the end of the one before,
 * so the end token is what begins a text, too. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "core/checkpoint/export.h"

/* Takes root. */
static int text_of(json_t *root, struct buf *out, struct err *e)
{
    char *text = root ? json_dumps(root, JSON_INDENT(2)) : NULL;
    json_decref(root);
    if (!text)
        return err_set(e, ERR_NO_MEMORY, "no memory for a file of JSON");
    int rc = buf_append(out, text, strlen(text), e);
    if (!rc)
        rc = buf_append(out, "\n", 1, e);
    free(text);
    return rc;
}

int export_hf_config(const struct model_config *c, enum export_type type, uint32_t end,
                     struct buf *out, struct err *e)
{
    json_t *root = json_pack(
        "{s:[s],s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:s,s:f,s:f,s:b,s:b,s:n,s:f,s:f,s:f,s:f,s:b,s:I,s:"
        "I,"
        "s:s}",
        "architectures", "Starcoder2ForCausalLM", "model_type", "starcoder2", "vocab_size",
        (json_int_t)c->vocab, "hidden_size", (json_int_t)c->hidden, "intermediate_size",
        (json_int_t)c->ffn, "num_hidden_layers", (json_int_t)c->layers, "num_attention_heads",
        (json_int_t)c->heads, "num_key_value_heads", (json_int_t)c->heads,
        "max_position_embeddings", (json_int_t)c->seq, "hidden_act", "gelu_pytorch_tanh",
        "norm_epsilon", 1e-5, "rope_theta", 10000.0, "use_bias", 0, "tie_word_embeddings", 1,
        "sliding_window", "attention_dropout", 0.0, "residual_dropout", 0.0, "embedding_dropout",
        0.0, "initializer_range", 0.02, "use_cache", 1, "bos_token_id", (json_int_t)end,
        "eos_token_id", (json_int_t)end, "torch_dtype",
        type == EXPORT_BF16 ? "bfloat16" : "float32");
    return text_of(root, out, e);
}

int export_hf_generation(uint32_t end, struct buf *out, struct err *e)
{
    return text_of(json_pack("{s:I,s:I,s:b,s:f}", "bos_token_id", (json_int_t)end, "eos_token_id",
                             (json_int_t)end, "do_sample", 1, "temperature", 0.8),
                   out, e);
}

int export_hf_tokenizer_config(const struct pieces *p, uint32_t seq, struct buf *out, struct err *e)
{
    const char *end = p->list[p->end].text, *unknown = p->list[p->unknown].text;
    return text_of(json_pack("{s:s,s:I,s:s,s:s,s:s,s:b,s:b,s:b,s:b}", "tokenizer_class",
                             "PreTrainedTokenizerFast", "model_max_length", (json_int_t)seq,
                             "bos_token", end, "eos_token", end, "unk_token", unknown,
                             "add_bos_token", 0, "add_eos_token", 0, "clean_up_tokenization_spaces",
                             0, "legacy", 0),
                   out, e);
}
