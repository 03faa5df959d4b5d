#include "coordinator/tacitd_doctor.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <unistd.h>
#include "core/doctor/doctor.h"
#include "core/env/network.h"
#include "core/env/process.h"
#include "coordinator/api/address.h"

#define DATA_LEAST (256ull << 20)
#define DATA_ENOUGH (5ull << 30)
#define REACH_MS 2000
#define OUT_MAX (1u << 20)

/* Whether something listens where the coordinator would; then it should be this one. */
static void look_at_port(struct doctor *d, const struct tacitd_options *o)
{
    const struct listen_address *a = o->address;
    bool six = a->socket.any.sa_family == AF_INET6;
    uint16_t port = ntohs(six ? a->socket.v6.sin6_port : a->socket.v4.sin_port);
    const char *host = six ? "::1" : "127.0.0.1", *scheme = o->certificate ? "https" : "http";
    struct arena *m = &d->arena;
    struct err e = {0};
    int64_t took;
    if (port == 0) {
        doctor_tell(d, FINDING_OK, 0, "port", NULL, "a free one is taken at the start");
        return;
    }
    if (env_net_reach(host, port, REACH_MS, &took, &e)) {
        doctor_tell(d, FINDING_OK, 0, "port", NULL, "%u is free: no coordinator runs there", port);
        return;
    }
    /* The certificate is made for the names that others use, so that the way is looked at from
     * there: `tacit doctor`. */
    if (o->certificate) {
        doctor_tell(d, FINDING_OK, 0, "port", NULL,
                    "%u: something listens; `tacit doctor` on an operator's machine looks at its "
                    "certificate",
                    port);
        return;
    }
    const struct doctor_way way = {
        .url = arena_printf(m, six ? "%s://[%s]:%u" : "%s://%s:%u", scheme, host, port),
        .token_file = arena_printf(m, "%s/admin.token", o->dir),
        .role = DOCTOR_OPERATOR,
        .option = "--listen"};
    (void)doctor_way(d, &way);
}

int tacitd_doctor(const struct tacitd_options *o, bool json)
{
    struct doctor d;
    struct buf out;
    struct err e = {0};
    const char *no_color = env_get("NO_COLOR");
    bool color = isatty(STDOUT_FILENO) && !(no_color && *no_color);
    buf_init(&out, OUT_MAX);
    doctor_init(&d);
    doctor_folder(&d, "data folder", o->dir, DATA_LEAST, DATA_ENOUGH);
    look_at_port(&d, o);
    doctor_machine(&d, 0, NULL);
    int rc = json ? doctor_json(&d, &out, &e) : doctor_text(&d, color, &out, &e);
    int code = rc ? err_exit_code(rc) : d.code;
    if (rc)
        fprintf(stderr, "tacitd: %s\n", e.message);
    else
        printf("%s%s", out.data, json ? "\n" : "");
    doctor_free(&d);
    buf_free(&out);
    return code;
}
