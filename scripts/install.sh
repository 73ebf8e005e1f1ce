#!/usr/bin/env bash
# Installs the Debian packages that provide what is named, unless it is there: install.sh WHAT=PACKAGE… A plain name is a
# command, path:PATTERN a program that may lie beside the PATH, lib:NAME what pkg-config knows by that name, header:PATH a header in one of the usual folders.
set -euo pipefail

has() {
  case $1 in
    path:*) compgen -G "${1#path:}" || command -v "${1##*/}" ;;
    lib:*) pkg-config --exists "${1#lib:}" 2>/dev/null ;;
    header:*) compgen -G "/usr/include/${1#header:}" || compgen -G "/usr/local/include/${1#header:}" ||
      compgen -G "/usr/lib/llvm*/include/${1#header:}" ;;
    *) command -v "$1" ;;
  esac
}

missing=()
for pair in "$@"; do
  has "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
  echo "Reelhouse needs these packages, by their names in Debian: ${missing[*]}. Please install them with your system's package manager" >&2
  echo "(it runs on Linux only: the jail is made of Linux), then run this again." >&2
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
# What dpkg tells of each package is of interest only when it fails.
said=$(mktemp)
trap 'rm -f "$said"' EXIT
quietly() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive "$@" >"$said" 2>&1 || { cat "$said" >&2; exit 1; }; }
# Another installation may be under way.
wait_for_lock=(-o DPkg::Lock::Timeout=300)
quietly apt-get "${wait_for_lock[@]}" update -qq
quietly apt-get "${wait_for_lock[@]}" install -y -qq --no-install-recommends "${missing[@]}"
