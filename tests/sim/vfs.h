/* SQLite on the simulated disks: whatever is opened lies on the disk of the machine whose code is
 * running (sim_disk_current) and stays there. Locks and shared memory are between the connections
 * of that machine's process and end with it: connections of a killed one need not be closed, and
 * closing them does nothing to the disk. Time is core/env/clock.h's, random numbers the disk's own.
 */
#ifndef TACIT_SIM_VFS_H
#define TACIT_SIM_VFS_H

/* Makes it the default of this process; SQLite's random numbers start anew. Again is fine. */
void sim_vfs_register(void);

#endif
