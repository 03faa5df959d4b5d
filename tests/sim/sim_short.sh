#!/bin/bash
# Some simulated histories, one of them twice: a promise of the service broken by faults that any
# day brings would be found here first. `make sim` plays many more.
set -u
cd "$(dirname "$0")/../.." || exit 1
SIM=${SIM:-build/sim/sim}
"$SIM" -s 80 1001 || exit 1
"$SIM" -s -d 4 1 || exit 1
