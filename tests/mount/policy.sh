#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Names for policy on a mounted pool: who may set which, what takes them over,
# what is stored then, and that no copying program takes them along or away.
. "$(dirname "$0")/lib.sh"
need setfattr getfattr setpriv rsync tar python3

# name, then the policies besides ec42 and copies3
more_policies() {
	sed -i "s|^	copies3 = .*|	$2|" "$work/$1.conf"
}

get() {
	getfattr --absolute-names --only-values -n "$1" "$2" 2>/dev/null
}

# a file's or directory's policy: what was set, and what holds
is() {
	local set
	set=$(get user.dynfs.policy "$1") || set=-
	[ "$set" = "$2" ] || die "$1: policy is $set, not $2"
	[ "$(get user.dynfs.policy.effective "$1")" = "$3" ] ||
		die "$1: $(get user.dynfs.policy.effective "$1") holds, not $3"
}

# one field of user.dynfs.extents
field() {
	get user.dynfs.extents "$1" | tr ' ' '\n' | sed -n "s/^$2=//p"
}

# uid, gid, groups or "", command
as() {
	local uid=$1 gid=$2 groups=--clear-groups
	[ -z "$3" ] || groups=--groups=$3
	shift 3
	setpriv --reuid="$uid" --regid="$gid" "$groups" "$@"
}

# errno's words, command
refused() {
	local want=$1 out
	shift
	if out=$(LC_ALL=C "$@" 2>&1); then
		die "not refused: $*"
	fi
	grep -q "$want" <<<"$out" || die "$*: $out, not $want"
}

policy() {
	setfattr -n user.dynfs.policy -v "$1" "$2"
}

# others than root come here
chmod 711 "$work"
pool_new policy
more_policies policy 'copies3 = { copies = 3; users = ( "nobody", "@games", "1005", "no-such-user" ); }; single = { copies = 1; }; wide = { k = 8; m = 2; }; copies5 = { copies = 5; }; thin = { k = 4; m = 1; };'
pool_start policy
m=$work/policy.mnt

say "a user that the system does not know is told of, and no more"
grep -q 'policy.conf:[0-9]*: policy copies3: users:.*no-such-user' \
	"$work/policy.log" || die "no warning"
"$dynfs" config check -c "$work/policy.conf" 2>"$work/check.txt" &&
	die "config check takes it"
grep -q 'no-such-user' "$work/check.txt" || die "config check says else"

say "set, inherited at creation, moved, taken away"
mkdir "$m/d"
is "$m/d" - ec42
policy copies3 "$m/d"
mkdir "$m/d/e"
head -c 3M /dev/urandom >"$m/d/e/f"
is "$m/d" copies3 copies3
is "$m/d/e" - copies3
is "$m/d/e/f" - copies3
mv "$m/d/e/f" "$m/f"
is "$m/f" - copies3
head -c 2M /dev/urandom >"$m/g"
policy single "$m/g"
head -c 1M /dev/urandom >>"$m/g"
"$dynfs" sync -c "$work/policy.conf" >/dev/null
is "$m/g" single single
[ "$(field "$m/f" extents)" = 3 ] || die "f: $(get user.dynfs.extents "$m/f")"
[ "$(field "$m/f" whole)" = 3 ] || die "f: $(get user.dynfs.extents "$m/f")"
"$dynfs" extent list -c "$work/policy.conf" f | grep -c 'replica:3' |
	grep -qx 3 || die "f is not three extents of three copies"
"$dynfs" extent list -c "$work/policy.conf" g | awk '/extent/{print $6}' |
	tr '\n' ' ' | grep -q 'erasure:4+2 erasure:4+2 replica:1' ||
	die "g: $("$dynfs" extent list -c "$work/policy.conf" g)"
setfattr -x user.dynfs.policy "$m/g"
is "$m/g" - ec42

say "what is computed and what is unknown"
refused 'not permitted' setfattr -n user.dynfs.extents -v x "$m/f"
refused 'not permitted' setfattr -n user.dynfs.policy.effective -v x "$m/f"
refused 'not permitted' setfattr -x user.dynfs.extents "$m/f"
refused 'Invalid arg' setfattr -n user.dynfs.color -v x "$m/f"
refused 'Invalid arg' policy copies4 "$m/f"
grep -q 'policy of /f stays: there is no policy "copies4"; there are ec42, copies3, single, wide, copies5, thin$' \
	"$work/policy.log" || die "the log does not list the policies"
sleep 1.1
refused 'No space' policy wide "$m/f"
grep -q 'policy wide (erasure:8+2) needs 4 more disks' "$work/policy.log" ||
	die "the log does not say how many disks are missing"

say "dear policies are for root and for those that the config names"
install -m 666 /dev/null "$m/open"
refused 'not permitted' as 1001 1001 "" setfattr -n user.dynfs.policy \
	-v copies3 "$m/open"
refused 'not permitted' as 1001 1001 1,2,3 setfattr -n user.dynfs.policy \
	-v copies3 "$m/open"
refused 'not permitted' as 1005 60 60 setfattr -n user.dynfs.policy \
	-v copies5 "$m/open"
