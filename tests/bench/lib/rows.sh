# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
# The rows: what each needs, what is done, and what is left behind.  A rate
# goes to $work/figures with its place, round, row, system, and the load before
# it; "-" is one that failed.

# How much is done: rates compare, so the slowest system by far does less.
sizes() { # SYSTEM
	count=$files ops=$syncs random=$reads tree=$tree_all
	[ "$1" = gluster ] || return 0
	count=$((files / 5)) ops=$((syncs / 5)) random=$((reads / 5))
	tree=$tree_part
}

# ---- the material of untar and git ----------------------------------------

export GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null

# below /usr/include
declare -A tree_of=([whole]=. [linux]=linux [netfilter]=linux/netfilter)

make_tree() { # NAME
	local to=$work/material/$1
	mkdir -p "$to"
	tar -C /usr/include -cf - "${tree_of[$1]}" | tar -C "$to" -xf -
	tar -C "$to" -cf "$to.tar" .
	git -C "$to" init -q
	git -C "$to" add .
	git -C "$to" -c user.name=bench -c user.email=bench@localhost \
		commit -q -m tree
	git -C "$to" repack -adq
	git -C "$to" ls-files | wc -l >"$to.count"
}

make_material() {
	tree_all=whole tree_part=linux
	[ "$quick" = no ] || tree_all=linux tree_part=netfilter
	make_tree "$tree_all"
	make_tree "$tree_part"
}

# ---- timed by this script -------------------------------------------------

# N COMMAND...: N per second
timed() {
	local n=$1 from=$EPOCHREALTIME
	shift
	"$@" || return 1
	awk -v n="$n" -v from="$from" -v to="$EPOCHREALTIME" \
		'BEGIN { printf "%.2f\n", n / (to - from) }'
}

tree_files() {
	cat "$work/material/$tree.count"
}

untar() { # MOUNT
	mkdir "$1/tree" &&
		timed "$(tree_files)" tar -C "$1/tree" \
			-xf "$work/material/$tree.tar" &&
		diff -rq --no-dereference --exclude=.git \
			"$work/material/$tree" "$1/tree" >&2
}

git_clone() { # MOUNT
	timed "$(tree_files)" git clone -q --no-hardlinks \
		"$work/material/$tree" "$1/clone"
}

nothing_changed() { # REPOSITORY
	[ -z "$(git -C "$1" status --porcelain)" ]
}

git_status() { # MOUNT
	timed "$(tree_files)" nothing_changed "$1/clone"
}

inserts() {
	echo "PRAGMA journal_mode=WAL;"
	echo "PRAGMA synchronous=FULL;"
	echo "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT, b BLOB);"
	seq "$ops" | sed "s/.*/INSERT INTO t(a, b) VALUES \
('a row of some words, number &', randomblob(100));/"
}

sqlite_run() { # DATABASE
	sqlite3 -bail "$1" <"$work/material/inserts" >/dev/null
}

sqlite_insert() { # MOUNT
	local said
	inserts >"$work/material/inserts"
	mkdir "$1/db" && timed "$ops" sqlite_run "$1/db/db" || return 1
	said=$(sqlite3 "$1/db/db" "PRAGMA integrity_check; \
SELECT count(*) FROM t;" | tr '\n' ' ')
	[ "$said" = "ok $ops " ] || {
		echo "run.sh: sqlite says $said" >&2
		return 1
	}
}

# ---- one row on one system ------------------------------------------------

work_on() { # ROW SYSTEM OPS
	"$bin/bench_work" "$1" "$base/$2" --mib "$mib" --ops "$3" \
		--count "$count"
}

# What a row reads is there, measured or not.
prepare() {
	local row=$1 system=$2 at=$base/$2
	case $row in
	seq-read | degraded | reread | rand-read | rand-write)
		[ -e "$at/big" ] || work_on seq-write "$system" 1
		;;
	par-read)
		[ -e "$at/par0" ] || work_on par-write "$system" 1
		;;
	stat | read | unlink)
		[ -e "$at/d000000" ] || work_on create "$system" 1
		;;
	git-status)
		[ -e "$at/clone" ] || git_clone "$at"
		# once for what git cannot know of files as young as its index
		nothing_changed "$at/clone"
		;;
	esac >/dev/null
}

settle() {
	local row=$1 system=$2
	case $row in
	degraded)
		case $system in
		dynfs | gluster) "cripple_$system" && drop_caches ;;
		*) chill "$system" ;; # beside them, as a control
		esac
		;;
	reread) work_on seq-read "$system" 1 >/dev/null ;;
	untar | git-clone)
		sync
		# what is read is not what is measured
		find "$work/material/$tree.tar" "$work/material/$tree/.git" \
			-type f -exec cat {} + >/dev/null
		;;
	*-read | read | stat | git-status) chill "$system" ;;
	*) sync ;;
	esac
}

run_row() {
	local row=$1 system=$2 at=$base/$2
	case $row in
	degraded | reread) work_on seq-read "$system" 1 ;;
	rand-*) work_on "$row" "$system" "$random" ;;
	untar) untar "$at" ;;
	git-clone) git_clone "$at" ;;
	git-status) git_status "$at" ;;
	sqlite) sqlite_insert "$at" ;;
	*) work_on "$row" "$system" "$ops" ;;
	esac
}

# What no later row of the round reads goes: memory is the RAM disks' room.
clear_row() {
	local row=$1 system=$2 at=$base/$2
	case $row,$system in
	degraded,dynfs | degraded,gluster) "mend_$system" ;;
	rand-write,*) rm -f "$at/big" ;; # spoilt for those who compare
	par-read,*) rm -f "$at"/par? ;;
	untar,*) rm -rf "$at/tree" ;;
	sqlite,*) rm -rf "$at/db" ;;
	esac
}

note() { # ROUND ROW SYSTEM RATE LOAD
	printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$place" "$@" | tee -a "$work/figures"
}

measure() {
	local round=$1 row=$2 system=$3 value load
	[ "$row,$system" != degraded,mergerfs ] || return 0
	sizes "$system"
	prepare "$row" "$system" || die "$system is not ready for $row"
	settle "$row" "$system"
	read -r load _ </proc/loadavg
	value=$(run_row "$row" "$system") || value=-
	[ "$value" != - ] || echo "run.sh: $system failed at $row" >&2
	note "$round" "$row" "$system" "$value" "$load"
	# beside it: what no log of so many copies can do faster
	if [ "$row,$system" = fsync-write,plain ]; then
		value=$("$bin/bench_work" sync-yard "$base/plain" \
			--ops "$syncs" --syncs "$copies") || value=-
		note "$round" "$row" yard "$value" "$load"
	fi
	clear_row "$row" "$system"
}

# The systems take turns, and none is always the first.
rounds_of() { # ROW...
	local round i n=${#systems[@]} row system turn
	for round in $(seq "$rounds"); do
		i=$round
		for row; do
			i=$((i + 1))
			for turn in $(seq "$i" $((i + n - 1))); do
				measure "$round" "$row" "${systems[turn % n]}"
			done
		done
		for system in "${systems[@]}"; do
			rm -rf "${base:?}/$system"/*
		done
	done
}
