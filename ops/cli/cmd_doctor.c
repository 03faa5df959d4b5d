/* tacit doctor: what may keep an operator's machine from talking to the coordinator. */
#include <stdio.h>
#include "core/doctor/doctor.h"
#include "core/protocol/spec.h"
#include "ops/cli/command.h"
#include "ops/cli/folder.h"
#include "ops/cli/spec_file.h"

#define CACHE_LEAST (64u << 20)
#define CACHE_ENOUGH (1ull << 30) /* models of a run that one samples or verifies */
#define OUT_MAX (1u << 20)

struct doctor_input {
    const char *spec;
};

enum { DOCTOR_SPEC = OPTION_FIRST };

static int set_doctor(void *input, int key, const char *arg, struct err *e)
{
    (void)key;
    (void)e;
    ((struct doctor_input *)input)->spec = arg;
    return 0;
}

/* What the spec's data set looks like, the coordinator knows. */
static void look_at_spec(struct cli *cli, struct doctor *d, const char *file, bool reached)
{
    struct buf text;
    struct run_spec spec;
    struct msg_dataset data = {0};
    struct err e = {0};
    int rc = reached ? spec_file_read(file, &text, &spec, &e)
                     : err_set(&e, ERR_UNAVAILABLE, "its data set can't be asked for");
    if (!rc) {
        buf_free(&text);
        rc = cli_connect(cli, &e);
    }
    if (!rc)
        rc = client_call(cli->client, "GET", cli_path(cli, "/v1/datasets/", spec.dataset, ""), NULL,
                         NULL, &message_dataset, &data, &cli->arena, 0, &e);
    if (rc)
        doctor_tell(d, reached ? FINDING_FAULT : FINDING_WARN, err_exit_code(rc), "memory",
                    reached ? "name a spec whose data set is there: `tacit datasets`"
                            : "mend the way to the coordinator first",
                    "of %s: %s", file, e.message);
    else
        doctor_spec(d, file, (uint32_t)data.vocab, (uint32_t)data.seq);
}

static void look(struct cli *cli, struct doctor *d, const char *spec)
{
    const struct doctor_way way = {.url = cli->url,
                                   .token_file = cli->token_file,
                                   .ca_file = cli->ca_file,
                                   .role = DOCTOR_OPERATOR,
                                   .option = "--url"};
    const char *cache;
    struct err e = {0};
    bool reached = doctor_way(d, &way);
    int rc = folder_cache(&cli->arena, &cache, &e);
    if (rc)
        doctor_tell(d, FINDING_WARN, 0, "disk", "set XDG_CACHE_HOME to a folder that can be used",
                    "no cache: %s", e.message);
    else
        doctor_folder(d, "cache", cache, CACHE_LEAST, CACHE_ENOUGH);
    if (spec)
        look_at_spec(cli, d, spec, reached);
    else
        doctor_machine(d, 0, NULL);
    doctor_kernels(d);
}

int cmd_doctor(struct cli *cli, int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"spec", DOCTOR_SPEC, "SPEC.ini", 0,
         "Also whether this machine's memory is enough to train its experts", 1},
        {0}};
    static const struct cli_options o = {
        .options = options,
        .doc = "Looks at all that may keep this machine from work, one line each: settings, the "
               "coordinator's name and port, proxies, the certificate and its end, clocks, "
               "versions, the token and whose it is, the disk's room and speed, memory, "
               "instruction sets and their self-test, what overrides libraries. A fault stands "
               "with what mends it. Exits 0 where nothing prevents work. On an agent's machine: "
               "`tacit-agent --doctor`, on the coordinator's: `tacitd --doctor`.\v"
               "Examples:\n  tacit doctor\n  tacit doctor --spec my.ini\n"
               "  tacit doctor --json | jq -r '.findings[] | select(.level == \"fault\").fix'",
        .json = true,
        .set = set_doctor,
    };
    struct doctor_input in = {0};
    struct doctor d;
    struct buf out;
    struct err e = {0};
    int code;
    if (!cli_parse(cli, &o, argc, argv, &in, &code))
        return code;
    buf_init(&out, OUT_MAX);
    doctor_init(&d);
    look(cli, &d, in.spec);
    int rc = cli->json ? doctor_json(&d, &out, &e) : doctor_text(&d, cli->color, &out, &e);
    if (!rc)
        printf("%s%s", out.data, cli->json ? "\n" : "");
    code = rc ? cli_fail(cli, &e) : d.code;
    doctor_free(&d);
    buf_free(&out);
    return code;
}
