#include "agent/life.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/env/clock.h"
#include "core/env/file.h"
#include "core/runners/pace.h"

#define FILE_MAX_BYTES 256
#define LIVES_MAX 20 /* older ones fade: a machine may be moved to a better place */

static bool read_small(const char *path, struct buf *b)
{
    struct err e = {0};
    return path && env_file_exists(path) && env_file_read(path, FILE_MAX_BYTES, b, &e) == 0;
}

static void add(struct life *l, double seconds)
{
    char text[64];
    struct err e = {0};
    if (seconds <= 0) {
        return;
    }
    if (l->lives >= LIVES_MAX) {
        l->seconds *= (LIVES_MAX - 1) / l->lives;
        l->lives = LIVES_MAX - 1;
    }
    l->lives += 1;
    l->seconds += seconds;
    int n = snprintf(text, sizeof text, "%.0f %.3f\n", l->lives, l->seconds);
    if (l->file) {
        (void)!env_file_write_atomic(l->file, text, (size_t)n, 0600, &e);
    }
}

void life_begin(struct life *l, const char *work)
{
    struct buf b;
    struct err e = {0};
    int64_t start, last;
    double lives, seconds;
    char text[64];
    *l = (struct life){.alive = env_path_join(work, "alive"), .file = env_path_join(work, "life")};
    l->began_ms = env_monotonic_ms();
    if (read_small(l->file, &b)) {
        if (b.len && sscanf(b.data, "%lf %lf", &lives, &seconds) == 2 && lives >= 0 &&
            lives <= LIVES_MAX && seconds >= 0) {
            l->lives = lives;
            l->seconds = seconds;
        }
        buf_free(&b);
    }
    if (read_small(l->alive, &b)) { /* the last one's end was none of its own */
        if (b.len && sscanf(b.data, "%" SCNd64, &start) == 1 &&
            env_file_modified_ms(l->alive, &last, &e) == 0) {
            add(l, (double)(last - start) / 1000);
        }
        buf_free(&b);
    }
    int n = snprintf(text, sizeof text, "%" PRId64 "\n", env_wall_ms());
    if (l->alive) {
        (void)!env_file_write_atomic(l->alive, text, (size_t)n, 0600, &e);
    }
}

void life_go_on(struct life *l)
{
    struct err e = {0};
    if (l->alive) {
        (void)!env_file_touch(l->alive, &e);
    }
}

void life_end(struct life *l, bool chosen)
{
    struct err e = {0};
    if (l->alive && !chosen) {
        add(l, (double)(env_monotonic_ms() - l->began_ms) / 1000);
    }
    if (l->alive) {
        (void)!env_file_remove(l->alive, &e);
    }
    free(l->alive);
    free(l->file);
    *l = (struct life){0};
}

double life_mean_s(const struct life *l)
{
    double now = (double)(env_monotonic_ms() - l->began_ms) / 1000;
    return (PACE_LIFE_S + l->seconds + now) / (1 + l->lives);
}
