#!/bin/bash
# Installs the packages that tacit is built, tested or measured with, where they are missing: Debian's,
# and npm's in build/npm/GROUP/node_modules.
#   ops/deps.sh [build] [demo] [test] [deb] [bench] [oracle] [export]     default: build
# Silent and quick where all are there: neither apt nor npm is touched then.
set -u
cd "$(dirname "$0")/.." || exit 1

build=(gcc g++ make pkg-config libmicrohttpd-dev libjansson-dev libsodium-dev libsqlite3-dev
    libarchive-dev libcurl4-openssl-dev libinih-dev libsentencepiece-dev libopenblas0-pthread
    libgnutls28-dev libncurses-dev libsystemd-dev)
# What the demonstration's scripts call.
demo=(python3 curl jq)
# The cross compiler and qemu show that ARM computes the same bytes; clang is the second opinion on
# warnings, and fuzzes with what libclang-rt-dev brings; prometheus reads the metrics, mandoc the
# manual pages; commands are completed in zsh and fish; chromium shows the page.
test=(libcmocka-dev clang clang-format libclang-rt-dev gcc-aarch64-linux-gnu libc6-dev-arm64-cross
    qemu-user-static python3 git curl jq openssl prometheus tmux faketime mandoc zsh fish
    chromium
    python3-jsonschema)
# What packs, and what looks at packages in a clean root.
deb=(debhelper dpkg-dev lintian debootstrap)
# What is measured beside: queues, a trainer and libraries that people know.
bench=(python3 python3-torch python3-numpy libxsmm-dev beanstalkd postgresql)
# Only to make the golden files of tests/oracle again.
oracle=(python3-torch python3-numpy)
# What comes from npm, by exact version: the page's charts; llama.cpp and transformers' tokenizer,
# which must read what is exported; a driver of Chromium and a checker of accessibility for the page.
build_npm=(uplot@1.6.32)
test_npm=(openai@6.49.0 node-llama-cpp@3.22.1 @node-llama-cpp/linux-x64@3.22.1 @huggingface/tokenizers@0.2.0
    playwright-core@1.65.1 axe-core@4.14.1
    @redocly/cli@2.77.0)
bench_npm=()
# Of `make export-check` alone: half a gigabyte.
export_npm=(@huggingface/transformers@4.3.1 @img/sharp-linux-x64@0.35.5
    @img/sharp-libvips-linux-x64@1.3.4)

wanted=() npm_groups=()
for group in "${@:-build}"; do
    case $group in
    build) wanted+=("${build[@]}") npm_groups+=(build) ;;
    demo) wanted+=("${demo[@]}") ;;
    test) wanted+=("${test[@]}") npm_groups+=(test) ;;
    deb) wanted+=("${deb[@]}") ;;
    bench) wanted+=("${bench[@]}") npm_groups+=(bench) ;;
    oracle) wanted+=("${oracle[@]}") ;;
    export) npm_groups+=(export) ;;
    *)
        echo "ops/deps.sh: no group '$group': build, demo, test, deb, bench, oracle and export are known" >&2
        exit 64
        ;;
    esac
done

log=$(mktemp)
trap 'rm -f "$log"' EXIT

# npm_install GROUP PACKAGE@VERSION…: a file beside the packages says which are there.
npm_install() {
    local folder=build/npm/$1
    shift
    [ $# = 0 ] && return
    [ "$(cat "$folder/installed" 2>/dev/null)" = "$*" ] && return
    echo "Installing into $folder: $*"
    mkdir -p "$folder"
    if ! npm install --prefix "$folder" --no-package-lock --no-fund --no-audit --ignore-scripts \
        --omit=optional "$@" >"$log" 2>&1; then
        echo "ops/deps.sh: npm install failed:" >&2
        tail -n 30 "$log" >&2
        return 1
    fi
    echo "$*" >"$folder/installed"
}

npm_all() {
    local group packages
    for group in "${npm_groups[@]+"${npm_groups[@]}"}"; do
        local -n packages=${group}_npm
        npm_install "$group" "${packages[@]+"${packages[@]}"}" || exit 69
    done
}

if ! command -v dpkg-query >/dev/null; then
    echo "ops/deps.sh: this is no Debian; please see that there are, by their Debian names:" >&2
    printf '    %s\n' "${wanted[@]}" npm >&2
    npm_all
    exit 0
fi
# Node's own packages bring npm along, Debian's do not.
command -v npm >/dev/null || wanted+=(npm)
installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${wanted[@]}" 2>/dev/null |
    sed -n 's/^installed //p')
missing=()
for package in "${wanted[@]}"; do
    grep -qxF "$package" <<<"$installed" || missing+=("$package")
done

apt() {
    "${root[@]+"${root[@]}"}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y "$@" >"$log" 2>&1 && return
    echo "ops/deps.sh: apt-get $1 failed:" >&2
    tail -n 30 "$log" >&2
    return 1
}
if [ ${#missing[@]} -gt 0 ]; then
    root=()
    if [ "$(id -u)" != 0 ]; then
        if ! command -v sudo >/dev/null; then
            echo "ops/deps.sh: root must install: apt-get install --no-install-recommends ${missing[*]}" >&2
            exit 77
        fi
        root=(sudo)
    fi
    echo "Installing ${#missing[@]} packages: ${missing[*]}"
    apt update || exit 69
    apt install --no-install-recommends "${missing[@]}" || exit 69
fi
npm_all