for who in "65534 65534" "1005 1001" "1001 60" "1001 1001 7,60,9"; do
	read -r uid gid groups <<<"$who"
	as "$uid" "$gid" "$groups" setfattr -n user.dynfs.policy -v copies3 \
		"$m/open" || die "$who may not"
	is "$m/open" copies3 copies3
	as 1001 1001 "" setfattr -n user.dynfs.policy -v single "$m/open"
	is "$m/open" single single
done
policy copies5 "$m/open"
# without the right to write there is nothing to set
refused 'denied' as 1001 1001 "" setfattr -n user.dynfs.policy -v single "$m/f"

say "no program takes a policy along, or takes one away"
[ -z "$(getfattr --absolute-names -d -m - "$m/d" "$m/f" "$m/open")" ] ||
	die "something is listed"
mkdir "$work/plain"
setfattr -n user.k -v v "$m/open"
rsync -aX "$m/d" "$m/open" "$work/plain/" || die "rsync out"
tar --xattrs --xattrs-include='*' -C "$m" -cf "$work/x.tar" d open
cp -a "$m/open" "$m/d/"
cp -a "$m/d" "$m/copy"
is "$m/d/open" - copies3
is "$m/copy" - ec42
mkdir "$m/out"
tar --xattrs --xattrs-include='*' -C "$m/out" -xf "$work/x.tar"
is "$m/out/d" - ec42
rsync -aX --delete "$work/plain/" "$m/out/" || die "rsync in"
policy copies3 "$m/out/d"
rsync -aX --delete "$work/plain/" "$m/out/" || die "rsync in"
is "$m/out/d" copies3 copies3
[ "$(getfattr --absolute-names --only-values -n user.k "$m/out/open")" = v ] ||
	die "rsync has lost user.k"

say "the same by command"
"$dynfs" policy set -c "$work/policy.conf" out/d single | grep -q replica:1 ||
	die "policy set"
is "$m/out/d" single single
before=$(stat -c %z "$m/out/d")
"$dynfs" policy unset -c "$work/policy.conf" out/d >/dev/null
is "$m/out/d" - ec42
[ "$(stat -c %z "$m/out/d")" != "$before" ] || die "the kernel keeps the ctime"
"$dynfs" policy get --json -c "$work/policy.conf" d | grep -q '"by_hand": *true' ||
	die "policy get"
refused 'there are ec42' "$dynfs" policy set -c "$work/policy.conf" d copies4
refused 'needs 4 more' "$dynfs" policy set -c "$work/policy.conf" d wide
ln -s d "$m/link"
refused 'only files and dir' "$dynfs" policy get -c "$work/policy.conf" link
refused 'only files and dir' "$dynfs" policy set -c "$work/policy.conf" link ec42

say "after a restart, and after a kill"
pool_stop policy
pool_start policy
is "$m/d" copies3 copies3
is "$m/open" copies5 copies5
policy single "$m/open"
sync "$m/open"
pool_kill policy
umount -l "$m" || true
pool_start policy
is "$m/open" single single
head -c 1M /dev/urandom >"$m/d/late"
sync "$m/d/late"
"$dynfs" extent list -c "$work/policy.conf" d/late | grep -q 'replica:3' ||
	die "new files after a restart"

say "a policy that the config defines no more goes on for what has it"
mkdir "$m/old"
policy thin "$m/old"
pool_stop policy
sed -i 's/ thin = {[^}]*};//' "$work/policy.conf"
pool_start policy
is "$m/old" thin thin
refused 'Invalid arg' policy thin "$m/open"
head -c 1M /dev/urandom >"$m/old/late"
sync "$m/old/late"
"$dynfs" extent list -c "$work/policy.conf" old/late |
	grep -q 'erasure:4+1' || die "it is stored otherwise"
pool_stop policy
# four of six are left; it wants five
mv "$work/policy/disk5" "$work/away5"
mv "$work/policy/disk6" "$work/away6"
pool_start policy
head -c 1M /dev/urandom >"$m/old/later"
sync "$m/old/later" || die "nothing can be written while disks are away"
pool_stop policy
mv "$work/away5" "$work/policy/disk5"
mv "$work/away6" "$work/policy/disk6"
pool_start policy

say "health, with a disk that is gone"
is "$m/f" - copies3
"$dynfs" disk fail -c "$work/policy.conf" \
	"$(field "$m/f" disks | cut -d, -f1)" >/dev/null
[ "$(field "$m/f" lost)" = 0 ] || die "f is lost"
[ "$(field "$m/f" degraded)" -ge 1 ] || die "f is not degraded"
[ $(($(field "$m/f" degraded) + $(field "$m/f" whole))) = 3 ] || die "f: sum"
pool_stop policy

say "what a dear policy lets in is stored, to the last byte"
POLICY=single pool_new full 48M 48M 48M 48M
more_policies full 'copies3 = { copies = 3; }; single = { copies = 1; };'
pool_start full
m=$work/full.mnt
policy copies3 "$m"
python3 - "$m/fill" <<'PY' || die "bytes were taken that found no room"
import errno, os, sys
fd = os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY, 0o600)
piece, n = os.urandom(65536), 0
try:
    while True:
        n += os.write(fd, piece)
except OSError as e:
    assert e.errno == errno.ENOSPC, e
os.fsync(fd)
os.close(fd)
print("   ", n >> 20, "MiB")
assert n > 20 << 20, n
PY
pool_stop full
