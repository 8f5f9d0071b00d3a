#!/usr/bin/env bash
# windows-deps.sh: the libraries spoor.exe is linked with, built for Windows from Debian's source
# packages, static. `windows-deps.sh LINK` builds what is not there and makes LINK point to the
# folder. apt fetches the sources, of the versions this system ships, and checks them against the
# archive's signed index; the system's own lists are not touched. The folder lies in
# $XDG_CACHE_HOME (~/.cache) and is named after versions, compiler and this script.
set -euo pipefail

link=$1
here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
triple=x86_64-w64-mingw32
compiler=$triple-gcc-posix
packages=(sqlite3 curl libmicrohttpd cmocka)
# a binary package of each, whose version tells the source's without its index
binaries=(libsqlite3-dev libcurl4-openssl-dev libmicrohttpd-dev libcmocka-dev)
jobs=$(nproc 2>/dev/null || echo 2)

say() {
    printf '%s\n' "$*" >&2
}

candidates() {
    apt-cache policy "${binaries[@]}" libz-mingw-w64-dev | sed -n 's/^  Candidate: *//p'
}

key() {
    { candidates && "$compiler" --version && cat "${BASH_SOURCE[0]}" "$here/mingw.cmake"; } |
        sha256sum | cut -c 1-16
}

# fetch: the source packages into the current folder, by lists and caches of our own
fetch() {
    local apt=(apt-get -qq -o Dir::Etc::SourceList="$PWD/apt/sources.list"
        -o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists="$PWD/apt/lists"
        -o Dir::Cache="$PWD/apt/cache" -o APT::Sandbox::User="$(id -un)")
    mkdir -p apt/lists/partial apt/cache/archives/partial
    # Every list this system reads packages from, asked for sources instead.
    local origin uri suite component key
    # shellcheck disable=SC2016 # $(...) are apt's own fields
    apt-get indextargets --format '$(ORIGIN) $(REPO_URI) $(RELEASE) $(COMPONENT)' \
        'Identifier: Packages' | sort -u | while read -r origin uri suite component; do
        key=/usr/share/keyrings/${origin,,}-archive-keyring.gpg
        case $origin in
        Debian | Ubuntu)
            [ ! -e "$key" ] || uri="[signed-by=$key] $uri"
            echo "deb-src $uri $suite $component"
            ;;
        esac
    done >apt/sources.list
    "${apt[@]}" update
    "${apt[@]}" --download-only source "${packages[@]}"
}

# unpack SOURCE: into a folder SOURCE-*; apt has checked it by hash
unpack() {
    dpkg-source --no-check -x "$1"_*.dsc
}

# pc NAME LIBS: a pkg-config file where a library brings none
pc() {
    mkdir -p "$prefix/lib/pkgconfig"
    printf 'Name: %s\nDescription: %s for Windows\nVersion: %s\nLibs: -L%s -l%s\nCflags: -I%s\n' \
        "$1" "$1" "$3" "$prefix/lib" "$2" "$prefix/include" >"$prefix/lib/pkgconfig/$1.pc"
}

build_zlib() {
    local version
    version=$(sed -n 's/^#define ZLIB_VERSION "\(.*\)"/\1/p' "/usr/$triple/include/zlib.h")
    mkdir -p "$prefix/include" "$prefix/lib"
    cp "/usr/$triple/include/zlib.h" "/usr/$triple/include/zconf.h" "$prefix/include"
    cp "/usr/$triple/lib/libz.a" "$prefix/lib" # alone, or the linker would take the DLL's
    pc zlib z "$version"
}

build_sqlite() {
    (
        unpack sqlite3
        mkdir sqlite && cd sqlite
        ../sqlite3-*/configure --disable-tcl --disable-readline
        make sqlite3.c sqlite3.h
        "$compiler" -O2 -DSQLITE_THREADSAFE=1 -DSQLITE_DQS=0 -DSQLITE_ENABLE_COLUMN_METADATA \
            -c sqlite3.c
        "$triple-ar" rcs "$prefix/lib/libsqlite3.a" sqlite3.o
        cp sqlite3.h "$prefix/include"
        pc sqlite3 sqlite3 "$(sed -n 's/^#define SQLITE_VERSION *"\(.*\)"/\1/p' sqlite3.h)"
    )
}

