#include "core/data/reader.h"

#include <stdlib.h>
#include <string.h>
#include "core/base/buf.h"
#include "core/data/feed.h"
#include "core/data/splitter.h"
#include "core/env/file.h"

#define FOLDER_DEPTH_MAX 64 /* deeper is a loop of links */
#define ARCHIVE_DEPTH_MAX 4 /* a .gz in a .tar in a .tar.zst, and one more */
#define NAME_BYTES_MAX (1u << 16)

struct walk {
    const struct reader_sink *sink; /* NULL: only add up sizes */
    uint64_t total;
    const char *input; /* the name of what the user named */
    struct splitter splitter;
    uint64_t files;
};

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static size_t without(const char *s, size_t len, const char *const *ends)
{
    for (; *ends; ends++) {
        size_t n = strlen(*ends);
        if (len > n && !memcmp(s + len - n, *ends, n))
            return len - n;
    }
    return len;
}

static const char *const packings[] = {".gz",  ".xz",   ".zst",  ".bz2", ".tgz",
                                       ".txz", ".tzst", ".tbz2", ".tar", NULL};
static const char *const line_kinds[] = {".jsonl", ".ndjson", NULL};

/* Length of a file's name without what tells of its packing: "a.jsonl.gz" → "a.jsonl". */
static size_t unpacked_length(const char *name, size_t len)
{
    size_t n;
    while ((n = without(name, len, packings)) != len)
        len = n;
    return len;
}

/* "a.jsonl.gz" → "a", "main.c" → "main", ".x" → ".x". */
static size_t stem_length(const char *name)
{
    size_t len = unpacked_length(name, strlen(name));
    for (size_t i = len; i > 1; i--)
        if (name[i - 1] == '.')
            return i - 1;
    return len;
}

static bool is_lines(const char *name)
{
    size_t len = unpacked_length(name, strlen(name));
    return without(name, len, line_kinds) != len;
}

/* rel: the path below the input, archives counted as folders. */
static void name_file(const struct walk *w, struct reader_file *f, const char *name,
                      const char *rel)
{
    const char *base = base_name(rel), *slash = strchr(rel, '/'), *input = base_name(w->input);
    f->name = name;
    f->number = w->files;
    label_clean(f->stem, base, stem_length(base));
    label_clean(f->input, input, stem_length(input));
    if (slash)
        label_clean(f->place, rel, unpacked_length(rel, (size_t)(slash - rel)));
    else
        memcpy(f->place, f->stem, sizeof f->place);
}

static int walk_feed(struct walk *w, struct feed *f, const char *rel, bool named, int depth,
                     struct err *e);

/* Archive names like "./a//b" as "a/b". */
static const char *entry_path(const char *path)
{
    while (path[0] == '/' || (path[0] == '.' && path[1] == '/'))
        path++;
    return path;
}

static int walk_entry(struct walk *w, struct feed *outer, struct archive *a, const char *path,
                      const char *rel, bool named, int depth, struct err *e)
{
    struct buf name, below;
    struct feed *f = malloc(sizeof *f);
    int rc = f ? 0 : err_set(e, ERR_NO_MEMORY, "no memory to read %s", outer->name);
    path = entry_path(path);
    buf_init(&name, NAME_BYTES_MAX);
    buf_init(&below, NAME_BYTES_MAX);
    if (!rc)
        rc = *path ? buf_printf(&name, e, "%s: %s", outer->name, path)
                   : buf_printf(&name, e, "%s", outer->name);
    if (!rc) /* the input itself is no folder below the input */
        rc = *path && *rel ? buf_printf(&below, e, "%s/%s", rel, path)
                           : buf_printf(&below, e, "%s", *path ? path : rel);
    if (!rc) {
        feed_init_entry(f, name.data, outer, a);
        rc = walk_feed(w, f, below.data, named, depth + 1, e);
    }
    free(f);
    buf_free(&name);
    buf_free(&below);
    return rc;
}

static int walk_packed(struct walk *w, struct feed *f, const char *rel, bool named, int depth,
                       struct err *e)
{
    struct archive *a;
    if (depth >= ARCHIVE_DEPTH_MAX)
        return err_set(e, ERR_FORMAT, "%s: archives within archives, more than %d deep: unpack it",
                       f->name, ARCHIVE_DEPTH_MAX);
    uint64_t before = w->files;
    int rc = feed_unpack(f, &a, e);
    while (!rc) {
        const char *path;
        rc = feed_unpack_next(f, a, &path, e);
        if (rc || !path)
            break;
        /* A lone compressed file keeps its own name below the input; a .tar named by the user is
         * the input, and its entries lie directly below it. */
        bool lone = !*path;
        rc = walk_entry(w, f, a, path, named && !lone ? "" : rel, named && lone, depth, e);
    }
    feed_unpack_close(a);
    if (!rc && named && w->files == before)
        rc = err_set(e, ERR_INVALID, "%s holds no file with text", f->name);
    return rc;
}

