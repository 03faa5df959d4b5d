/* tacit config: which coordinator commands talk to, and what says so. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include "core/protocol/field.h"
#include "ops/cli/command.h"
#include "ops/cli/printed.h"
#include "ops/cli/text_table.h"

struct config_setting {
    const char *name, *value, *source;
};
struct config_json {
    const char *file;
    bool found;
    const struct config_setting *settings;
    uint32_t setting_count;
    const struct config_setting *coordinators;
    uint32_t coordinator_count;
};

#define SETTING_FIELD(member, text)                                                                \
    {                                                                                              \
        .name = #member, .type = FIELD_STRING, .offset = offsetof(struct config_setting, member),  \
        .length_max = 8192, .absent_null = true, .about = text                                     \
    }
static const struct field setting_fields[] = {SETTING_FIELD(name, ""),
                                              SETTING_FIELD(value, "null: not set"),
                                              SETTING_FIELD(source, "what says so")};
static const struct message message_setting = {
    .name = "setting",
    .size = sizeof(struct config_setting),
    .fields = setting_fields,
    .field_count = sizeof setting_fields / sizeof setting_fields[0],
};
static const struct field config_fields[] = {
    {.name = "file",
     .type = FIELD_STRING,
     .offset = offsetof(struct config_json, file),
     .length_max = 8192,
     .absent_null = true,
     .about = "the configuration file's path"},
    {.name = "found",
     .type = FIELD_BOOL,
     .offset = offsetof(struct config_json, found),
     .about = "whether it is there"},
    {.name = "settings",
     .type = FIELD_ARRAY,
     .offset = offsetof(struct config_json, settings),
     .count_offset = offsetof(struct config_json, setting_count),
     .length_max = 16,
     .of = &message_setting,
     .about = "what holds"},
    {.name = "coordinators",
     .type = FIELD_ARRAY,
     .offset = offsetof(struct config_json, coordinators),
     .count_offset = offsetof(struct config_json, coordinator_count),
     .length_max = SETTINGS_COORDINATORS_MAX,
     .of = &message_setting,
     .about = "of the file: name, address, line"},
};
const struct message message_config = {
    .name = "config",
    .size = sizeof(struct config_json),
    .fields = config_fields,
    .field_count = sizeof config_fields / sizeof config_fields[0],
};

static void print_example(const struct settings *s)
{
    const char *file = s->file ? s->file : "~/.config/tacit/config.ini";
    printf("\nThere is no %s.\nIt would name coordinators, so that neither options nor the "
           "environment need to:\n\n"
           "  default = lab\n"
           "  [lab]\n"
           "  url = https://train.example.org:8420\n"
           "  # beside this file, being no absolute path:\n"
           "  token-file = lab.token\n"
           "  # where its certificate is its own:\n"
           "  ca = lab.pem\n"
           "  [laptop]\n"
           "  url = http://127.0.0.1:8420\n"
           "  token-file = ~/tacit/data/admin.token\n\n"
           "Then `tacit status` asks lab, and `tacit --at laptop status` the other.\n",
           file);
}

static void print_config(struct cli *cli, const struct config_json *j)
{
    static const char *const titles[] = {"setting", "value", "source", NULL};
    static const char *const coordinators[] = {"coordinator", "url", "line", NULL};
    struct table t;
    table_init(&t, &cli->arena, titles);
    for (uint32_t i = 0; i < j->setting_count; i++) {
        const struct config_setting *s = &j->settings[i];
        const char *cells[] = {s->name, s->value, s->source};
        table_row(&t, cells);
    }
    table_print(&t, stdout, cli->color);
    if (!j->found) {
        print_example(&cli->settings);
        return;
    }
    printf("\nIn %s:\n", j->file);
    table_init(&t, &cli->arena, coordinators);
    for (uint32_t i = 0; i < j->coordinator_count; i++) {
        const char *cells[] = {j->coordinators[i].name, j->coordinators[i].value,
                               j->coordinators[i].source};
        table_row(&t, cells);
    }
    table_print(&t, stdout, cli->color);
}

int cmd_config(struct cli *cli, int argc, char **argv)
{
    static const struct cli_options o = {
        .doc = "Which coordinator commands talk to: each setting, and what says so. Options win "
               "over the environment, the environment over the default of the configuration file, "
               "$XDG_CONFIG_HOME/tacit/config.ini or ~/.config/tacit/config.ini. With --at, the "
               "environment does not count. An address from an option or the environment never "
               "gets a token from the file.\v"
               "Examples:\n  tacit config\n  tacit --at lab config",
        .json = true,
    };
    struct config_setting all[SETTINGS_COORDINATORS_MAX];
    struct err e = {0};
    int code;
    if (!cli_parse(cli, &o, argc, argv, NULL, &code))
        return code;
    const struct settings *s = &cli->settings;
    const struct config_setting holds[] = {
        {"coordinator", s->coordinator.value, s->coordinator.source},
        {"url", s->url.value, s->url.source},
        {"token-file", s->token_file.value, s->token_file.source},
        {"ca", s->ca.value, s->ca.source}};
    for (int i = 0; i < s->count; i++)
        all[i] = (struct config_setting){s->sections[i].name, s->sections[i].url.value,
                                         s->sections[i].url.source};
    struct config_json j = {.file = s->file,
                            .found = s->found,
                            .settings = holds,
                            .setting_count = sizeof holds / sizeof holds[0],
                            .coordinators = all,
                            .coordinator_count = (uint32_t)s->count};
    if (!cli->json)
        print_config(cli, &j);
    else if (cli_print_json(&message_config, &j, &e))
        return cli_fail(cli, &e);
    return 0;
}
