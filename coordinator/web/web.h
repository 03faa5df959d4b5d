/* The dashboard's files, embedded in the program: those of coordinator/web/page, and uPlot. */
#ifndef TACIT_COORDINATOR_WEB_WEB_H
#define TACIT_COORDINATOR_WEB_WEB_H

struct web_file {
    const char *name; /* "index.html"; others are below /assets/ */
    const char *type; /* Content-Type */
    const char *tag;  /* a quoted digest of the bytes: ETag */
    const char *data, *end;
};

extern const struct web_file web_files[]; /* ended by a NULL name; made by ops/embed_web.sh */

#endif
