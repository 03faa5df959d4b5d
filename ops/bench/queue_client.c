/* The clients of ops/bench/queues.py, as light as each protocol allows: raw sockets, one thread a
 * client. One JSON line is printed.
 *
 *   queue_client work SYSTEM PORT CLIENTS SECONDS [TOKENS BODY | CLAIM COMPLETE]
 *       claims a job and completes it, again and again. SYSTEM: tacit (TOKENS: a file with an
 *       agent's token a line; BODY: what a completion says after its fence), beanstalkd, postgresql
 *       (CLAIM, COMPLETE: statements that prepare `claim` and `complete`)
 *   queue_client sync FILE SECONDS         writes 4 KiB and waits for the disk, again and again
 *   queue_client upload PORT TOKEN BYTES SEED      sends a blob of so many bytes
 *   queue_client write FILE BYTES SEED             writes the same bytes to a file, fsync at the
 * end
 *
 * work and sync end early at SIGTERM. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "core/base/digest.h"

#define CLIENTS_MAX 256
#define ANSWER_MAX (1u << 16)
#define SAMPLES_MAX (1u << 20)
#define PIECE (1u << 20)

static volatile sig_atomic_t stopped;

static void on_term(int number)
{
    (void)number;
    stopped = 1;
}

static void die(const char *what)
{
    fprintf(stderr, "queue_client: %s: %s\n", what, errno ? strerror(errno) : "unexpected");
    exit(1);
}

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int dial(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a))
        die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static void send_all(int fd, const void *data, size_t len)
{
    const char *p = data;
    while (len > 0) {
        ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
        if (n <= 0)
            die("send");
        p += n;
        len -= (size_t)n;
    }
}

/* --- samples ---------------------------------------------------------------------------------- */

struct samples {
    float *ms; /* owned */
    size_t count;
};

static void sample(struct samples *s, double seconds)
{
    if (s->count < SAMPLES_MAX)
        s->ms[s->count++] = (float)(seconds * 1000);
}

