# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
# The systems: each is made, started, stopped and dropped by functions of its
# name, below $base, which is where the disks of the place at hand lie.  What
# runs here is in namespaces of its own: see run.sh.

address=10.254.254.1
host=bench-host

# COMMAND...: until it succeeds, a minute at most
wait_for() {
	local end=$((SECONDS + 60))
	while [ $SECONDS -lt $end ]; do
		"$@" >/dev/null 2>&1 && return 0
		sleep 0.05
	done
	return 1
}

make_disks() { # SYSTEM
	local i
	mkdir -p "$base/$1"
	for i in 1 2 3 4 5 6; do
		mkdir -p "$base/disks/$1$i"
	done
}

# ---- dynfs ----------------------------------------------------------------

dynfs_serves() {
	grep -q '^  end ' "$work/dynfs.log"
}

start_dynfs() { # [OPTION...]
	: >"$work/dynfs.log"
	"$bin/dynfs" run -c "$base/dynfs.conf" "$@" >>"$work/dynfs.log" 2>&1 &
	dynfs_pid=$!
	for _ in $(seq 3000); do
		dynfs_serves && return 0
		kill -0 "$dynfs_pid" 2>/dev/null || break
		sleep 0.02
	done
	tail -n 20 "$work/dynfs.log" >&2
	die "dynfs did not come up"
}

dynfs_memory() { # FIELD: KiB; VmRSS now, VmHWM at most
	sed -n "s/^$1:[^0-9]*\([0-9]*\) kB/\1/p" "/proc/$dynfs_pid/status"
}

stop_dynfs() {
	printf '%s\t%s\n' "$place" "$(dynfs_memory VmHWM)" >>"$work/memory"
	kill -TERM "$dynfs_pid"
	wait "$dynfs_pid" || die "dynfs ended with $?"
}

conf_dynfs() {
	local i disks=
	mkdir -p "$base"
	for i in 1 2 3 4 5 6; do
		disks="$disks${disks:+,} { path = \"$base/disks/dynfs$i\"; }"
	done
	cat >"$base/dynfs.conf" <<CONF
pool = {
	name = "bench";
	dir = "$base/dynfs.pool";
	mountpoint = "$base/dynfs";
	create = true;
	disks = ($disks );
};
policies = {
	default = "ec42";
	ec42 = { redundancy = "erasure"; k = 4; m = 2; };
};
CONF
}

make_dynfs() {
	make_disks dynfs
	conf_dynfs
	start_dynfs
}

drop_dynfs() {
	stop_dynfs
	rm -rf --one-file-system "$base"/{dynfs.pool,disks/dynfs?}
}

# Read-only: what is done without two disks must not be missed by them later.
cripple_dynfs() {
	stop_dynfs
	mkdir "$base/gone"
	mv "$base"/disks/dynfs[12] "$base/gone"
	start_dynfs --readonly
}

mend_dynfs() {
	stop_dynfs
	mv "$base"/gone/dynfs[12] "$base/disks"
	rmdir "$base/gone"
	start_dynfs
}

# ---- GlusterFS ------------------------------------------------------------

gluster_do() {
	gluster --mode=script "$@" >"$work/gluster.say" 2>&1 && return 0
	cat "$work/gluster.say" >&2
	die "gluster $1 $2 failed"
}

# It wants a host name, an address that is not the loopback's, folders in /var.
start_glusterd() {
	local part
	[ ! -e "$work/glusterd.pid" ] || return 0
	ip link set lo up
	ip address add "$address/32" dev lo
	{
		cat /etc/hosts
		echo "$address $host"
	} >"$work/hosts"
	mount --bind "$work/hosts" /etc/hosts
	for part in lib/glusterd log/glusterfs run/gluster; do
		mkdir -p "/var/$part" "$work/var/$part"
		mount --bind "$work/var/$part" "/var/$part"
	done
	mkdir -p "$work/var/log/glusterfs/bricks"
	glusterd --log-level=WARNING --pid-file="$work/glusterd.pid"
	wait_for gluster --mode=script volume list ||
		die "glusterd did not come up"
}

