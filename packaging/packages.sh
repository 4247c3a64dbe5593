#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# packages.sh SECTION...: install what the sections of debian-packages.txt
# name and is not there yet.  Says nothing and needs no network when all is.
set -eu

here=$(dirname "$(readlink -f "$0")")

listed() {
	awk -v wanted="$1" '
		/^\[/ { section = substr($1, 2, length($1) - 2); next }
		/^#/ || !NF { next }
		section == wanted { print $1 }
	' "$here/debian-packages.txt"
}

missing() {
	for package; do
		dpkg-query -W -f '${db:Status-Abbrev}' "$package" \
			2>/dev/null | grep -q '^.i' || echo "$package"
	done
}

wanted=
for section; do
	found=$(listed "$section")
	if [ -z "$found" ]; then
		echo "packages.sh: no section [$section]" >&2
		exit 2
	fi
	wanted="$wanted $found"
done
# words, one package each
# shellcheck disable=SC2086
needed=$(missing $wanted)
[ -n "$needed" ] || exit 0

if [ "$(id -u)" != 0 ]; then
	echo "packages.sh: as root, install:" $needed >&2
	exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086
exec apt-get install -y -qq --no-install-recommends $needed