static int compare(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static float quantile(struct samples *s, double q)
{
    return s->count > 0 ? s->ms[(size_t)((double)(s->count - 1) * q)] : 0;
}

static void report(struct samples *s, size_t done, double seconds)
{
    qsort(s->ms, s->count, sizeof *s->ms, compare);
    printf("{\"done\":%zu,\"seconds\":%.4f,\"p50_ms\":%.4f,\"p99_ms\":%.4f}\n", done, seconds,
           (double)quantile(s, 0.5), (double)quantile(s, 0.99));
}

/* --- one client ------------------------------------------------------------------------------- */

struct client {
    pthread_t thread;
    int fd, number;
    char token[160], *answer;
    size_t have; /* bytes of answer */
    struct samples claims;
    size_t done;
};

static struct {
    const char *system, *body, *claim, *complete; /* the last two: prepared, of PostgreSQL */
    double until;
} work;

static void receive(struct client *c)
{
    ssize_t n = recv(c->fd, c->answer + c->have, ANSWER_MAX - 1 - c->have, 0);
    if (n <= 0)
        die("recv");
    c->have += (size_t)n;
    c->answer[c->have] = 0;
}

/* One HTTP exchange; the status. The answer's body begins at *body. */
static int http(struct client *c, const char *path, const char *json, const char **body)
{
    char request[2048];
    int len = snprintf(request, sizeof request,
                       "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: "
                       "application/json\r\nContent-Length: %zu\r\n\r\n%s",
                       path, c->token, strlen(json), json);
    send_all(c->fd, request, (size_t)len);
    c->have = 0;
    const char *end = NULL, *length;
    while (!end) {
        receive(c);
        end = strstr(c->answer, "\r\n\r\n");
    }
    length = strcasestr(c->answer, "\r\nContent-Length:");
    size_t wanted = length && length < end ? strtoull(length + 17, NULL, 10) : 0;
    *body = end + 4;
    while (c->have < (size_t)(*body - c->answer) + wanted)
        receive(c);
    return atoi(c->answer + 9);
}

static bool number_after(const char *text, const char *name, unsigned long long *out)
{
    const char *at = strstr(text, name);
    *out = at ? strtoull(at + strlen(name), NULL, 10) : 0;
    return at != NULL;
}

static bool tacit_claim(struct client *c, unsigned long long job[3])
{
    const char *body;
    int status = http(c, "/v1/claims", "{\"wait_ms\":0}", &body);
    if (status == 204)
        return false;
    if (status != 200 || !number_after(body, "\"job\":", &job[0]) ||
        !number_after(body, "\"incarnation\":", &job[1]) ||
        !number_after(body, "\"counter\":", &job[2])) {
        fprintf(stderr, "%s\n", c->answer);
        die("claim");
    }
    return true;
}

static void tacit_complete(struct client *c, const unsigned long long job[3])
{
    char path[64], json[1024];
    const char *body;
    snprintf(path, sizeof path, "/v1/jobs/%llu/complete", job[0]);
    snprintf(json, sizeof json, "{\"fence\":{\"incarnation\":%llu,\"counter\":%llu},%s", job[1],
             job[2], work.body);
    if (http(c, path, json, &body) != 200) {
        fprintf(stderr, "%s\n", c->answer);
        die("complete");
    }
}

/* A line of an answer, as beanstalkd's are. */
static void line(struct client *c, const char *command)
{
    send_all(c->fd, command, strlen(command));
    c->have = 0;
    do {
        receive(c);
    } while (!strstr(c->answer, "\r\n"));
}

static bool beanstalkd_claim(struct client *c, unsigned long long job[3])
{
    unsigned long long bytes;
    line(c, "reserve-with-timeout 0\r\n");
    if (strncmp(c->answer, "TIMED_OUT", 9) == 0)
        return false;
    if (sscanf(c->answer, "RESERVED %llu %llu", &job[0], &bytes) != 2)
        die("reserve");
    size_t wanted = (size_t)(strstr(c->answer, "\r\n") - c->answer) + 2 + bytes + 2;
    while (c->have < wanted)
        receive(c);
    return true;
}

static void beanstalkd_complete(struct client *c, const unsigned long long job[3])
{
    char command[64];
    snprintf(command, sizeof command, "delete %llu\r\n", job[0]);
    line(c, command);
    if (strncmp(c->answer, "DELETED", 7) != 0)
        die("delete");
}

/* Messages up to ReadyForQuery; the first value of the first row, or "" where there is none. */
static void postgresql_answer(struct client *c, char value[32])
{
    c->have = 0;
    value[0] = 0;
    for (size_t at = 0;;) {
        while (c->have < at + 5)
            receive(c);
        uint32_t len;
        memcpy(&len, c->answer + at + 1, sizeof len);
        len = ntohl(len);
        while (c->have < at + 1 + len)
            receive(c);
        const char *data = c->answer + at + 5;
        if (c->answer[at] == 'E') {
            fprintf(stderr, "postgresql: %.200s\n", data);
            die("query");
        }
        if (c->answer[at] == 'D') {
            uint32_t size;
            memcpy(&size, data + 2, sizeof size);
            size = ntohl(size);
            snprintf(value, 32, "%.*s", (int)size, data + 6);
        }
        if (c->answer[at] == 'Z')
            return;
        at += 1 + len;
    }
}

static void postgresql_query(struct client *c, const char *sql, char value[32])
{
    char message[1024];
    uint32_t len = htonl((uint32_t)(4 + strlen(sql) + 1));
    message[0] = 'Q';
    memcpy(message + 1, &len, sizeof len);
    memcpy(message + 5, sql, strlen(sql) + 1);
    send_all(c->fd, message, 5 + strlen(sql) + 1);
    postgresql_answer(c, value);
}

static void postgresql_start(struct client *c)
{
    static const char words[] =
        "user\0postgres\0database\0postgres\0"; /* its end is one more zero */
    char message[128], ignored[32];
    uint32_t head[2] = {htonl(8 + sizeof words), htonl(196608)};
    memcpy(message, head, sizeof head);
    memcpy(message + sizeof head, words, sizeof words);
    send_all(c->fd, message, sizeof head + sizeof words);
    postgresql_answer(c, ignored);
    postgresql_query(c, work.claim, ignored);
    postgresql_query(c, work.complete, ignored);
}

static bool postgresql_claim(struct client *c, unsigned long long job[3])
{
    char sql[64], id[32];
    snprintf(sql, sizeof sql, "EXECUTE claim(%d)", c->number);
    postgresql_query(c, sql, id);
    job[0] = strtoull(id, NULL, 10);
    return id[0] != 0;
}

static void postgresql_complete(struct client *c, const unsigned long long job[3])
{
    char sql[200], id[32];
    snprintf(sql, sizeof sql,
             "EXECUTE complete(%llu, %d, "
             "'0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef')",
             job[0], c->number);
    postgresql_query(c, sql, id);
    if (!id[0])
        die("complete");
}

static const struct system {
    const char *name;
    bool (*claim)(struct client *c, unsigned long long job[3]);
    void (*complete)(struct client *c, const unsigned long long job[3]);
} systems[] = {{"tacit", tacit_claim, tacit_complete},
               {"beanstalkd", beanstalkd_claim, beanstalkd_complete},
               {"postgresql", postgresql_claim, postgresql_complete}};

static void *client_main(void *arg)
{
    struct client *c = arg;
    const struct system *s = systems;
    unsigned long long job[3];
    while (strcmp(s->name, work.system) != 0)
        s++;
    while (!stopped) {
        double began = now_s();
        if (began >= work.until)
            break;
        if (!s->claim(c, job)) {
            errno = 0;
            die("the queue ran dry");
        }
        sample(&c->claims, now_s() - began);
        s->complete(c, job);
        c->done++;
    }
    return NULL;
}

static void read_tokens(const char *path, struct client *c, int clients)
{
    FILE *f = fopen(path, "r");
    if (!f)
        die(path);
    for (int i = 0; i < clients; i++)
        if (fscanf(f, "%159s", c[i].token) != 1)
            die("too few tokens");
    fclose(f);
}

static int run_work(int argc, char **argv)
{
    static struct client clients[CLIENTS_MAX];
    struct samples all = {.ms = malloc(sizeof(float) * SAMPLES_MAX)};
    size_t done = 0;
    int port = atoi(argv[3]), n = atoi(argv[4]);

    if (n < 1 || n > CLIENTS_MAX || !all.ms)
        die("CLIENTS");
    work.system = argv[2];
    if (argc == 8 && strcmp(work.system, "postgresql") == 0) {
        work.claim = argv[6];
        work.complete = argv[7];
    } else if (argc == 8) {
        work.body = argv[7];
        read_tokens(argv[6], clients, n);
    }
    for (int i = 0; i < n; i++) {
        clients[i].number = i;
        clients[i].answer = malloc(ANSWER_MAX);
        clients[i].claims.ms = malloc(sizeof(float) * SAMPLES_MAX);
        if (!clients[i].answer || !clients[i].claims.ms)
            die("memory");
        clients[i].fd = dial(port);
        if (strcmp(work.system, "postgresql") == 0)
            postgresql_start(&clients[i]);
    }
    double began = now_s();
    work.until = began + atof(argv[5]);
    for (int i = 0; i < n; i++)
        if (pthread_create(&clients[i].thread, NULL, client_main, &clients[i]))
            die("thread");
    for (int i = 0; i < n; i++)
        pthread_join(clients[i].thread, NULL);
    double seconds = now_s() - began;
    for (int i = 0; i < n; i++) {
        done += clients[i].done;
        for (size_t k = 0; k < clients[i].claims.count; k++)
            sample(&all, clients[i].claims.ms[k] / 1000.0);
    }
    report(&all, done, seconds);
    return 0;
}

/* --- the disk --------------------------------------------------------------------------------- */

static int run_sync(char **argv)
{
    struct samples s = {.ms = malloc(sizeof(float) * SAMPLES_MAX)};
    char block[4096];
    int fd = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC, 0600);
    double began = now_s(), until = began + atof(argv[3]);

    if (fd < 0 || !s.ms)
        die(argv[2]);
    memset(block, 'x', sizeof block);
    while (!stopped && now_s() < until) {
        double at = now_s();
        if (write(fd, block, sizeof block) != sizeof block || fdatasync(fd))
            die("write");
        sample(&s, now_s() - at);
    }
    report(&s, s.count, now_s() - began);
    close(fd);
    return 0;
}

