/* route.py, carried along as it is. */
#include "ops/cli/export_files.h"

__asm__(".pushsection .rodata\n.globl export_route\nexport_route:\n.incbin \"ops/cli/route.py\"\n"
        ".globl export_route_end\nexport_route_end:\n.popsection\n");
