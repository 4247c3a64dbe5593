#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC1091,SC2034,SC2154
# dynfs beside GlusterFS, mergerfs, a pass-through and a plain folder, on a
# disk and on RAM disks; root.  Prints tables and writes docs/performance.md.
#
#   --rounds N     how often each row is measured on each system (3)
#   --place P      ssd, ram or both (both)
#   --dir DIR      where the disks of "ssd" lie (/var/tmp/dynfs-bench)
#   --rows A,B     only these of: seq-write seq-read degraded reread rand-read
#                  rand-write par-write par-read fsync-write create stat read
#                  unlink untar git-clone git-status sqlite scale
#   --systems A,B  only these of: plain dynfs gluster mergerfs pass
#   --quick        256 MiB instead of 1 GiB, a tenth of the files
#   --out FILE     write there instead of docs/performance.md
#   --no-install   do not look for missing packages
#
# Everything runs in namespaces of its own: processes, mounts and network.
# GlusterFS wants a host name and an address that is not the loopback's, ports
# and folders below /var; it gets them there, and nothing of that can reach
# the machine or outlive this script, however it ends.
set -euo pipefail
shopt -s extglob

self=$(readlink -f "$0")
here=$(dirname "$self")
top=$(dirname "$(dirname "$here")")
# in this order: what one leaves, the next reads
all_rows=seq-write,seq-read,degraded,reread,rand-read,rand-write,par-write
all_rows+=,par-read,fsync-write,create,stat,read,unlink,untar,git-clone
all_rows+=,git-status,sqlite,scale
all_systems=plain,dynfs,gluster,mergerfs,pass

usage() {
	sed -n '/^# dynfs beside/,/^set/s/^# \{0,1\}//p' "$self"
}

die() {
	echo "run.sh: $*" >&2
	exit 1
}

# ---- the outer half: options, packages, build, namespaces, the report -----

# ALL SOME: the words of ALL that are in SOME, which has no others
only_of() {
	local all=$1 some=$2 word found=
	for word in ${some//,/ }; do
		[[ ,$all, == *,"$word",* ]] || die "$word is none of $all"
	done
	for word in ${all//,/ }; do
		[[ ,$some, != *,"$word",* ]] || found+=${found:+,}$word
	done
	echo "$found"
}

parse() {
	rounds=3 dir=/var/tmp/dynfs-bench quick=no install=yes
	rows=$all_rows chosen=$all_systems places=both
	out=$top/docs/performance.md
	while [ $# -gt 0 ]; do
		case $1 in
		--rounds) rounds=${2:?--rounds wants a number} && shift ;;
		--place) places=${2:?--place wants a name} && shift ;;
		--dir) dir=${2:?--dir wants a folder} && shift ;;
		--rows) rows=${2:?--rows wants names} && shift ;;
		--systems) chosen=${2:?--systems wants names} && shift ;;
		--out) out=${2:?--out wants a file} && shift ;;
		--quick) quick=yes ;;
		--no-install) install=no ;;
		-h | --help) usage && exit 0 ;;
		*) usage >&2 && exit 2 ;;
		esac
		shift
	done
	[[ $rounds =~ ^[1-9][0-9]*$ ]] || die "--rounds wants a number"
	[[ $places =~ ^(ssd|ram|both)$ ]] || die "--place wants ssd, ram or both"
	[ "$places" != both ] || places=ssd,ram
	rows=$(only_of "$all_rows" "$rows")
	chosen=$(only_of "$all_systems" "$chosen")
	[[ $chosen = plain* ]] || die "plain is the control: keep it"
}

take_down() {
	local code=$?
	trap - EXIT
	# also for rm: whoever asks twice still gets it all taken down
	trap '' INT TERM HUP
	# unshare waits through milder signals; its death is that of all inside
	[ -z "${inner:-}" ] || kill -KILL "$inner" 2>/dev/null || true
	[ -z "${inner:-}" ] || wait "$inner" 2>/dev/null || true
	[ -z "${work:-}" ] || rm -rf --one-file-system "$work"
	exit "$code"
}

build() {
	(
		cd "$top"
		cmake --preset release -DDYNFS_TESTS=ON
		cmake --build build/release --parallel 2 \
			--target bench
	) >"$work/build.log" 2>&1 || {
		tail -n 20 "$work/build.log" >&2
		die "the release build failed"
	}
	[ -x "$bin/bench_passthrough" ] || die "libfuse3 is missing"
}