# cross SOURCE OPTIONS...: configures, builds and installs by CMake
cross() {
    local source=$1 name
    shift
    name=build-$(basename "$source")
    cmake -S "$source" -B "$name" -G Ninja -DCMAKE_TOOLCHAIN_FILE="$here/mingw.cmake" \
        -DSPOOR_WINDOWS_DEPS="$prefix" -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF \
        -DCMAKE_INSTALL_PREFIX="$prefix" "$@"
    cmake --build "$name" -j "$jobs"
    cmake --install "$name"
}

build_curl() {
    unpack curl
    cross "$(echo curl-*/)" -DBUILD_CURL_EXE=OFF -DBUILD_TESTING=OFF -DCURL_USE_SCHANNEL=ON \
        -DHTTP_ONLY=ON -DCURL_USE_LIBSSH2=OFF -DCURL_USE_LIBPSL=OFF -DUSE_LIBIDN2=OFF \
        -DENABLE_MANUAL=OFF -DZLIB_LIBRARY="$prefix/lib/libz.a" -DZLIB_INCLUDE_DIR="$prefix/include"
    # curl's own file names no static libraries of Windows.
    pc libcurl curl "$(sed -n 's/^#define LIBCURL_VERSION "\([0-9.]*\).*/\1/p' \
        "$prefix/include/curl/curlver.h")"
    printf 'Libs.private: -lz -lws2_32 -lcrypt32 -lbcrypt -ladvapi32\n' \
        >>"$prefix/lib/pkgconfig/libcurl.pc"
    sed -i 's/^Cflags:/& -DCURL_STATICLIB/' "$prefix/lib/pkgconfig/libcurl.pc"
}

build_microhttpd() {
    (
        unpack libmicrohttpd
        mkdir microhttpd && cd microhttpd
        ../libmicrohttpd-*/configure --host=$triple --prefix="$prefix" --disable-https \
            --disable-shared --enable-static --disable-doc --disable-examples --disable-curl \
            --disable-tools CC="$compiler"
        make -j "$jobs"
        make install
    )
}

build_cmocka() {
    unpack cmocka
    cross "$(echo cmocka-*/)" -DWITH_STATIC_LIB=ON -DWITH_EXAMPLES=OFF -DUNIT_TESTING=OFF
    local archive
    archive=$(find build-cmocka-* -name 'libcmocka-static.a' -o -name 'libcmocka.a' | head -n 1)
    cp "$archive" "$prefix/lib/libcmocka.a"
    rm -f "$prefix/lib/libcmocka.dll.a" "$prefix/lib/pkgconfig/cmocka.pc"
    pc cmocka cmocka 1.1
}

# all_of STEP...: side by side, since most of the time goes into configuring, which uses one processor
all_of() {
    local step pid failed=0
    local -A pids=()
    for step in "$@"; do
        say "windows-deps: $step"
        "$step" >"$step.log" 2>&1 &
        pids[$step]=$!
    done
    for step in "${!pids[@]}"; do
        if ! wait "${pids[$step]}"; then
            say "windows-deps: $step failed"
            tail -n 40 "$step.log" >&2
            failed=1
        fi
    done
    return $failed
}

# build TARGET: what lies there is whole once it says so
build() {
    local target=$1
    work=$(mktemp -d "$target.XXXXXX")
    prefix=$target
    trap 'rm -rf -- "$work"' EXIT
    cd "$work"
    all_of fetch build_zlib
    all_of build_sqlite build_curl build_microhttpd build_cmocka
    touch "$target/complete"
}

cache=${XDG_CACHE_HOME:-$HOME/.cache}/spoor
mkdir -p "$cache" "$(dirname "$link")"
target=$cache/windows-$(key)
exec 9>"$cache/lock" # two at once would build it twice
flock 9
if [ ! -e "$target/complete" ]; then
    rm -rf -- "$target"
    (build "$target")
fi
ln -sfn "$target" "$link"