static int walk_feed(struct walk *w, struct feed *f, const char *rel, bool named, int depth,
                     struct err *e)
{
    bool packed;
    int rc = feed_is_packed(f, &packed, e);
    if (rc)
        return rc;
    if (packed)
        return walk_packed(w, f, rel, named, depth, e);
    struct reader_file file;
    bool lines = is_lines(base_name(rel));
    w->files++;
    name_file(w, &file, f->name, rel);
    return splitter_run(&w->splitter, f, &file, lines, named, e);
}

static int walk_file(struct walk *w, const char *path, const char *name, const char *rel,
                     bool named, struct err *e)
{
    struct env_reader reader = {.fd = -1};
    if (!w->sink) {
        uint64_t size = 0;
        int rc = strcmp(path, "-") ? env_file_size(path, &size, e) : 0;
        w->total += size;
        return rc;
    }
    struct feed *f = malloc(sizeof *f);
    if (!f)
        return err_set(e, ERR_NO_MEMORY, "no memory to read %s", name);
    int rc = env_reader_open(&reader, path, e);
    if (!rc) {
        feed_init(f, name, &reader);
        f->tick = w->sink->tick;
        f->tick_arg = w->sink->arg;
        rc = walk_feed(w, f, rel, named, 0, e);
    }
    env_reader_close(&reader);
    free(f);
    return rc;
}

static int walk_path(struct walk *w, const char *path, const char *rel, int depth, struct err *e);

static int walk_folder(struct walk *w, const char *path, const char *rel, int depth, struct err *e)
{
    char **names;
    size_t count;
    if (depth > FOLDER_DEPTH_MAX)
        return err_set(e, ERR_INVALID, "%s: folders more than %d deep; is a link going in circles?",
                       path, FOLDER_DEPTH_MAX);
    int rc = env_dir_list(path, &names, &count, e);
    if (rc)
        return rc;
    for (size_t i = 0; i < count && !rc; i++) {
        if (names[i][0] == '.')
            continue;
        char *full = env_path_join(path, names[i]);
        char *below = *rel ? env_path_join(rel, names[i]) : strdup(names[i]);
        if (full && below)
            rc = walk_path(w, full, below, depth + 1, e);
        else
            rc = err_set(e, ERR_NO_MEMORY, "no memory to read %s", path);
        free(full);
        free(below);
    }
    env_dir_list_free(names, count);
    return rc;
}

static int walk_path(struct walk *w, const char *path, const char *rel, int depth, struct err *e)
{
    enum env_path_kind kind;
    int rc = env_path_kind(path, &kind, e);
    if (rc)
        return rc;
    if (kind == ENV_PATH_FOLDER)
        return walk_folder(w, path, rel, depth, e);
    if (kind == ENV_PATH_FILE)
        return walk_file(w, path, path, rel, false, e);
    return 0; /* a dangling link, a socket or pipe that lies in a folder: nothing to read */
}

/* A file, folder or stream that the user named. */
static int walk_input(struct walk *w, const char *path, const char *name, struct err *e)
{
    enum env_path_kind kind = ENV_PATH_STREAM;
    int rc = strcmp(path, "-") ? env_path_kind(path, &kind, e) : 0;
    if (rc)
        return rc;
    if (kind == ENV_PATH_NONE)
        return err_set(e, ERR_NOT_FOUND, "there is no file or folder %s", name);
    if (kind == ENV_PATH_STREAM && !w->sink)
        return 0;
    if (kind != ENV_PATH_FOLDER)
        return walk_file(w, path, name, base_name(w->input), true, e);
    rc = walk_folder(w, path, "", 0, e);
    if (!rc && w->sink && !w->files)
        rc = err_set(e, ERR_INVALID, "the folder %s holds no file", name);
    return rc;
}

int reader_walk(const char *path, const char *name, const struct document_rules *rules,
                const struct reader_sink *sink, struct err *e)
{
    if (!name)
        name = strcmp(path, "-") ? path : "standard input";
    char *input = strdup(name);
    if (!input)
        return err_set(e, ERR_NO_MEMORY, "no memory to read %s", name);
    for (size_t n = strlen(input); n > 1 && input[n - 1] == '/'; n--)
        input[n - 1] = 0; /* "corpus/" is called corpus */
    struct walk w = {.sink = sink, .input = input};
    splitter_init(&w.splitter, rules, sink);
    int rc = walk_input(&w, path, name, e);
    splitter_free(&w.splitter);
    free(input);
    return rc;
}

int reader_total(const char *path, uint64_t *bytes, struct err *e)
{
    struct walk w = {.input = path};
    int rc = walk_input(&w, path, path, e);
    *bytes = w.total;
    return rc;
}
