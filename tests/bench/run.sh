#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# dynfs beside GlusterFS, mergerfs and a plain folder, on one device; root.
# Prints a table and writes docs/performance.md.
#
#   --rounds N     how often each row is measured on each system (3)
#   --dir DIR      where the disks of all systems lie (/var/tmp/dynfs-bench)
#   --rows A,B     only these of: seq-write seq-read rand-read fsync-write
#                  create stat read unlink
#   --systems A,B  only these of: ext4 dynfs gluster mergerfs
#   --quick        256 MiB instead of 1 GiB, a tenth of the files
#   --out FILE     write there instead of docs/performance.md
#   --no-install   do not look for missing packages
#
# Everything runs in namespaces of its own: processes, mounts and network.
# GlusterFS wants a host name and an address that is not the loopback's, ports
# and folders below /var; it gets them there, and nothing of that can reach
# the machine or outlive this script, however it ends.
set -euo pipefail

self=$(readlink -f "$0")
here=$(dirname "$self")
top=$(dirname "$(dirname "$here")")
all_rows=seq-write,seq-read,rand-read,fsync-write,create,stat,read,unlink
all_systems=ext4,dynfs,gluster,mergerfs

usage() {
	sed -n '/^# dynfs beside/,/^set/s/^# \{0,1\}//p' "$self"
}

die() {
	echo "run.sh: $*" >&2
	exit 1
}

# ---- the outer half: options, packages, build, namespaces, the report -----

only_of() {
	local all=,$1, word
	for word in ${2//,/ }; do
		[[ $all == *,"$word",* ]] || die "$word is none of $1"
	done
}

parse() {
	rounds=3 dir=/var/tmp/dynfs-bench rows=$all_rows quick=no install=yes
	systems=$all_systems out=$top/docs/performance.md
	while [ $# -gt 0 ]; do
		case $1 in
		--rounds) rounds=${2:?--rounds wants a number} && shift ;;
		--dir) dir=${2:?--dir wants a folder} && shift ;;
		--rows) rows=${2:?--rows wants names} && shift ;;
		--systems) systems=${2:?--systems wants names} && shift ;;
		--out) out=${2:?--out wants a file} && shift ;;
		--quick) quick=yes ;;
		--no-install) install=no ;;
		-h | --help) usage && exit 0 ;;
		*) usage >&2 && exit 2 ;;
		esac
		shift
	done
	[[ $rounds =~ ^[1-9][0-9]*$ ]] || die "--rounds wants a number"
	only_of "$all_rows" "$rows"
	only_of "$all_systems" "$systems"
	[[ ,$systems, == *,ext4,* ]] || die "ext4 is the control: keep it"
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
}

outer() {
	local command="tests/bench/run.sh $*" code=0
	parse "$@"
	[ "$(id -u)" = 0 ] || die "mounting needs root"
	[ -c /dev/fuse ] || die "no /dev/fuse here"
	[ $install = no ] || "$top/packaging/packages.sh" build bench
	mkdir -p "$dir"
	work=$(mktemp -d "$dir/run.XXXXXX")
	trap take_down EXIT
	trap 'exit 130' INT TERM HUP
	build
	DYNFS_PLUGIN_DIR=$top/build/release/lib/dynfs \
		"$top/build/release/bin/bench_encode" 2 >"$work/encode"
	unshare --mount --net --pid --fork --kill-child --mount-proc \
		"$self" --inside "$work" "$rounds" "$rows" "$systems" \
		"$quick" "$top/build/release" &
	inner=$!
	wait "$inner" || code=$?
	inner=
	[ -s "$work/figures" ] || die "nothing was measured"
	python3 "$here/report.py" "$work" "$out" "$command"
	return "$code"
}

# ---- the inner half: the systems ------------------------------------------

address=10.254.254.1
host=bench-host

start_dynfs() {
	"$bin/dynfs" run -c "$work/dynfs.conf" >"$work/dynfs.log" 2>&1 &
	dynfs_pid=$!
	for _ in $(seq 600); do
		grep -q '^  end ' "$work/dynfs.log" && return 0
		kill -0 "$dynfs_pid" 2>/dev/null || break
		sleep 0.1
	done
	tail -n 20 "$work/dynfs.log" >&2
	die "dynfs did not come up"
}

stop_dynfs() {
	kill -TERM "$dynfs_pid"
	wait "$dynfs_pid" || die "dynfs ended with $?"
}

make_dynfs() {
	local i disks=
	for i in 1 2 3 4 5 6; do
		disks="$disks${disks:+,} { path = \"$work/disks/dynfs$i\"; }"
	done
	cat >"$work/dynfs.conf" <<CONF
pool = {
	name = "bench";
	dir = "$work/dynfs.pool";
	mountpoint = "$work/dynfs";
	create = true;
	disks = ($disks );
};
policies = {
	default = "ec42";
	ec42 = { redundancy = "erasure"; k = 4; m = 2; };
};
CONF
	start_dynfs
}

start_gluster() {
	glusterfs --volfile-server="$host" --volfile-id=bench \
		--log-file="$work/gluster.log" "$work/gluster"
	for _ in $(seq 300); do
		mountpoint -q "$work/gluster" &&
			stat "$work/gluster/." >/dev/null 2>&1 && return 0
		sleep 0.1
	done
	tail -n 20 "$work/gluster.log" >&2
	die "GlusterFS did not come up"
}

gluster_do() {
	gluster --mode=script "$@" >"$work/gluster.say" 2>&1 && return 0
	cat "$work/gluster.say" >&2
	die "gluster $1 $2 failed"
}

