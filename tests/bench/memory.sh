#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC1091,SC2154
# What dynfs takes of memory and of the disks for its own purposes: resident
# while 1 MiB writes go on and on, idle with many files in the pool, and the
# bytes of index and checkpoint for each file with a name of 20 bytes.  Root.
# Wants the release build: cmake --build build/release --target bench.
#
#   --files N    how many files (100000)
#   --bytes N    and how large (16384)
#   --seconds N  how long the writes go on (30)
#   --dir DIR    where the disks lie (/var/tmp)
set -euo pipefail

here=$(dirname "$(readlink -f "$0")")
bin=$(dirname "$(dirname "$here")")/build/release/bin
files=100000 bytes=16384 seconds=30

usage() {
	sed -n '/^# What dynfs/,/^set/s/^# \{0,1\}//p' "$here/memory.sh"
}

while [ $# -gt 0 ]; do
	case $1 in
	--files) files=${2:?--files wants a number} && shift ;;
	--bytes) bytes=${2:?--bytes wants a number} && shift ;;
	--seconds) seconds=${2:?--seconds wants a number} && shift ;;
	--dir) export DYNFS_TEST_DIR=${2:?--dir wants a folder} && shift ;;
	-h | --help) usage && exit 0 ;;
	*) usage >&2 && exit 2 ;;
	esac
	shift
done
DYNFS_BIN=${DYNFS_BIN:-$bin/dynfs}
worker=${BENCH_WORK:-$bin/bench_work}
for program in "$DYNFS_BIN" "$worker"; do
	[ -x "$program" ] && continue
	echo "memory.sh: no $program: build the target bench" >&2
	exit 1
done
. "$here/../mount/lib.sh"

resident() { # FIELD: KiB, VmRSS now or VmHWM at most
	sed -n "s/^$1:[^0-9]*\([0-9]*\) kB/\1/p" "/proc/${pid[bench]}/status"
}

mib() { # KiB
	awk -v k="$1" 'BEGIN { printf "%.0f MiB", k / 1024 }'
}

# While the job runs: one sample in 200 ms; prints the median and the most.
sampled() {
	local job=$1
	while kill -0 "$job" 2>/dev/null; do
		resident VmRSS
		sleep 0.2
	done | sort -n | awk '
		{ at[NR] = $1 }
		END {
			if (NR)
				print at[int((NR + 1) / 2)], at[NR]
		}'
}

write_on() {
	local end=$((SECONDS + seconds))
	while [ $SECONDS -lt $end ]; do
		"$worker" seq-write "$work/bench.mnt" --mib 256
	done >"$work/rates"
}

under_load() {
	local middle most rate
	write_on &
	read -r middle most <<<"$(sampled $!)"
	wait $!
	rate=$(sort -n "$work/rates" | awk '
		{ at[NR] = $1 }
		END { print at[int((NR + 1) / 2)] }')
	echo "1 MiB writes for $seconds s at $rate MiB/s:" \
		"resident $(mib "$middle"), at most $(mib "$most")"
	rm "$work/bench.mnt/big"
}

make_files() {
	local middle most
	"$worker" create "$work/bench.mnt" --count "$files" --bytes "$bytes" \
		>"$work/rates" &
	read -r middle most <<<"$(sampled $!)"
	wait $!
	"$dynfs" sync -c "$work/bench.conf" >/dev/null
	echo "making $files files of $bytes bytes, $(cat "$work/rates") a second:" \
		"resident $(mib "$middle"), at most $(mib "$most")"
}

# FOLDER: bytes below it on one disk, for each file
per_file() {
	local bytes
	bytes=$(du -s --apparent-size -B 1 "$1" | cut -f 1)
	awk -v b="$bytes" -v n="$files" 'BEGIN { printf "%.0f", b / n }'
}

need awk du sed
pool_new bench
pool_start bench
echo "empty: resident $(mib "$(resident VmRSS)")"
under_load
make_files
sleep 5
echo "idle with $files files: resident $(mib "$(resident VmRSS)")"
# the kernel knows all of them until now
drop_caches
sleep 2
echo "idle, the kernel's caches dropped: resident $(mib "$(resident VmRSS)")"
pool_stop bench
pool_start bench
echo "started afresh: resident $(mib "$(resident VmRSS)")"
# also the proof that all of them are there
"$worker" stat "$work/bench.mnt" --count "$files" \
	--bytes "$bytes" >"$work/rates"
echo "after stat of all files: resident $(mib "$(resident VmRSS)")"
pool_stop bench
# on its own disk a checkpoint is links to the index; on others a copy
for disk in "$work"/bench/disk*; do
	for part in index checkpoint; do
		[ ! -d "$disk/$part" ] ||
			echo "$part on ${disk##*/}: $(per_file "$disk/$part")" \
				"bytes a file"
	done
done