gluster_serves() {
	mountpoint -q "$base/gluster" && stat "$base/gluster/."
}

start_gluster() {
	glusterfs --volfile-server="$host" --volfile-id="bench-$place" \
		--log-file="$work/gluster.log" "$base/gluster"
	wait_for gluster_serves && return 0
	tail -n 20 "$work/gluster.log" >&2
	die "GlusterFS did not come up"
}

make_gluster() {
	local i bricks=()
	make_disks gluster
	start_glusterd
	for i in 1 2 3 4 5 6; do
		bricks+=("$host:$base/disks/gluster$i/brick")
	done
	gluster_do volume create "bench-$place" disperse 6 redundancy 2 \
		"${bricks[@]}" force
	gluster_do volume start "bench-$place"
	start_gluster
}

drop_gluster() {
	let_go gluster
	gluster_do volume stop "bench-$place" force
	gluster_do volume delete "bench-$place"
	rm -rf --one-file-system "$base"/disks/gluster?
}

brick_runs() { # NUMBER
	pgrep -f -- "--brick-name $base/disks/gluster$1/brick "
}

no_brick_runs() { # NUMBER
	! brick_runs "$1"
}

cripple_gluster() {
	local i
	let_go gluster
	for i in 1 2; do
		kill -KILL "$(brick_runs $i)"
		wait_for no_brick_runs $i || die "a brick does not end"
	done
	start_gluster
}

all_bricks_online() {
	gluster --mode=script volume status "bench-$place" --xml | awk '
		/<path>/ { brick = /brick<\/path>/ }
		/<status>1</ && brick { up++ }
		END { exit up != 6 }'
}

mend_gluster() {
	let_go gluster
	gluster_do volume start "bench-$place" force
	wait_for all_bricks_online || die "a brick does not come back"
	start_gluster
}

# ---- the others -----------------------------------------------------------

start_mergerfs() {
	local i disks=
	for i in 1 2 3 4 5 6; do
		disks="$disks${disks:+:}$base/disks/mergerfs$i"
	done
	# its default wants 4 GiB free on each
	mergerfs -o category.create=rand,fsname=bench,minfreespace=64M \
		"$disks" "$base/mergerfs"
}

make_mergerfs() {
	make_disks mergerfs
	start_mergerfs
}

drop_mergerfs() {
	let_go mergerfs
	rm -rf --one-file-system "$base"/disks/mergerfs?
}

pass_serves() {
	grep -q '^ready' "$work/pass.log"
}

start_pass() {
	: >"$work/pass.log"
	"$bin/bench_passthrough" "$base/disks/pass1" "$base/pass" \
		>>"$work/pass.log" 2>&1 &
	pass_pid=$!
	wait_for pass_serves && return 0
	cat "$work/pass.log" >&2
	die "the pass-through did not come up"
}

stop_pass() {
	umount "$base/pass"
	wait "$pass_pid" || die "the pass-through ended with $?"
}

make_pass() {
	make_disks pass
	start_pass
}

drop_pass() {
	stop_pass
	rm -rf --one-file-system "$base"/disks/pass?
}

make_plain() {
	mkdir -p "$base/plain"
}

drop_plain() {
	rm -rf --one-file-system "$base/plain"
}

# ---- all ------------------------------------------------------------------

# Programs that serve a mount end some time after it is gone.
let_go() {
	umount "$base/$1"
	for _ in $(seq 100); do
		pgrep -f -- "$base/$1\$" >/dev/null || return 0
		sleep 0.05
	done
}

drop_caches() {
	sync
	echo 3 >/proc/sys/vm/drop_caches
}

# Nothing of what was written stays in any cache: mounted afresh, and the
# kernel's own dropped, which are also those of the disks below.
chill() {
	case $1 in
	dynfs) stop_dynfs && start_dynfs ;;
	gluster) let_go gluster && start_gluster ;;
	mergerfs) let_go mergerfs && start_mergerfs ;;
	pass) stop_pass && start_pass ;;
	esac
	drop_caches
}
