#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The long run of the simulations: tests/sim/soak.sh [SEEDS] [BUILD]
#
# SEEDS (1000) fresh seeds of the whole pool, three times as many of the
# metadata, and a twentieth of the tree's, from a build (build/release, which
# is made if it is not there).  DYNFS_SEED: the first of them; DYNFS_JOBS: how
# many at a time (2).  What failed is on stderr with its seed; the closing line
# says how many were run and failed.
set -eu

top=$(dirname "$(dirname "$(dirname "$(readlink -f "$0")")")")
seeds=${1:-1000}
build=${2:-$top/build/release}
first=${DYNFS_SEED:-$(date +%s)}

case $seeds in
'' | *[!0-9]* | 0) sed -n '/^# The/,/^set/s/^# \{0,1\}//p' "$0" >&2 && exit 2 ;;
esac

cd "$top"
cmake --preset release -DDYNFS_TESTS=ON -B "$build" >&2
cmake --build "$build" --parallel 2 --target \
	test_pool_sim test_meta_sim tree_pool >&2
DYNFS_PLUGIN_DIR=$build/lib/dynfs
DYNFS_JOBS=${DYNFS_JOBS:-2}
export DYNFS_PLUGIN_DIR DYNFS_JOBS

failed=0
out=$(mktemp)
trap 'rm -f "$out"' EXIT

# count PROGRAM N: adds up what its closing line says, at least one if it fails
count() {
	n=0
	DYNFS_SEED=$first DYNFS_SEEDS=$2 "$build/bin/$1" >"$out" || n=1
	cat "$out" >&2
	said=$(sed -n 's/.* seeds run, \([0-9]*\) failed$/\1/p' "$out")
	[ "${said:-0}" -eq 0 ] || n=$said
	failed=$((failed + n))
}

count test_pool_sim "$seeds"
count test_meta_sim $((seeds * 3))

trees=$((seeds / 20 + 1))
n=0
while [ $n -lt $trees ]; do
	if ! DYNFS_TEST_SEED=$((first + n)) "$build/bin/tree_pool" \
		>"$out" 2>&1; then
		cat "$out" >&2
		failed=$((failed + 1))
	fi
	n=$((n + 1))
done
echo "soak: $((seeds * 4 + trees)) seeds run from $first, $failed failed"
[ $failed -eq 0 ]
