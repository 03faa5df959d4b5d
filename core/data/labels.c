#include "core/data/labels.h"

#include <string.h>
#include "core/base/text.h"

void label_clean(char out[LABEL_BYTES + 1], const char *name, size_t len)
{
    if (len > LABEL_BYTES) {
        len = LABEL_BYTES;
        while (len && ((unsigned char)name[len] & 0xc0) == 0x80)
            len--;
    }
    for (size_t i = 0; i < len; i++)
        out[i] = (unsigned char)name[i] < 32 || name[i] == 127 ? '_' : name[i];
    out[len] = 0;
    if (text_is_utf8(out, len))
        return;
    for (size_t i = 0; i < len; i++) /* names of files may be in any encoding */
        if ((unsigned char)out[i] >= 0x80)
            out[i] = '?';
}

uint8_t labels_number(struct labels *l, enum label_level level, const char *name)
{
    struct label_table *t = &l->level[level];
    if (t->over)
        return 0;
    if (t->count && !strcmp(t->names[t->last], name))
        return (uint8_t)t->last;
    for (uint32_t i = 0; i < t->count; i++)
        if (!strcmp(t->names[i], name)) {
            t->last = i;
            return (uint8_t)i;
        }
    if (t->count == SHARD_LABELS_MAX) {
        t->over = true;
        return 0;
    }
    strcpy(t->names[t->count], name);
    t->last = t->count++;
    return (uint8_t)t->last;
}

enum label_level labels_choose(const struct labels *l)
{
    int level = 0;
    while (level < LABEL_LEVELS && (l->level[level].over || !l->level[level].count))
        level++;
    return (enum label_level)level;
}
