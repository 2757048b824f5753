# shellcheck shell=bash
# Sourced by the scripts beside this folder. Needs nothing but bash and coreutils.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

say() { printf '== %s\n' "$*" >&2; }

die() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# The system's Python rather than whatever shim comes first on PATH: the scripts use its standard library only.
find_python() {
  local candidate
  for candidate in /usr/bin/python3 python3; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  die "Python 3.11 or later was not found"
}

# build PRESET [TARGET...]: configures and builds it, all output on standard error. No target named: everything.
build() {
  local preset=$1 quiet=(-- --quiet) targets=()
  shift
  (($#)) && targets=(--target "$@")
  [[ -t 2 ]] && quiet=()
  cd "$root"
  say "building preset $preset in build/$preset"
  cmake --preset "$preset" >&2 || die "cmake --preset $preset failed"
  cmake --build --preset "$preset" -j"$(nproc)" "${targets[@]}" "${quiet[@]}" >&2 || die "the build of preset $preset failed"
}
