#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Random operations on mounted pools, each compared with a model in memory:
# as 4+2 and as three copies; through a remount, with a disk that fails in the
# middle, and by four processes on the same files.
#
#   DYNFS_SEEDS=N   seeds of each kind (64)
#   DYNFS_OPS=N     operations of a seed (20000)
#   DYNFS_SEED=N    the first (1)
#   DYNFS_POLICIES="ec42 copies3"
#   DYNFS_KINDS="plain crowd remount fail"   what is done with each
. "$(dirname "$0")/../mount/lib.sh"

check=${DYNFS_OPCHECK:-$(dirname "$dynfs")/opcheck}
[ -x "$check" ] || die "$check is not built"
seeds=${DYNFS_SEEDS:-64} ops=${DYNFS_OPS:-20000} first=${DYNFS_SEED:-1}
last=$((first + seeds - 1))

checked() {
	"$check" "$work/$pool.mnt" --ops "$ops" "$@" >>"$work/$pool.said" ||
		die "$pool: opcheck --ops $ops $*"
}

# One seed that is paused at half, during which "$2"... is done.
paused() {
	local seed=$1 close=$2 code=0 line
	shift 2
	# shellcheck disable=SC2086 # --close or nothing
	coproc checker {
		exec "$check" "$work/$pool.mnt" --ops "$ops" --seed "$seed" \
			--pause $((ops / 2)) $close
	}
	local out=${checker[0]} in=${checker[1]} id=$checker_PID
	read -r line <&"$out" || line=nothing
	[ "$line" = paused ] || die "$pool: seed $seed said $line"
	"$@"
	echo go >&"$in"
	read -r line <&"$out" || line=nothing
	wait "$id" || code=$?
	[ "$code" = 0 ] || die "$pool: seed $seed: $line"
}

remount() {
	pool_stop "$pool"
	drop_caches
	pool_start "$pool"
}

fail_disk() {
	"$dynfs" disk fail -c "$work/$pool.conf" "$work/$pool/disk$1" \
		>/dev/null || die "disk $1 can not be given up"
}

say "the checker itself, on $(findmnt -n -o FSTYPE -T "$work")"
mkdir "$work/plain.mnt"
pool=plain
checked --seed "$first"
checked --seed "$first" --procs 4

wants() {
	[[ " ${DYNFS_KINDS:-plain crowd remount fail} " == *" $1 "* ]]
}

for policy in ${DYNFS_POLICIES:-ec42 copies3}; do
	pool=$policy
	POLICY=$policy pool_new "$pool"
	pool_start "$pool"
	if wants plain; then
		say "$policy: seeds $first to $last"
		checked --seed "$first" --seeds "$seeds" --drop
	fi
	if wants crowd; then
		say "$policy: four processes"
		checked --seed "$first" --seeds "$seeds" --procs 4
	fi
	if wants remount; then
		say "$policy: through a remount"
		for seed in $(seq "$first" "$last"); do
			paused "$seed" --close remount
		done
	fi
	pool_stop "$pool"
	rm -rf --one-file-system "${work:?}/$pool"
	wants fail || continue
	say "$policy: a disk fails"
	for seed in $(seq "$first" "$last"); do
		pool=$policy-$seed
		POLICY=$policy pool_new "$pool"
		pool_start "$pool"
		paused "$seed" "" fail_disk $((seed % 6 + 1))
		pool_stop "$pool"
		rm -rf --one-file-system "${work:?}/$pool"
	done
done
