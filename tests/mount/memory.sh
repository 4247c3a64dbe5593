#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The daemon stays within limits.memory, the least that is allowed, while many
# files are made at once, looked at, and large ones are written and read.
. "$(dirname "$0")/lib.sh"
need python3 dd
work_of=${BENCH_WORK:?BENCH_WORK names bench_work}

bound_mib=64
files=${DYNFS_MEMORY_FILES:-10000} # of each of four
pool_new small
echo "limits = { memory = \"${bound_mib}M\"; };" >>"$work/small.conf"
pool_start small
mnt=$work/small.mnt
daemon=${pid[small]}

within() {
	local most
	most=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$daemon/status")
	say "$1: $((most / 1024)) MiB at most"
	[ "$most" -le $((bound_mib * 1024)) ] ||
		die "$1: $most KiB, with a bound of $bound_mib MiB"
}

each() { # COMMAND...: with the folder of each of four at the end, at once
	local n jobs=()
	for n in 1 2 3 4; do
		mkdir -p "$mnt/$n"
		"$@" "$mnt/$n" &
		jobs+=($!)
	done
	for n in "${jobs[@]}"; do
		wait "$n" || die "$* failed"
	done
}

make() { "$work_of" create "$1" --count "$files" --bytes 4096 >"$work/rate"; }
look() { "$work_of" stat "$1" --count "$files" --bytes 4096 >"$work/rate"; }
remove() { "$work_of" unlink "$1" --count "$files" >"$work/rate"; }
large() { "$work_of" seq-write "$1" --mib 64 >"$work/rate"; }
back() { "$work_of" seq-read "$1" --mib 64 >"$work/rate"; }

within "mounted"
each make
within "$((4 * files)) files made"
drop_caches
each look
within "all of them looked at"
each large
drop_caches
each back
within "256 MiB written and read"
each remove
within "all removed"
pool_stop small
