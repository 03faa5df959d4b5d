#include "agent/settings_print.h"

#include <stddef.h>
#include <stdio.h>
#include "core/protocol/field.h"

struct setting {
    const char *name, *value, *source;
};

#define SETTING_FIELD(member, text)                                                                \
    {                                                                                              \
        .name = #member, .type = FIELD_STRING, .offset = offsetof(struct setting, member),         \
        .length_max = 8192, .absent_null = true, .about = text                                     \
    }
static const struct field fields[] = {SETTING_FIELD(name, ""),
                                      SETTING_FIELD(value, "null: not set"),
                                      SETTING_FIELD(source, "what says so")};
static const struct message message_setting = {.name = "setting",
                                               .size = sizeof(struct setting),
                                               .fields = fields,
                                               .field_count = sizeof fields / sizeof fields[0]};

int settings_print(const struct option_values *v, bool json, struct err *e)
{
    struct setting all[OPTION_VALUES_MAX];
    uint32_t count = 0;
    struct buf out;
    for (int i = 0; v->list[i].name; i++) {
        if (!(v->list[i].flags & OPTION_TYPED_ONLY)) {
            all[count++] = (struct setting){v->list[i].name, v->at[i].value, v->at[i].source};
        }
    }
    if (!json) {
        printf("%-16s %-32s %s\n", "setting", "value", "source");
        for (uint32_t i = 0; i < count; i++) {
            printf("%-16s %-32s %s\n", all[i].name, all[i].value ? all[i].value : "-",
                   all[i].source ? all[i].source : "-");
        }
        return 0;
    }
    buf_init(&out, 1u << 20);
    int rc = message_encode_array(&message_setting, all, count, &out, e);
    if (!rc) {
        puts(out.data);
    }
    buf_free(&out);
    return rc;
}
