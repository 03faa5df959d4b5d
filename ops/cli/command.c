#include "ops/cli/command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include "core/base/options.h"
#include "core/base/text.h"
#include "core/env/process.h"
#include "core/protocol/messages.h"

enum { KEY_AT = 0x100, KEY_URL, KEY_TOKEN_FILE, KEY_CA, KEY_JOIN, KEY_JSON };

static const struct argp_option connection_options[] = {
    {"at", KEY_AT, "COORDINATOR", 0,
     "The one of this name in the configuration file (`tacit config`)", 90},
    {"url", KEY_URL, "URL", 0, "The coordinator, http://HOST:PORT (default: $TACIT_URL)", 90},
    {"token-file", KEY_TOKEN_FILE, "FILE", 0,
     "A file that holds the admin token (default: $TACIT_TOKEN_FILE)", 90},
    {"ca", KEY_CA, "FILE", 0, "Trust these certificates for https (default: $TACIT_CA)", 90},
    {"join", KEY_JOIN, "FILE", 0, "All three in one file, DIR/operator.join (default: $TACIT_JOIN)",
     90},
};
static const struct argp_option json_option = {"json", KEY_JSON, NULL, 0, "Print JSON, for scripts",
                                               91};
static const struct argp_option help_option = {"help", 'h', NULL, 0, "Print this help", 99};

struct parse {
    struct cli *cli;
    const struct cli_options *o;
    void *input;
    struct argp_option known[CLI_KNOWN_MAX];
    struct argp argp;
    struct err err;
};

int cli_known_options(const struct cli_options *o, struct argp_option known[CLI_KNOWN_MAX])
{
    int n = 0;
    for (const struct argp_option *own = o->options; own && own->name; own++)
        known[n++] = *own;
    if (!o->offline)
        for (size_t i = 0; i < sizeof connection_options / sizeof connection_options[0]; i++)
            known[n++] = connection_options[i];
    if (o->json)
        known[n++] = json_option;
    known[n++] = help_option;
    known[n] = (struct argp_option){0};
    return n;
}

/* --- parsing ---------------------------------------------------------------------------------- */

static error_t parse_key(int key, char *arg, struct argp_state *state)
{
    struct parse *p = state->input;
    struct cli *cli = p->cli;
    switch (key) {
    case KEY_AT:
        cli->given.at = arg;
        return 0;
    case KEY_URL:
        cli->given.url = arg;
        return 0;
    case KEY_TOKEN_FILE:
        cli->given.token_file = arg;
        return 0;
    case KEY_CA:
        cli->given.ca = arg;
        return 0;
    case KEY_JOIN:
        cli->given.join = arg;
        return 0;
    case KEY_JSON:
        cli->json = true;
        return 0;
    case 'h':
        argp_help(&p->argp, stdout, ARGP_HELP_STD_HELP & ~ARGP_HELP_EXIT_OK, state->argv[0]);
        return ECANCELED;
    case ARGP_KEY_ARG:
        cli->args[cli->arg_count++] = arg;
        return 0;
    }
    if (key <= 0 || key >= ARGP_KEY_END)
        return ARGP_ERR_UNKNOWN;
    return p->o->set && p->o->set(p->input, key, arg, &p->err) == 0 ? 0 : EINVAL;
}

static int check_args(struct parse *p)
{
    const struct cli_options *o = p->o;
    int n = p->cli->arg_count;
    if (n < o->args_min)
        return err_set(&p->err, ERR_INVALID, "%s missing: %s %s",
                       o->args_min - n == 1 ? "an argument is" : "arguments are", p->cli->command,
                       o->args);
    if (o->args_max >= 0 && n > o->args_max)
        return err_set(&p->err, ERR_INVALID, "'%s' is one argument too many: %s%s%s",
                       p->cli->args[o->args_max], p->cli->command, o->args ? " " : "",
                       o->args ? o->args : "");
    return 0;
}

