# SPDX-License-Identifier: Apache-2.0
# For the tests that mount a pool: a folder of their own, pools that are
# stopped and unmounted however the test ends.  Sourced by bash scripts.
#
#   pool_new NAME [SIZES...]   write $work/NAME.conf: disks of these sizes
#   pool_start NAME            run it in the foreground, wait until it serves
#   pool_stop NAME             SIGTERM and wait; fails unless it ends with 0
#   pool_kill NAME             SIGKILL, and the dead mount taken away
#   daemons                    those of pools here that are in the background
#   disks_state NAME           what the disks hold, to compare with later
#   same A B                   two trees are alike to rsync -aHAXc
set -euo pipefail

dynfs=${DYNFS_BIN:?DYNFS_BIN names the program}
work=$(mktemp -d "${DYNFS_TEST_DIR:-/var/tmp}/dynfs-test.XXXXXX")
declare -A pid=()

skip() {
	echo "skipped: $*"
	exit 77
}

die() {
	echo "FAILED: $*" >&2
	exit 1
}

say() {
	echo "-- $*"
}

# A test may have more to take away.
at_exit() {
	:
}

# Daemons in the background: their command line has a path of ours.
daemons() {
	local at
	for at in /proc/[0-9]*; do
		grep -qas "$work/" "$at/cmdline" &&
			grep -qs dynfs "$at/comm" "$at/cmdline" &&
			echo "${at#/proc/}"
	done
	return 0
}

cleanup() {
	local name code=$?
	set +e
	at_exit
	for name in "${!pid[@]}"; do
		kill -TERM "${pid[$name]}" 2>/dev/null
		for _ in $(seq 100); do
			kill -0 "${pid[$name]}" 2>/dev/null || break
			sleep 0.1
		done
		kill -KILL "${pid[$name]}" 2>/dev/null
	done
	for name in $(daemons); do
		kill -KILL "$name" 2>/dev/null
	done
	# alive, dead or not there: none may stay
	for mnt in "$work"/*.mnt "$work"/*/disk* "$work"/*; do
		umount -l "$mnt" 2>/dev/null
	done
	if [ "$code" != 0 ] && [ "$code" != 77 ]; then
		for log in "$work"/*.log; do
			[ -f "$log" ] && echo "== $log" && tail -n 40 "$log"
		done
	fi
	rm -rf --one-file-system "$work"
	exit "$code"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# What the disks of a pool hold, to the byte and the nanosecond; without what
# is beside them in the pool's folder.
disks_state() {
	(
		cd "$work/$1"
		find disk* -printf '%p %y %s %T@ %C@ %b %i %m\n' | sort
		find disk* -type f -print0 | sort -z | xargs -0 sha256sum
	)
}

[ "$(id -u)" = 0 ] || skip "mounting needs root"
[ -c /dev/fuse ] || skip "no /dev/fuse here"

need() {
	for tool; do
		command -v "$tool" >/dev/null || skip "$tool is not installed"
	done
}

pool_new() {
	local name=$1 i=0 size disks=
	shift
	[ $# -gt 0 ] || set -- 4G 4G 5G 6G 8G 8G
	for size; do
		i=$((i + 1))
		disks="$disks${disks:+,}
		{ path = \"disk$i\"; limit = \"$size\"; }"
	done
	mkdir -p "$work/$name" "$work/$name.mnt"
	cat >"$work/$name.conf" <<CONF
pool = {
	name = "$name";
	dir = "$work/$name";
	mountpoint = "$work/$name.mnt";
	create = true;
	disks = ($disks
	);
};
policies = {
	default = "${POLICY:-ec42}";
	ec42 = { redundancy = "erasure"; k = 4; m = 2; };
	copies3 = { redundancy = "replica"; copies = 3; };
};
CONF
}

pool_start() {
	local name=$1
	shift
	# before the fork: the loop below must not read the last run's words
	: >"$work/$name.log"
	"$dynfs" run -c "$work/$name.conf" "$@" >>"$work/$name.log" 2>&1 &
	pid[$name]=$!
	for _ in $(seq 300); do
		# a dead mount is a mount point too: the daemon's word counts
		grep -q '^  end ' "$work/$name.log" && return 0
		kill -0 "${pid[$name]}" 2>/dev/null || {
			unset "pid[$name]"
			return 1
		}
		sleep 0.1
	done
	die "$name did not come up in 30 s"
}

pool_stop() {
	local name=$1 code=0
	kill -TERM "${pid[$name]}"
	wait "${pid[$name]}" || code=$?
	unset "pid[$name]"
	[ "$code" = 0 ] || die "$name ended with $code"
	! mountpoint -q "$work/$name.mnt" || die "$name is still mounted"
}

pool_kill() {
	local name=$1
	kill -KILL "${pid[$name]}"
	wait "${pid[$name]}" 2>/dev/null || true
	unset "pid[$name]"
}

# Content, names, links, owners, modes, times, ACLs and xattrs.
same() {
	local out
	out=$(rsync -aHAXc --delete --dry-run --itemize-changes "$1/" "$2/")
	[ -z "$out" ] || {
		echo "$out" | head -n 20 >&2
		die "$1 and $2 differ"
	}
}

drop_caches() {
	sync
	echo 3 >/proc/sys/vm/drop_caches
}
