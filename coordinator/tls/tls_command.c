#include "coordinator/tls/tls_command.h"

#include <argp.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include "core/base/options.h"
#include "core/base/text.h"
#include "coordinator/tls/authority.h"

#define PORT_DEFAULT 8420

struct input {
    const char *dir, *verb;
    struct tls_wanted wanted;
    struct err err;
};

enum { KEY_HOST = 0x100, KEY_PORT, KEY_DAYS };

static const struct argp_option option_list[] = {
    {"data", 'd', "DIR", 0, "The coordinator's data folder; made where absent", 0},
    {"host", KEY_HOST, "NAME,IP…", 0,
     "Names and addresses by which clients reach it; join files have the first. renew: those of "
     "before",
     0},
    {"port", KEY_PORT, "N", 0, "Port in join files (8420). renew: that of before", 0},
    {"days", KEY_DAYS, "N", 0, "How long the certificate is good (397)", 0},
    {0}};

static const char doc[] =
    "Makes a private authority in DIR/tls, and by it a certificate, which tacitd --data DIR shows "
    "from then on.\v"
    "init makes the authority, a certificate, DIR/agent.join and DIR/operator.join: one file each "
    "that tells a program where the coordinator is, whom to trust, and its token.\n"
    "renew makes another certificate by the same authority; a running tacitd takes it within "
    "seconds, and clients notice nothing.\n\n"
    "DIR/tls/authority.key is needed to renew alone: it may be kept elsewhere until then.\n\n"
    "Examples:\n"
    "  tacitd tls init --data /var/lib/tacit --host train.example.org,10.0.0.5\n"
    "  tacitd tls renew --data /var/lib/tacit\n"
    "  tacit-agent --join agent.join --work ./agent\n"
    "  tacit --join operator.join status";

static void number(struct argp_state *state, const char *option, const char *arg, uint64_t most,
                   uint64_t *out)
{
    if (!text_to_u64(arg, out) || *out < 1 || *out > most)
        argp_error(state, "%s %s: a number from 1 to %llu is wanted", option, arg,
                   (unsigned long long)most);
}

static error_t on_option(int key, char *arg, struct argp_state *state)
{
    struct input *in = state->input;
    uint64_t n = 0;

    switch (key) {
    case 'd':
        in->dir = arg;
        return 0;
    case KEY_HOST:
        if (tls_hosts_parse(arg, &in->wanted, &in->err))
            argp_error(state, "%s", in->err.message);
        return 0;
    case KEY_PORT:
        number(state, "--port", arg, 65535, &n);
        in->wanted.port = (uint16_t)n;
        return 0;
    case KEY_DAYS:
        number(state, "--days", arg, TLS_DAYS_MAX, &n);
        in->wanted.days = (uint32_t)n;
        return 0;
    case ARGP_KEY_ARG:
        if (in->verb || (strcmp(arg, "init") != 0 && strcmp(arg, "renew") != 0))
            argp_error(state, "'%s': init or renew is wanted", arg);
        in->verb = arg;
        return 0;
    case ARGP_KEY_END:
        if (!in->verb)
            argp_error(state, "init or renew is wanted");
        if (!in->dir)
            argp_error(state, "--data DIR is needed");
        if (strcmp(in->verb, "init") == 0 && in->wanted.host_count == 0)
            argp_error(state, "--host is needed: how clients reach this machine");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void tell(const struct input *in, const struct tls_made *made)
{
    char day[32] = "";
    time_t until = (time_t)(made->until_ms / 1000);
    struct tm utc;

    if (gmtime_r(&until, &utc))
        strftime(day, sizeof day, "%Y-%m-%d", &utc);
    printf("tacitd: a certificate for %s", in->wanted.host_count ? in->wanted.hosts[0] : made->url);
    for (unsigned i = 1; i < in->wanted.host_count; i++)
        printf(", %s", in->wanted.hosts[i]);
    printf(", good until %s\n", day);
    if (strcmp(in->verb, "renew") == 0) {
        printf("tacitd: a coordinator that runs in %s takes it within seconds; clients notice "
               "nothing\n",
               in->dir);
        return;
    }
    printf("tacitd: agents join with %s/agent.join, operators with %s/operator.join (%s)\n",
           in->dir, in->dir, made->url);
}

void tls_command_manual(struct manual *m)
{
    manual_section(m, "TLS");
    manual_doc_before(m, doc);
    manual_options(m, option_list);
    manual_paragraph(m);
    manual_doc_after(m, doc, false);
}

int tls_command(int argc, char **argv)
{
    static char name[] = "tacitd tls";
    static const struct argp parser = {option_list, on_option, "init|renew", doc, NULL, NULL, NULL};
    struct input in = {.dir = NULL};
    struct tls_made made;
    struct err e = {0};

    argv[0] = name;
    if (options_check(option_list, true, argc, argv, &e)) {
        fprintf(stderr, "tacitd tls: %s\nTry 'tacitd tls --help'.\n", e.message);
        return EX_USAGE;
    }
    argp_parse(&parser, argc, argv, 0, NULL, &in);
    bool init = strcmp(in.verb, "init") == 0;
    if (init && !in.wanted.port)
        in.wanted.port = PORT_DEFAULT;
    int rc = (init ? tls_init : tls_renew)(in.dir, &in.wanted, &made, &e);
    if (rc) {
        fprintf(stderr, "tacitd tls: %s\n", e.message);
        return err_exit_code(rc);
    }
    tell(&in, &made);
    return EX_OK;
}