bool cli_parse(struct cli *cli, const struct cli_options *o, int argc, char **argv, void *input,
               int *code)
{
    struct parse p = {.cli = cli, .o = o, .input = input};
    if (cli->describe) {
        *cli->describe = o;
        *code = EX_OK;
        return false;
    }
    cli->command = argv[0];
    cli_known_options(o, p.known);
    p.argp =
        (struct argp){.options = p.known, .parser = parse_key, .args_doc = o->args, .doc = o->doc};
    cli->args = arena_alloc_array(&cli->arena, (size_t)argc, sizeof *cli->args);
    cli->arg_count = 0;
    int rc = cli->args ? options_check(p.known, false, argc, argv, &p.err)
                       : err_set(&p.err, ERR_NO_MEMORY, "no memory for the arguments");
    if (!rc) {
        error_t error = argp_parse(&p.argp, argc, argv, ARGP_SILENT, NULL, &p);
        if (error == ECANCELED) {
            *code = EX_OK;
            return false;
        }
        rc = error && !p.err.code ? err_set(&p.err, ERR_INVALID, "these options do not fit")
                                  : p.err.code;
    }
    if (!rc)
        rc = check_args(&p);
    if (!rc && !o->offline && cli_settings(cli, &p.err)) {
        *code = cli_fail(cli, &p.err);
        return false;
    }
    if (rc) {
        *code = cli_fail(cli, &p.err);
        fprintf(stderr, "`%s --help` explains, with examples.\n", cli->command);
        return false;
    }
    return true;
}

int cli_u64(const char *option, const char *arg, uint64_t min, uint64_t max, uint64_t *out,
            struct err *e)
{
    if (!text_to_u64(arg, out) || *out < min || *out > max)
        return err_set(e, ERR_INVALID, "%s %s: a whole number from %llu to %llu is wanted", option,
                       arg, (unsigned long long)min, (unsigned long long)max);
    return 0;
}

int cli_double(const char *option, const char *arg, double min, double max, double *out,
               struct err *e)
{
    if (!text_to_double(arg, out) || *out < min || *out > max)
        return err_set(e, ERR_INVALID, "%s %s: a number from %g to %g is wanted", option, arg, min,
                       max);
    return 0;
}

/* --- the coordinator -------------------------------------------------------------------------- */

int cli_settings(struct cli *cli, struct err *e)
{
    int rc = settings_read(&cli->given, &cli->arena, &cli->settings, e);
    cli->url = cli->settings.url.value;
    cli->token_file = cli->settings.token_file.value;
    cli->ca_file = cli->settings.ca.value;
    return rc;
}

int cli_connect(struct cli *cli, struct err *e)
{
    if (!cli->url || !*cli->url)
        return err_set(e, ERR_INVALID,
                       "no coordinator is named: set TACIT_URL=http://HOST:PORT, give --url, or "
                       "write it down once (`tacit config` shows where)");
    if (!cli->token_file || !*cli->token_file)
        return err_set(e, ERR_INVALID,
                       "no token: set TACIT_TOKEN_FILE=DIR/admin.token (DIR is the coordinator's "
                       "data folder), or give --token-file");
    struct client_options o = {
        .url = cli->url, .token_file = cli->token_file, .ca_file = cli->ca_file};
    return client_open(&cli->client, &o, e);
}

int cli_fail(const struct cli *cli, const struct err *e)
{
    fflush(stdout);
    fprintf(stderr, "%s: %s\n", cli->command, e->message);
    return err_exit_code(e->code);
}

bool cli_may_pass(int code)
{
    return code == ERR_UNAVAILABLE || code == ERR_BUSY || code == ERR_TIMEOUT;
}

bool cli_may_mend(int code)
{
    return cli_may_pass(code) || code == ERR_NO_SPACE || code == ERR_INTERNAL ||
           code == ERR_PROTOCOL;
}

const char *cli_path(struct cli *cli, const char *prefix, const char *name, const char *suffix)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t len = strlen(name), n = 0;
    char *out = arena_alloc(&cli->arena, 3 * len + 1);
    if (!out)
        return "/";
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)name[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '_' || c == '.' || c == '~';
        if (plain) {
            out[n++] = (char)c;
        } else {
            out[n++] = '%';
            out[n++] = hex[c >> 4];
            out[n++] = hex[c & 15];
        }
    }
    const char *path = arena_printf(&cli->arena, "%s%s%s", prefix, out, suffix);
    return path ? path : "/";
}

int cli_print_raw(struct cli *cli, const char *path, struct err *e)
{
    const char *json;
    size_t len;
    int rc = client_get_raw(cli->client, path, &json, &len, &cli->arena, e);
    if (rc)
        return rc;
    fwrite(json, 1, len, stdout);
    if (len == 0 || json[len - 1] != '\n')
        putchar('\n');
    return 0;
}

int cli_print_json(const struct message *m, const void *value, struct err *e)
{
    struct buf b;
    buf_init(&b, 64u << 20);
    int rc = message_encode(m, value, &b, e);
    if (!rc)
        puts(b.data);
    buf_free(&b);
    return rc;
}

void cli_heading(const struct cli *cli, const char *title)
{
    printf(cli->color ? "\n\033[1m%s\033[0m\n" : "\n%s\n", title);
}
