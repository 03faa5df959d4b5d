#include "agent/job_log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "agent/agent_log.h"
#include "core/base/text.h"
#include "core/env/file.h"

#define FILE_BYTES_MAX 65536 /* then it begins anew */

void job_log_init(struct job_log *l)
{
    memset(l, 0, sizeof *l);
    l->file = -1;
    env_mutex_init(&l->lock);
}

void job_log_free(struct job_log *l)
{
    env_file_close(l->file);
    env_mutex_destroy(&l->lock);
}

void job_log_begin(struct job_log *l)
{
    env_mutex_lock(&l->lock);
    env_file_close(l->file);
    l->file = -1;
    l->end = 0;
    env_mutex_unlock(&l->lock);
}

/* Bytes from…end−1 of what was said. */
static size_t copy(const struct job_log *l, uint64_t from, char *out)
{
    size_t n = 0;
    for (uint64_t i = from; i < l->end; i++) {
        out[n++] = l->ring[i % sizeof l->ring];
    }
    return n;
}

static uint64_t oldest(const struct job_log *l)
{
    return l->end > sizeof l->ring ? l->end - sizeof l->ring : 0;
}

void job_log_keep(struct job_log *l, const char *dir)
{
    char earlier[PROTOCOL_LOG_MAX], *path = env_path_join(dir, JOB_LOG_FILE);
    struct err e = {0};
    uint64_t bytes = 0;
    env_mutex_lock(&l->lock);
    if (path && l->file < 0) {
        if (env_file_exists(path) && env_file_size(path, &bytes, &e) == 0 &&
            bytes > FILE_BYTES_MAX) {
            (void)!env_file_remove(path, &e);
        }
        if (env_file_open_append(path, 0600, &l->file, &e) == 0) {
            size_t n = copy(l, oldest(l), earlier);
            (void)!env_file_write_all(l->file, earlier, n, &e);
        }
    }
    env_mutex_unlock(&l->lock);
    free(path);
}

void job_log_say(struct job_log *l, const char *level, const char *fmt, ...)
{
    char text[1024], line[1100], stamp[32];
    struct err e = {0};
    va_list args;
    va_start(args, fmt);
    agent_log_args(level, fmt, args);
    va_end(args);
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    text_make_utf8(text);
    int n = snprintf(line, sizeof line, "%s %s\n", log_stamp(stamp), text);
    env_mutex_lock(&l->lock);
    for (int i = 0; i < n; i++) {
        l->ring[l->end++ % sizeof l->ring] = line[i];
    }
    if (l->file >= 0) {
        (void)!env_file_write_all(l->file, line, (size_t)n, &e);
    }
    env_mutex_unlock(&l->lock);
}

/* Cuts what is not a whole line off the start. */
static void from_a_line(char *text)
{
    char *line = strchr(text, '\n');
    if (line) {
        memmove(text, line + 1, strlen(line + 1) + 1);
    }
}

bool job_log_since(struct job_log *l, uint64_t *mark, char out[PROTOCOL_LOG_MAX + 1])
{
    env_mutex_lock(&l->lock);
    uint64_t first = oldest(l), from = *mark <= l->end && *mark > first ? *mark : first;
    out[copy(l, from, out)] = 0;
    bool cut = from > 0 && from > *mark;
    *mark = l->end;
    env_mutex_unlock(&l->lock);
    if (cut) {
        from_a_line(out);
    }
    return out[0] != 0;
}

bool job_log_read(const char *dir, char out[PROTOCOL_LOG_MAX + 1])
{
    char *path = env_path_join(dir, JOB_LOG_FILE);
    struct err e = {0};
    uint64_t bytes = 0;
    int fd = -1;
    out[0] = 0;
    if (path && env_file_exists(path) && env_file_size(path, &bytes, &e) == 0 &&
        env_file_open_read(path, &fd, &e) == 0) {
        uint64_t n = bytes < PROTOCOL_LOG_MAX ? bytes : PROTOCOL_LOG_MAX;
        if (env_file_read_at(fd, bytes - n, out, n, &e) == 0) {
            out[n] = 0;
            if (n < bytes) {
                from_a_line(out);
            }
            text_make_utf8(out);
        } else {
            out[0] = 0;
        }
        env_file_close(fd);
    }
    free(path);
    return out[0] != 0;
}
