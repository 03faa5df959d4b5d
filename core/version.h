/* The version that every program reports; packages and manual pages take it from here, too. */
#ifndef TACIT_VERSION_H
#define TACIT_VERSION_H

#define TACIT_VERSION "0.1.0"
#define TACIT_DATE "2026-11-24" /* of the version */

#endif