make_gluster() {
	local i bricks=()
	ip link set lo up
	ip address add "$address/32" dev lo
	{
		cat /etc/hosts
		echo "$address $host"
	} >"$work/hosts"
	mount --bind "$work/hosts" /etc/hosts
	for i in lib/glusterd log/glusterfs run/gluster; do
		mkdir -p "/var/$i" "$work/var/$i"
		mount --bind "$work/var/$i" "/var/$i"
	done
	mkdir -p "$work/var/log/glusterfs/bricks"
	glusterd --log-level=WARNING --pid-file="$work/glusterd.pid"
	for i in 1 2 3 4 5 6; do
		bricks+=("$host:$work/disks/gluster$i/brick")
	done
	for _ in $(seq 100); do
		gluster --mode=script volume list >/dev/null 2>&1 && break
		sleep 0.2
	done
	gluster_do volume create bench disperse 6 redundancy 2 \
		"${bricks[@]}" force
	gluster_do volume start bench
	start_gluster
}

start_mergerfs() {
	mergerfs -o category.create=rand,fsname=bench \
		"$work/disks/mergerfs1:$work/disks/mergerfs2:$work/disks/mergerfs3:$work/disks/mergerfs4:$work/disks/mergerfs5:$work/disks/mergerfs6" \
		"$work/mergerfs"
}

# Programs that serve a mount end some time after it is gone.
let_go() {
	umount "$work/$1"
	for _ in $(seq 100); do
		pgrep -f -- "$work/$1\$" >/dev/null || return 0
		sleep 0.05
	done
}

make_ext4() { :; }
make_mergerfs() { start_mergerfs; }

# Nothing of what was written stays in any cache: mounted afresh, and the
# kernel's own dropped, which are also those of the disks below.
chill() {
	case $1 in
	dynfs) stop_dynfs && start_dynfs ;;
	gluster) let_go gluster && start_gluster ;;
	mergerfs) let_go mergerfs && start_mergerfs ;;
	esac
	sync
	echo 3 >/proc/sys/vm/drop_caches
}

# ---- the inner half: measuring --------------------------------------------

work_on() {
	"$bin/bench_work" "$1" "$work/$2" --mib "$mib" --ops "$3" \
		--count "$files"
}

ops_of() {
	case $1 in
	rand-read) echo "$reads" ;;
	*) echo "$syncs" ;;
	esac
}

# What a row reads is there, measured or not.
prepare() {
	local row=$1 system=$2
	case $row in
	seq-read | rand-read)
		[ -e "$work/$system/big" ] ||
			work_on seq-write "$system" 1 >/dev/null
		;;
	stat | read | unlink)
		[ -e "$work/$system/d000000" ] ||
			work_on create "$system" 1 >/dev/null
		;;
	esac
}

measure() {
	local round=$1 row=$2 system=$3 value load
	prepare "$row" "$system"
	case $row in
	*read | stat) chill "$system" ;;
	*) sync ;;
	esac
	read -r load _ </proc/loadavg
	if value=$(work_on "$row" "$system" "$(ops_of "$row")"); then
		printf '%s\t%s\t%s\t%s\t%s\n' "$round" "$row" "$system" \
			"$value" "$load" | tee -a "$work/figures"
	else
		echo "run.sh: $system failed at $row" >&2
		printf '%s\t%s\t%s\t-\t%s\n' "$round" "$row" "$system" \
			"$load" >>"$work/figures"
	fi
}

facts() {
	{
		echo "kernel=$(uname -r)"
		echo "cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo |
			head -n 1)"
		echo "cpus=$(nproc)"
		echo "memory=$(sed -n 's/^MemTotal: *//p' /proc/meminfo)"
		echo "device=$(findmnt -n -o SOURCE,FSTYPE -T "$work" |
			tr -s ' ')"
		echo "dynfs=$("$bin/dynfs" --version | head -n 1)"
		echo "gluster=$(glusterfs --version 2>/dev/null | head -n 1)"
		echo "mergerfs=$(mergerfs -V 2>/dev/null | head -n 1)"
		echo "load_before=$(cut -d' ' -f1-3 /proc/loadavg)"
		echo "sizes=$mib MiB, $reads random reads, $syncs fsyncs, \
$files files"
		echo "rounds=$rounds"
	} >"$work/facts"
}

inside() {
	local round i n row system list
	work=$1 rounds=$2 rows=$3 systems=$4 quick=$5 bin=$6/bin
	mib=1024 reads=10000 syncs=2000 files=10000
	[ "$quick" = no ] || mib=256 reads=2000 syncs=200 files=1000
	IFS=, read -r -a list <<<"$systems"
	n=${#list[@]}
	facts
	for system in "${list[@]}"; do
		mkdir -p "$work/$system"
		for i in 1 2 3 4 5 6; do
			mkdir -p "$work/disks/$system$i"
		done
		"make_$system"
	done
	for round in $(seq "$rounds"); do
		i=$round
		for row in ${rows//,/ }; do
			i=$((i + 1))
			for system in $(seq "$i" $((i + n - 1))); do
				measure "$round" "$row" \
					"${list[system % n]}"
			done
		done
		for system in "${list[@]}"; do
			rm -rf "${work:?}/$system"/{big,journal,d0*}
		done
	done
	echo "load_after=$(cut -d' ' -f1-3 /proc/loadavg)" >>"$work/facts"
	# the rest ends with the namespace; this one is to end well
	[[ ,$systems, != *,dynfs,* ]] || stop_dynfs
}

if [ "${1:-}" = --inside ]; then
	shift
	trap 'exit 130' INT TERM HUP
	inside "$@"
else
	outer "$@"
fi