outer() {
	local command="tests/bench/run.sh $*" code=0
	parse "$@"
	[ "$(id -u)" = 0 ] || die "mounting needs root"
	[ -c /dev/fuse ] || die "no /dev/fuse here"
	[ "$install" = no ] || "$top/packaging/packages.sh" build bench
	mkdir -p "$dir"
	work=$(mktemp -d "$dir/run.XXXXXX")
	bin=$top/build/release/bin
	trap take_down EXIT
	trap 'exit 130' INT TERM HUP
	build
	DYNFS_PLUGIN_DIR=$top/build/release/lib/dynfs \
		"$bin/bench_encode" 2 >"$work/encode"
	export work bin rounds rows chosen places quick
	unshare --mount --net --pid --fork --kill-child --mount-proc \
		"$self" --inside &
	inner=$!
	wait "$inner" || code=$?
	inner=
	[ -s "$work/figures" ] || [ -s "$work/scale" ] ||
		die "nothing was measured"
	python3 -B "$here/report.py" "$work" "$out" "$command"
	return "$code"
}

# ---- the inner half -------------------------------------------------------

ram_mib() {
	# what all systems have at once of the large files, and the small ones
	echo $((mib * 8 + 1024))
}

# The first touch of memory is slow in a virtual machine: it is done here.
make_ram() {
	local free need
	need=$(ram_mib)
	free=$(sed -n 's/^MemAvailable: *\([0-9]*\) kB/\1/p' /proc/meminfo)
	[ $((free / 1024)) -gt $((need * 5 / 4)) ] ||
		die "RAM disks want $((need * 5 / 4)) MiB of memory," \
			"$((free / 1024)) are free: take --quick or --place ssd"
	mkdir "$work/ram"
	mount -t tmpfs -o "size=$((need * 5 / 4))m" bench "$work/ram"
	head -c "${need}M" /dev/zero >"$work/ram/touch"
	rm "$work/ram/touch"
}

version_of() {
	"$@" 2>/dev/null | head -n 1
}

# Of the config in effect, as dynfs shows it: GROUP KEY
in_effect() {
	"$bin/dynfs" config show -c "$base/dynfs.conf" |
		sed -n "/^$1 = {/,/^};/s/^\t$2 = \"*\([^\";]*\)\"*;/\1/p"
}

facts() {
	echo "kernel=$(uname -r)"
	echo "cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)"
	echo "cpus=$(nproc)"
	echo "memory=$(sed -n 's/^MemTotal: *//p' /proc/meminfo)"
	echo "device=$(findmnt -n -o SOURCE,FSTYPE -T "$work" | tr -s ' ')"
	echo "dynfs=$(version_of "$bin/dynfs" --version)"
	echo "gluster=$(version_of glusterfs --version)"
	echo "mergerfs=$(version_of mergerfs -V)"
	echo "load_before=$(cut -d' ' -f1-3 /proc/loadavg)"
	echo "sizes=$mib MiB, $reads random reads and writes, $syncs syncs," \
		"$files files, a tree of $(cat "$work/material/$tree_all.count")"
	echo "small=a fifth of the files and operations, a tree of" \
		"$(cat "$work/material/$tree_part.count")"
	echo "bound=$(in_effect limits memory)"
	echo "copies=$copies"
	echo "rounds=$rounds"
}

measure_place() {
	local system list
	IFS=, read -r -a list <<<"${rows/%?(,)scale/}"
	[ ${#list[@]} -gt 0 ] || return 0
	base=$work/$place
	for system in "${systems[@]}"; do
		"make_$system"
	done
	rounds_of "${list[@]}"
	for system in "${systems[@]}"; do
		"drop_$system"
	done
}

inside() {
	mib=1024 reads=10000 syncs=2000 files=10000 many=1000000
	[ "$quick" = no ] ||
		mib=256 reads=2000 syncs=200 files=1000 many=100000
	. "$here/lib/systems.sh"
	. "$here/lib/rows.sh"
	. "$here/lib/scale.sh"
	IFS=, read -r -a systems <<<"$chosen"
	: >"$work/figures"
	: >"$work/memory"
	make_material
	base=$work/ssd
	conf_dynfs
	copies=$(in_effect metadata copies)
	facts >"$work/facts"
	[[ $places != *ram* ]] || make_ram
	for place in ${places//,/ }; do
		measure_place
	done
	[[ ,$rows, != *,scale,* || $places != *ssd* ]] || scale
}

if [ "${1:-}" = --inside ]; then
	trap 'exit 130' INT TERM HUP
	inside
else
	outer "$@"
fi
