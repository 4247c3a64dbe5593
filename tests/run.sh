#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Build and test all of it on a Debian 12 machine; root, for packages and
# mounts.  May be run again at any time; ends with ctest's closing lines.
#
#   --preset NAME  build and test this preset of CMakePresets.json (dev)
#   --label L      only tests whose label matches the regular expression L
#   --exclude L    no tests whose label matches the regular expression L
#   --no-install   do not look for missing packages
#   --sanitize     the address sanitizer over everything, then the thread
#                  sanitizer over the core and the plugins
set -eu

top=$(dirname "$(dirname "$(readlink -f "$0")")")
preset=dev
label=
exclude=
install=yes
sanitize=no

usage() {
	sed -n '/^# Build/,/^set/s/^# \{0,1\}//p' "$0"
}

while [ $# -gt 0 ]; do
	case $1 in
	--preset) preset=${2:?--preset wants a name} && shift ;;
	--label) label=${2:?--label wants a pattern} && shift ;;
	--exclude) exclude=${2:?--exclude wants a pattern} && shift ;;
	--no-install) install=no ;;
	--sanitize) sanitize=yes ;;
	-h | --help) usage && exit 0 ;;
	*) usage >&2 && exit 2 ;;
	esac
	shift
done

# The thread sanitizer wants its shadow where address randomisation may have
# put something else; setarch -R leaves the addresses as they are.
plain() {
	if [ "$1" = tsan ] && setarch -R true 2>/dev/null; then
		shift && setarch -R "$@"
	else
		shift && "$@"
	fi
}

# suite PRESET LABEL EXCLUDE
suite() {
	name=$1
	cmake --preset "$name" -DDYNFS_TESTS=ON -DDYNFS_WERROR=ON &&
		cmake --build "build/$name" --parallel 2 &&
		plain "$name" ctest --preset "$name" --parallel 2 \
			--no-tests=error ${2:+-L "$2"} ${3:+-LE "$3"}
}

cd "$top"
[ $install = no ] || packaging/packages.sh build test

if [ $sanitize = yes ]; then
	failed=0
	suite asan "$label" "$exclude" || failed=1
	suite tsan "${label:-unit|plugin}" "$exclude" || failed=1
	exit $failed
fi
suite "$preset" "$label" "$exclude"
