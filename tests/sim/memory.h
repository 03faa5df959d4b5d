/* The memory of a process that plays seed after seed: what a killed machine leaves behind is used
 * again, and blocks of whole pages are found at once. */
#ifndef TACIT_SIM_MEMORY_H
#define TACIT_SIM_MEMORY_H

/* Before SQLite's first use: from then on a connection's memory belongs to the machine whose code
 * asks for it. */
void memory_start(void);

/* In a process that was just forked, and plays for long. */
void memory_forked(void);

/* What SQLite holds for one machine; the machine's process is gone. */
void memory_drop(void **held);

#endif
