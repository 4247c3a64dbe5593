/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words after -o: flags of mount(2), words that are for mount(8), fstab
 * readers and systemd and mean nothing to us, and a few of our own.  A word
 * that nobody knows is an error: what looks like protection and is not heard
 * is worse than a mount that fails.
 */
#include "daemon.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#define FORBID (MS_NOSUID | MS_NODEV)

static const struct word {
	const char *name;
	uint64_t set, clear;
} words[] = {
	{ "ro", MS_RDONLY, 0 },
	{ "rw", 0, MS_RDONLY },
	{ "nosuid", MS_NOSUID, 0 },
	{ "suid", 0, MS_NOSUID },
	{ "nodev", MS_NODEV, 0 },
	{ "dev", 0, MS_NODEV },
	{ "noexec", MS_NOEXEC, 0 },
	{ "exec", 0, MS_NOEXEC },
	{ "sync", MS_SYNCHRONOUS, 0 },
	{ "async", 0, MS_SYNCHRONOUS },
	{ "dirsync", MS_DIRSYNC, 0 },
	{ "defaults", 0, FORBID | MS_RDONLY | MS_NOEXEC | MS_SYNCHRONOUS },
	{ "noatime", MS_NOATIME, MS_RELATIME | MS_STRICTATIME },
	{ "atime", 0, MS_NOATIME },
	{ "relatime", MS_RELATIME, MS_NOATIME | MS_STRICTATIME },
	{ "norelatime", 0, MS_RELATIME },
	{ "strictatime", MS_STRICTATIME, MS_NOATIME | MS_RELATIME },
	{ "nostrictatime", 0, MS_STRICTATIME },
	{ "nodiratime", MS_NODIRATIME, 0 },
	{ "diratime", 0, MS_NODIRATIME },
	{ "silent", MS_SILENT, 0 },
	{ "loud", 0, MS_SILENT },
	{ "remount", MS_REMOUNT, 0 },
	/* what mount(8) makes of them itself; after them, others may allow */
	{ "user", FORBID | MS_NOEXEC, 0 },
	{ "users", FORBID | MS_NOEXEC, 0 },
	{ "owner", FORBID, 0 },
	{ "group", FORBID, 0 },
	/* these are so already, or for others to read */
	{ "allow_other", 0, 0 },
	{ "default_permissions", 0, 0 },
	{ "lazytime", 0, 0 },
	{ "nolazytime", 0, 0 },
	{ "nomand", 0, 0 },
	{ "noiversion", 0, 0 },
	{ "nouser", 0, 0 },
	{ "nousers", 0, 0 },
	{ "noowner", 0, 0 },
	{ "nogroup", 0, 0 },
	{ "auto", 0, 0 },
	{ "noauto", 0, 0 },
	{ "nofail", 0, 0 },
	{ "_netdev", 0, 0 },
};
#define N_WORDS (sizeof(words) / sizeof(*words))

/* With any value: for others to read. */
static const char *const passed[] = { "x-",    "X-",       "comment=",
				      "user=", "uhelper=", "helper=" };
/* What the kernel shows of a mount, and mount(8) hands back at a remount. */
static const char *const shown[] = { "fd=",       "rootmode=", "user_id=",
				     "group_id=", "max_read=", "blksize=" };
#define N(list) (sizeof(list) / sizeof(*(list)))

static bool begins(const char *word, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; ++i)
		if (!strncmp(word, list[i], strlen(list[i])))
			return true;
	return false;
}

/* Ours, and then those of the table. */
static const char *word_name(const void *ctx, size_t i)
{
	static const char *const own[] = { "set", "log", "force-rollback" };

	(void)ctx;
	return i < N(own) ? own[i] : words[i - N(own)].name;
}

static int word_unknown(const struct mount_words *m, const char *word,
			bool sloppy)
{
	const char *near = reg_nearest(word, N_WORDS + 3, word_name, NULL);

	if (sloppy || begins(word, passed, N(passed)) ||
	    ((m->flags & MS_REMOUNT) && begins(word, shown, N(shown))))
		return 0;
	return complain_usage(
	    &m->conf, "there is no mount option \"%s\"; %s%s%s", word,
	    near ? "did you mean " : "mount.fuse.dynfs(8) lists them",
	    near ? near : "", near ? "?" : "");
}

static int word_take(struct mount_words *m, const char *word, bool sloppy)
{
	if (!strncmp(word, "set=", 4))
		return options_add_set(&m->conf, word + 4);
	if (!strncmp(word, "log=", 4)) {
		m->log = word + 4;
		return *m->log ? 0
			       : complain_usage(&m->conf, "log= wants a file");
	}
	if (!strcmp(word, "force-rollback")) {
		m->force_rollback = true;
		return 0;
	}
	for (size_t i = 0; i < N_WORDS; ++i)
		if (!strcmp(word, words[i].name)) {
			m->flags &= ~words[i].clear;
			m->flags |= words[i].set;
			return 0;
		}
	return *word ? word_unknown(m, word, sloppy) : 0;
}

/* Up to a comma; one between quotes belongs to the word.  In place. */
static char *word_next(char **at)
{
	char *word = *at, *from = word, *to = word;
	bool quoted = false;

	for (; *from && (quoted || *from != ','); ++from)
		if (*from == '"')
			quoted = !quoted;
		else
			*to++ = *from;
	*at = *from ? from + 1 : NULL;
	*to = '\0';
	return word;
}

/* mount(8) may put it anywhere, and what is allowed depends on it. */
static bool is_remount(const char *list)
{
	const char *at = list;
	size_t n = strlen("remount");

	while ((at = strstr(at, "remount"))) {
		if ((at == list || at[-1] == ',') && (!at[n] || at[n] == ','))
			return true;
		at += n;
	}
	return false;
}

int mount_words_add(struct mount_words *m, const char *list, bool sloppy)
{
	char *at;
	int r = 0;

	if (m->n_text >= MOUNT_LISTS)
		return complain_usage(&m->conf, "too many -o");
	at = m->text[m->n_text] = strdup(list);
	if (!at)
		return complain_usage(&m->conf, "out of memory");
	m->n_text++;
	if (is_remount(list))
		m->flags |= MS_REMOUNT;
	while (r >= 0 && at)
		r = word_take(m, word_next(&at), sloppy);
	return r;
}

/* One word for files and directories: those of mount(8) are two things. */
const char *mount_words_atime(const struct mount_words *m)
{
	if (m->flags & MS_NOATIME)
		return conf_atime_word(CONF_ATIME_NONE);
	if (m->flags & MS_NODIRATIME)
		return conf_atime_word(CONF_ATIME_FILES);
	if (m->flags & MS_STRICTATIME)
		return conf_atime_word(CONF_ATIME_STRICT);
	if (m->flags & MS_RELATIME)
		return conf_atime_word(CONF_ATIME_RELATIVE);
	return NULL;
}

void mount_words_done(struct mount_words *m)
{
	while (m->n_text)
		free(m->text[--m->n_text]);
	options_done(&m->conf);
}
