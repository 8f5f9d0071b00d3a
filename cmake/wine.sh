#!/bin/sh
# wine.sh PROGRAM ARGS...: runs a Windows program under Wine, in a Wine folder of the build's own
# (WINEPREFIX says otherwise), silent but for what the program itself says.
: "${WINEPREFIX:=$(cd "$(dirname "$0")/.." && pwd)/build/wine}"
export WINEPREFIX WINEDEBUG=-all
mkdir -p "$WINEPREFIX"
if [ -w /dev/shm ]; then # Wine shows / as Z:
    export SPOOR_TEST_DIR=Z:/dev/shm/
fi
exec wine "$@"
