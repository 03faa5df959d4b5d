#include "core/data/ingest_parts.h"

#include <stdlib.h>
#include <string.h>

#define WRITE_BYTES (1u << 20)

int pack_init(struct pack *p, const char *path, const struct tokenizer *t, uint32_t vocab,
              uint32_t seq, struct err *e)
{
    memset(p, 0, sizeof *p);
    p->reader.fd = -1;
    p->seq = seq;
    p->width = vocab <= 65536 ? 2 : 4;
    p->record = (seq * p->width + 4 + LABEL_LEVELS + 3) & ~3u;
    p->tokenizer = t;
    buf_init(&p->out, (size_t)WRITE_BYTES + p->record);
    p->tokens = malloc(seq * sizeof *p->tokens);
    if (!p->tokens)
        return err_set(e, ERR_NO_MEMORY, "no memory for a sequence of %u tokens", seq);
    return env_file_new_open(&p->file, path, 0600, e);
}

void pack_free(struct pack *p)
{
    if (!p->tokens)
        return;
    env_reader_close(&p->reader);
    env_file_new_abandon(&p->file);
    buf_free(&p->out);
    free(p->tokens);
    memset(p, 0, sizeof *p);
}

static int flush(struct pack *p, struct err *e)
{
    int rc = p->out.len ? env_file_new_write(&p->file, p->out.data, p->out.len, e) : 0;
    buf_reset(&p->out);
    return rc;
}

static int put_sequence(struct pack *p, struct err *e)
{
    uint8_t *r = (uint8_t *)buf_reserve(&p->out, p->record, e);
    if (!r)
        return ERR_NO_MEMORY;
    memset(r, 0, p->record);
    for (uint32_t k = 0; k < p->seq; k++) {
        uint32_t t = p->tokens[k];
        for (uint32_t b = 0; b < p->width; b++)
            r[k * p->width + b] = (uint8_t)(t >> 8 * b);
    }
    r += p->seq * p->width;
    for (uint32_t b = 0; b < 4; b++)
        r[b] = (uint8_t)(p->bytes >> 8 * b);
    memcpy(r + 4, p->labels, LABEL_LEVELS);
    p->out.len += p->record;
    p->sequences++;
    p->filled = 0;
    return p->out.len >= WRITE_BYTES ? flush(p, e) : 0;
}

static int put_token(struct pack *p, uint32_t id, const uint8_t labels[LABEL_LEVELS], struct err *e)
{
    if (p->filled == 0) {
        memcpy(p->labels, labels, LABEL_LEVELS);
        p->bytes = 0;
    } else {
        p->bytes += tokenizer_text_bytes(p->tokenizer, id);
    }
    p->tokens[p->filled++] = id;
    return p->filled == p->seq ? put_sequence(p, e) : 0;
}

int pack_add(struct pack *p, const uint32_t *ids, size_t count, uint64_t text_bytes,
             const uint8_t labels[LABEL_LEVELS], struct err *e)
{
    int rc = 0;
    for (size_t i = 0; i < count && !rc; i++)
        rc = put_token(p, ids[i], labels, e);
    if (!rc)
        rc = put_token(p, tokenizer_end(p->tokenizer), labels, e);
    p->total_tokens += count + 1;
    p->text_bytes += text_bytes;
    p->documents++;
    return rc;
}

int pack_finish(struct pack *p, struct err *e)
{
    int rc = flush(p, e);
    return rc ? rc : env_reader_open(&p->reader, p->file.temporary, e);
}

int pack_read(struct pack *p, uint64_t i, uint32_t *tokens, uint32_t *bytes,
              uint8_t labels[LABEL_LEVELS], struct err *e)
{
    uint8_t *r = (uint8_t *)buf_reserve(&p->out, p->record, e);
    if (!r)
        return ERR_NO_MEMORY;
    int rc = env_reader_at(&p->reader, i * p->record, r, p->record, e);
    if (rc)
        return rc;
    for (uint32_t k = 0; k < p->seq; k++) {
        uint32_t t = 0;
        for (uint32_t b = p->width; b-- > 0;)
            t = t << 8 | r[k * p->width + b];
        tokens[k] = t;
    }
    r += p->seq * p->width;
    *bytes = (uint32_t)r[0] | (uint32_t)r[1] << 8 | (uint32_t)r[2] << 16 | (uint32_t)r[3] << 24;
    memcpy(labels, r + 4, LABEL_LEVELS);
    return 0;
}