/* Piece number i of the bytes that follow from a seed; no two pieces are the same. */
static void piece(uint64_t *data, uint64_t seed, uint64_t i)
{
    uint64_t x = seed * 0x9e3779b97f4a7c15u ^ (i + 1) * 0xbf58476d1ce4e5b9u;
    for (size_t k = 0; k < PIECE / sizeof *data; k++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        data[k] = x;
    }
}

static uint64_t *make(uint64_t pieces, uint64_t seed)
{
    uint64_t *data = malloc(pieces * PIECE);
    if (!data)
        die("memory");
    for (uint64_t i = 0; i < pieces; i++)
        piece(data + i * (PIECE / sizeof *data), seed, i);
    return data;
}

static int run_upload(char **argv)
{
    uint64_t bytes = strtoull(argv[4], NULL, 10) / PIECE * PIECE;
    uint64_t *data = make(bytes / PIECE, strtoull(argv[5], NULL, 10));
    struct digest d;
    char hex[DIGEST_HEX + 1], head[512], answer[4096];

    digest_of(data, bytes, &d);
    int fd = dial(atoi(argv[2]));
    double began = now_s();
    int len = snprintf(head, sizeof head,
                       "PUT /v1/blobs/%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
                       "Content-Length: %llu\r\n\r\n",
                       digest_to_hex(&d, hex), argv[3], (unsigned long long)bytes);
    send_all(fd, head, (size_t)len);
    send_all(fd, data, bytes);
    ssize_t n = recv(fd, answer, sizeof answer - 1, 0);
    double seconds = now_s() - began;
    if (n <= 12 || strncmp(answer + 9, "201", 3) != 0)
        die("upload");
    printf("{\"bytes\":%llu,\"seconds\":%.4f}\n", (unsigned long long)bytes, seconds);
    return 0;
}

