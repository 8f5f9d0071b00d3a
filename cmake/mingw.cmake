# Toolchain: Windows (x86_64) from Linux, by mingw-w64. The libraries come from the folder that
# windows-deps.sh fills (./dev windows does that); all are static, so pkg-config is asked for what
# they themselves need too.
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(SPOOR_WINDOWS_DEPS ${CMAKE_CURRENT_LIST_DIR}/../build/windows-deps CACHE PATH
    "The libraries for Windows")
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES SPOOR_WINDOWS_DEPS)

# The posix flavour: threads by winpthreads, linked in like the rest.
set(CMAKE_C_COMPILER x86_64-w64-mingw32-gcc-posix)
set(CMAKE_RC_COMPILER x86_64-w64-mingw32-windres)
set(CMAKE_EXE_LINKER_FLAGS_INIT -static)
set(CMAKE_FIND_ROOT_PATH ${SPOOR_WINDOWS_DEPS} /usr/x86_64-w64-mingw32)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)

set(ENV{PKG_CONFIG_LIBDIR} ${SPOOR_WINDOWS_DEPS}/lib/pkgconfig)
set(PKG_CONFIG_ARGN --static CACHE STRING "Further arguments of pkg-config")
set(CMAKE_CROSSCOMPILING_EMULATOR ${CMAKE_CURRENT_LIST_DIR}/wine.sh)
