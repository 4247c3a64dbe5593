#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Fuzz every parser of hostile bytes, one after the other.
#
#   run.sh [SECONDS] [TARGET...]
#
# SECONDS for each target (120); targets are the NAMEs of fuzz_NAME.c, all of
# them by default.  What is learnt is kept in build/fuzz/corpus.  Ends with
# one line a target, and with 1 if one of them broke: its input is in
# build/fuzz/found, to be mended and kept in tests/fuzz/regress/NAME.
set -eu

case ${1:-} in
-h | --help)
	sed -n '/^# Fuzz/,/^set/s/^# \{0,1\}//p' "$0"
	exit 0
	;;
esac
here=$(dirname "$(readlink -f "$0")")
cd "$here/../.."
seconds=${1:-120}
[ $# -eq 0 ] || shift
if [ $# -eq 0 ]; then
	for file in "$here"/fuzz_*.c; do
		name=${file##*/fuzz_}
		set -- "$@" "${name%.c}"
	done
fi

cmake --preset fuzz -DDYNFS_TESTS=ON -DDYNFS_WERROR=OFF >/dev/null
for name in "$@"; do
	programs="${programs:-} fuzz_$name replay_$name"
done
# shellcheck disable=SC2086 # a list of words
cmake --build build/fuzz --parallel 2 --target $programs >/dev/null || {
	echo "no programs of libFuzzer; packaging/packages.sh fuzz installs it" >&2
	exit 77
}

work=build/fuzz
status=0
summary=
mkdir -p "$work/found"
for name in "$@"; do
	corpus=$work/corpus/$name
	mkdir -p "$corpus"
	"$work/bin/replay_$name" --corpus "$corpus"
	set -- "$corpus"
	[ ! -d "$here/regress/$name" ] || set -- "$@" "$here/regress/$name"
	log=$work/found/$name.log
	result=sound
	"$work/bin/fuzz_$name" -max_total_time="$seconds" -max_len=262144 \
		-timeout=20 -rss_limit_mb=2048 -print_final_stats=1 \
		-artifact_prefix="$work/found/$name-" "$@" 2>"$log" || {
		result=BROKEN
		status=1
		tail -n 40 "$log" >&2
	}
	runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
	summary="$summary$name: ${runs:-0} executions, $result
"
done
printf '%s' "$summary"
exit $status
