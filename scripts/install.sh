#!/usr/bin/env bash
# Installs the Debian packages that provide the named commands, unless they are there: install.sh COMMAND=PACKAGE…
set -euo pipefail

missing=()
for pair in "$@"; do
  command -v "${pair%%=*}" >/dev/null 2>&1 || missing+=("${pair#*=}")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
  echo "Reelhouse needs these programs: ${missing[*]}. Please install them with your system's package manager" >&2
  echo "(macOS: brew install ${missing[*]}), then run this again." >&2
  exit 1
fi
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null 2>&1; then
    echo "Reelhouse needs these packages: ${missing[*]}. Please run: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi
echo "Installing ${missing[*]} …" >&2
# Another installation may be under way.
wait_for_lock=(-o DPkg::Lock::Timeout=300)
"${as_root[@]}" apt-get "${wait_for_lock[@]}" update -qq >&2
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get "${wait_for_lock[@]}" install -y -qq --no-install-recommends "${missing[@]}" >&2