static int run_write(char **argv)
{
    uint64_t bytes = strtoull(argv[3], NULL, 10) / PIECE * PIECE;
    uint64_t *data = make(bytes / PIECE, strtoull(argv[4], NULL, 10));
    double began = now_s();
    int fd = open(argv[2], O_WRONLY | O_CREAT | O_TRUNC, 0600);

    if (fd < 0)
        die(argv[2]);
    for (uint64_t at = 0; at < bytes; at += PIECE)
        if (write(fd, (char *)data + at, PIECE) != (ssize_t)PIECE)
            die("write");
    if (fsync(fd) || close(fd))
        die("fsync");
    printf("{\"bytes\":%llu,\"seconds\":%.4f}\n", (unsigned long long)bytes, now_s() - began);
    return 0;
}

int main(int argc, char **argv)
{
    signal(SIGTERM, on_term);
    if ((argc == 6 || argc == 8) && strcmp(argv[1], "work") == 0)
        return run_work(argc, argv);
    if (argc == 4 && strcmp(argv[1], "sync") == 0)
        return run_sync(argv);
    if (argc == 6 && strcmp(argv[1], "upload") == 0)
        return run_upload(argv);
    if (argc == 5 && strcmp(argv[1], "write") == 0)
        return run_write(argv);
    fprintf(stderr, "queue_client: see ops/bench/queue_client.c\n");
    return 64;
}
