#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# passthrough.sh PASSTHROUGH WORK: the ceiling holds water: every row's work is
# done on it with its content checked, and names, attributes, xattrs and lists
# are those of the folder below.
set -euo pipefail

passthrough=$1 worker=$2 pid=

if [ "$(id -u)" != 0 ] || [ ! -c /dev/fuse ]; then
	echo "skipped: mounting needs root and /dev/fuse"
	exit 77
fi

die() {
	echo "FAILED: $*" >&2
	exit 1
}

cleanup() {
	local code=$?
	umount -l "$work/m" 2>/dev/null || true
	[ -z "$pid" ] || wait "$pid" || true
	rm -rf --one-file-system "$work"
	exit "$code"
}

start() {
	: >"$work/said"
	"$passthrough" "$work/f" "$work/m" >>"$work/said" &
	pid=$!
	for _ in $(seq 200); do
		grep -q '^ready' "$work/said" && return 0
		sleep 0.05
	done
	die "it does not serve"
}

stop() {
	umount "$work/m"
	wait "$pid" || die "it ended with $?"
	pid=
}

rows() {
	local row
	for row in seq-write seq-read rand-read rand-write par-write par-read \
		fsync-write sync-yard create stat read; do
		"$worker" "$row" "$work/m" --mib 8 --ops 50 --count 2000 \
			>/dev/null || die "$row"
	done
	stop
	start
	"$worker" stat "$work/m" --count 2000 >/dev/null || die "stat, afresh"
	[ "$(find "$work/m" -type f -name 'f0*' | wc -l)" = 2000 ] ||
		die "a list is not whole"
	"$worker" unlink "$work/m" --count 2000 >/dev/null || die unlink
	[ -z "$(find "$work/f" -type f -name 'f0*')" ] || die "files stay"
}

names() {
	local at=$work/m
	(umask 027 && echo one >"$at/u" && mkdir "$at/ud")
	[ "$(stat -c %a "$at/u" "$at/ud" | xargs)" = "640 750" ] ||
		die "the umask is lost"
	setfacl -m u:nobody:rw "$at/u"
	getfacl -cp "$work/f/u" | grep -q '^user:nobody:rw-' ||
		die "an ACL is lost"
	echo one >"$at/a"
	ln "$at/a" "$at/b"
	ln -s a "$at/s"
	mkdir "$at/d"
	mkfifo "$at/p"
	chmod 640 "$at/a"
	chown 12:34 "$at/a"
	touch -d 2001-02-03T04:05:06Z "$at/a"
	truncate -s 2 "$at/b"
	mv "$at/a" "$at/d/c"
	setfattr -n user.x -v y "$at/b"
	# as the file has them below, to the second name as well
	[ "$(stat -c '%h %s %a %u:%g' "$at/d/c")" = "2 2 640 12:34" ] ||
		die "attributes: $(stat -c '%h %s %a %u:%g' "$at/d/c")"
	[ "$(getfattr --only-values -n user.x "$work/f/d/c")" = y ] ||
		die "an xattr is lost"
	[ "$(readlink "$at/s")" = a ] || die "a symlink leads elsewhere"
	! getfattr -n security.capability "$at/b" 2>/dev/null ||
		die "a capability out of nothing"
	diff <(cd "$work/f" && ls -lAR --time-style=full-iso) \
		<(cd "$at" && ls -lAR --time-style=full-iso) ||
		die "not the folder below"
	rm "$at/b" "$at/s" "$at/p" "$at/u"
	rm -r "$at/d" "$at/ud"
	[ ! -e "$work/f/d" ] || die "a folder stays"
}

for tool in getfattr setfattr getfacl setfacl; do
	command -v $tool >/dev/null || {
		echo "skipped: $tool is not installed"
		exit 77
	}
done
work=$(mktemp -d "${DYNFS_TEST_DIR:-/var/tmp}/dynfs-test.XXXXXX")
trap cleanup EXIT
trap 'exit 130' INT TERM
mkdir "$work/f" "$work/m"
start
rows
names
stop
