# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
# dynfs alone with very many files: what a create costs as they become more,
# in folders of 1000 and in a single one, how long a mount takes, what stays
# in memory, and what index and checkpoint take of the disks.  NAME=VALUE lines
# in $work/scale.

told() { # NAME VALUE
	echo "scale: $1=$2"
	echo "$1=$2" >>"$work/scale"
}

grown() { # NAME OPTION...
	local name=$1 rates
	shift
	rates=$("$bin/bench_work" grow "$base/dynfs" --count "$many" "$@") ||
		die "dynfs does not take $many files"
	told "$name" "$rates"
}

seconds_since() { # EPOCHREALTIME
	awk -v from="$1" -v to="$EPOCHREALTIME" \
		'BEGIN { printf "%.2f", to - from }'
}

# PART: bytes of it a file, on the disk that has most of it
part_per_file() {
	local disk most=0 bytes
	for disk in "$base"/disks/dynfs?; do
		[ -d "$disk/$1" ] || continue
		bytes=$(du -s --apparent-size -B 1 "$disk/$1" | cut -f 1)
		[ "$bytes" -le "$most" ] || most=$bytes
	done
	awk -v b="$most" -v n="$many" 'BEGIN { printf "%.0f", b / n }'
}

# A checkpoint is links to the index where that is, and a copy elsewhere: on
# one disk each counts once.
disk_per_file() {
	local disk most=0 bytes parts part
	for disk in "$base"/disks/dynfs?; do
		parts=()
		for part in index checkpoint; do
			[ ! -d "$disk/$part" ] || parts+=("$disk/$part")
		done
		[ ${#parts[@]} -gt 0 ] || continue
		bytes=$(du -c --apparent-size -B 1 "${parts[@]}" |
			tail -n 1 | cut -f 1)
		[ "$bytes" -le "$most" ] || most=$bytes
	done
	awk -v b="$most" -v n="$many" 'BEGIN { printf "%.0f", b / n }'
}

scale_mount() {
	local from rate
	drop_caches
	from=$EPOCHREALTIME
	start_dynfs
	stat "$base/dynfs/d000000" >/dev/null
	told mount "$(seconds_since "$from")"
	sleep 2
	told rss_mounted "$(dynfs_memory VmRSS)"
	# also the proof that all of them are there
	rate=$("$bin/bench_work" stat "$base/dynfs" --count "$many" \
		--bytes 16384) || die "not all of $many files are there"
	told stat "$rate"
	told rss_known "$(dynfs_memory VmRSS)"
	drop_caches
	sleep 2
	told rss_forgotten "$(dynfs_memory VmRSS)"
}

scale_fits() {
	local free need
	free=$(df --output=avail -B 1M "$work" | tail -n 1)
	need=$((many * 2 / 64)) # 16 KiB each, 1.5 times, and some
	[ "$free" -gt "$need" ] ||
		die "$many files want $need MiB in $work, $free are free"
}

scale() {
	place=scale base=$work/scale.disks
	scale_fits
	told files "$many"
	make_dynfs
	grown grow --bytes 16384
	"$bin/dynfs" sync -c "$base/dynfs.conf" >/dev/null
	told rss_made "$(dynfs_memory VmRSS)"
	stop_dynfs
	told index "$(part_per_file index)"
	told checkpoint "$(part_per_file checkpoint)"
	told both "$(disk_per_file)"
	scale_mount
	drop_dynfs
	make_dynfs
	grown one_folder --bytes 4096 --per-dir "$many"
	drop_dynfs
}
