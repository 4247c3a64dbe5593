#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Large programs at work on a mounted pool: a data base server, a compiler
# with this project, fio with its own checks, stress-ng's file system stressors.
#
#   programs.sh [NAME...]      only these of: postgres build fio stress
#   DYNFS_SECONDS=N            how long pgbench and each kind of fio run (60)
#   DYNFS_STRESS_SECONDS=N     how long each stressor runs (10)
#   DYNFS_POLICY=NAME          ec42 or copies3 (ec42)
. "$(dirname "$0")/lib.sh"

seconds=${DYNFS_SECONDS:-60}
stress=${DYNFS_STRESS_SECONDS:-10}
top=$(readlink -f "$(dirname "$0")/../..")
[ $# -gt 0 ] || set -- postgres build fio stress
POLICY=${DYNFS_POLICY:-ec42}

have() {
	command -v "$1" >/dev/null && return 0
	say "without $1, which is not installed"
	return 1
}

# ---- PostgreSQL: initdb, pgbench, restart, and every page's checksum -------

as_postgres() {
	setpriv --reuid postgres --regid postgres --clear-groups \
		env HOME=/tmp PATH="$pg:$PATH" LC_ALL=C "$@"
}

pg_start() {
	# a socket in the test's own folder: no port, no other server's lock
	as_postgres pg_ctl -s -w -t 60 -D "$data" -l "$data/server.txt" \
		-o "-c listen_addresses= -c unix_socket_directories=$sockets" \
		start || {
		tail -n 20 "$data/server.txt" >&2
		die "PostgreSQL does not start"
	}
}

pg_stop() {
	as_postgres pg_ctl -s -w -t 60 -D "$data" -m fast stop ||
		die "PostgreSQL does not stop"
}

bench() {
	as_postgres pgbench -h "$sockets" "$@" postgres \
		>"$work/pgbench.log" 2>&1 || die "pgbench $*"
}

sum_of() {
	as_postgres psql -h "$sockets" -Atc \
		"select count(*), sum(abalance) from pgbench_accounts" postgres
}

run_postgres() {
	local before
	pg=$(find /usr/lib/postgresql -maxdepth 2 -name bin 2>/dev/null |
		sort -V | tail -n 1)
	[ -n "$pg" ] && id postgres >/dev/null 2>&1 || {
		say "without PostgreSQL, which is not installed"
		return 0
	}
	say "PostgreSQL: initdb with page checksums, pgbench for $seconds s"
	data=$mnt/postgres sockets=$work/sockets
	# the test's folder is root's alone
	chmod 711 "$work"
	install -d -o postgres -g postgres -m 700 "$data" "$sockets"
	as_postgres initdb -k -D "$data" >"$work/initdb.log" 2>&1 ||
		die "initdb"
	pg_start
	bench -i -s 5 -q
	bench -c 4 -j 2 -T "$seconds"
	before=$(sum_of)
	say "  $(grep -E '^tps' "$work/pgbench.log" | head -n 1)"
	pg_stop
	as_postgres pg_checksums --check -D "$data" >"$work/sums.log" 2>&1 ||
		die "pg_checksums: $(tail -n 3 "$work/sums.log")"

	say "PostgreSQL: killed at work, recovers on a pool that was restarted"
	pg_start
	as_postgres pgbench -h "$sockets" -c 4 -j 2 -T "$seconds" postgres \
		>/dev/null 2>&1 &
	sleep $((seconds / 4 + 1))
	as_postgres pg_ctl -s -D "$data" -m immediate stop || true
	wait $! || true
	pool_stop programs
	pool_start programs
	pg_start
	[ "$(sum_of | cut -d'|' -f1)" = "${before%%|*}" ] ||
		die "PostgreSQL: accounts are missing"
	as_postgres psql -h "$sockets" -qc vacuum postgres
	pg_stop
	as_postgres pg_checksums --check -D "$data" >"$work/sums.log" 2>&1 ||
		die "pg_checksums: $(tail -n 3 "$work/sums.log")"
	rm -rf "$data"
}

# ---- this project, built on the mount and tested there ----------------------

run_build() {
	have cmake && have ninja || return 0
	say "this project: built on the mount, its unit tests run there"
	mkdir "$mnt/source"
	tar -C "$top" --exclude ./build --exclude ./.git -cf - . |
		tar -C "$mnt/source" -xf -
	(
		cd "$mnt/source"
		env -u CCACHE_DIR cmake --preset dev -DDYNFS_TESTS=ON
		cmake --build build/dev --parallel "$(nproc)"
		env -u DYNFS_BIN -u DYNFS_PLUGIN_DIR \
			DYNFS_TEST_DIR="$mnt" ctest --test-dir build/dev \
			-R '^unit/' --parallel "$(nproc)" --output-on-failure
	) >"$work/build.log" 2>&1 || die "the build on the mount"
	rm -rf "$mnt/source"
}

# ---- fio: what it writes it reads back and checks ---------------------------

run_fio() {
	local kind args
	have fio || return 0
	for kind in "write 1M 0" "randwrite 16k 0" "randrw 4k 0" "rw 12k 0" \
		"randwrite 64k 1"; do
		read -r -a args <<<"$kind"
		say "fio: ${args[0]}, ${args[1]}, direct ${args[2]}, verified"
		fio --name=fio --directory="$mnt" --size=48M --numjobs=2 \
			--rw="${args[0]}" --bs="${args[1]}" \
			--direct="${args[2]}" --ioengine=psync --fsync=100 \
			--verify=crc32c --verify_fatal=1 --do_verify=1 \
			--verify_state_save=0 --fallocate=none \
			--runtime="$seconds" >"$work/fio.log" 2>&1 ||
			die "fio $kind: $(grep -m 3 -E 'verify|err=' "$work/fio.log")"
		rm -f "$mnt"/fio.*
	done
}

# ---- stress-ng ---------------------------------------------------------------

# All of its class "filesystem" that work below one folder, and what they want
# is there: others look at /proc, /sys, the whole machine or need hardware.
stressors="access chattr chdir chmod chown copy-file dentry dir dirdeep dirmany \
dnotify dup fallocate fanotify fcntl fiemap file-ioctl filename flock fpunch \
fsize fstat getdent handle hdd inode-flags inotify io iomix lease link locka \
lockf lockofd mknod open rename symlink sync-file touch utime verity xattr"

run_stress() {
	local one known out code
	have stress-ng || return 0
	say "stress-ng: its file system stressors, $stress s each"
	known=" $(stress-ng --class 'filesystem?' 2>&1 | tr '\n' ' ') "
	mkdir "$mnt/stress"
	for one in $stressors; do
		[[ $known == *" $one "* ]] || die "no stressor $one"
		code=0
		out=$(cd "$mnt/stress" && timeout $((stress + 120)) \
			stress-ng --temp-path "$mnt/stress" --$one 2 \
			--timeout "$stress" --verify --oomable 2>&1) || code=$?
		# 3 and 4: no resources for it, or nothing of it here
		case $code in
		0) ;;
		3 | 4) say "  $one can not run here" ;;
		*)
			echo "$out" >&2
			die "stress-ng --$one ended with $code"
			;;
		esac
		rmdir "$mnt/stress" && mkdir "$mnt/stress" || {
			echo "$out" >&2
			find "$mnt/stress" -ls | head -n 20 >&2
			die "stress-ng --$one left things behind"
		}
	done
	rmdir "$mnt/stress"
}

pool_new programs 8G 8G 8G 8G 8G 8G
pool_start programs
mnt=$work/programs.mnt
for program; do
	case $program in
	postgres | build | fio | stress) "run_$program" ;;
	*) die "$program is none of: postgres build fio stress" ;;
	esac
done
pool_stop programs
pool_start programs
pool_stop programs
