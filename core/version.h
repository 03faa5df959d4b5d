/* The version that every program reports. */
#ifndef TACIT_VERSION_H
#define TACIT_VERSION_H

#define TACIT_VERSION "0.1.0"

#endif
