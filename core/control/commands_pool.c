/* SPDX-License-Identifier: Apache-2.0 */
/* status, sync and umount. */
#include <control/private.h>

#include <base/fail.h>
#include <errno.h>
#include <pool/pool.h>
#include <string.h>
#include <unistd.h>

#define STATUS_EVENTS 16u

static const struct command_field event_columns[] = {
	{ "time", "TIME", FIELD_NS, NULL },
	{ "kind", "EVENT", FIELD_TEXT, NULL },
	{ "text", "WHAT", FIELD_TEXT, NULL },
	{ 0 },
};

static const struct command_field status_fields[] = {
	{ "pool", "Pool", FIELD_TEXT, NULL },
	{ "state", "State", FIELD_TEXT, NULL },
	{ "pid", "Daemon", FIELD_COUNT, NULL },
	{ "mountpoint", "Mounted on", FIELD_TEXT, NULL },
	{ "policy", "Default policy", FIELD_TEXT, NULL },
	{ "disks", "Disks", FIELD_COUNT, NULL },
	{ "disks_missing", "Disks missing", FIELD_COUNT, NULL },
	{ "usable_bytes", "Usable", FIELD_BYTES, NULL },
	{ "free_bytes", "Free", FIELD_BYTES, NULL },
	{ "metadata_copies", "Metadata copies", FIELD_TEXT, NULL },
	{ "metadata_survives", "Metadata survives", FIELD_TEXT, NULL },
	{ "log_bytes", "Log", FIELD_BYTES, NULL },
	{ "index_bytes", "Index", FIELD_BYTES, NULL },
	{ "repair_extents", "To repair", FIELD_COUNT, NULL },
	{ "at_risk_bytes", "Bytes at risk", FIELD_BYTES, NULL },
	{ "unreadable", "Unreadable reads", FIELD_COUNT, NULL },
	{ "open_files", "Open files", FIELD_COUNT, NULL },
	{ "known_inodes", "Files known", FIELD_COUNT, NULL },
	{ "inodes", "Files in memory", FIELD_COUNT, NULL },
	{ "dirty_bytes", "Unwritten", FIELD_BYTES, NULL },
	{ "buffer_bytes", "Write buffers", FIELD_BYTES, NULL },
	{ "memory_bytes", "Memory", FIELD_BYTES, NULL },
	{ "events", "\nRecent events", FIELD_TABLE, event_columns },
	{ 0 },
};

static void status_disks(struct pool *p, json_t *reply)
{
	struct disks *d = pool_disks(p);
	uint32_t here = 0, missing = 0;

	for (uint32_t i = 0; i < disks_count(d); ++i) {
		const struct disk *k = disks_at(d, i);
		uint32_t state = atomic_load(&k->state);

		if (state != MEMBER_ACTIVE && state != MEMBER_DRAINING)
			continue;
		here++;
		missing += atomic_load(&k->health) == DISK_MISSING;
	}
	(void)json_object_set_new(reply, "disks", json_integer(here));
	(void)json_object_set_new(reply, "disks_missing",
				  json_integer(missing));
}

static void status_meta(struct pool *p, json_t *reply)
{
	struct meta_status m;
	uint32_t losses;

	meta_status(pool_meta(p), &m);
	losses = m.copies ? m.copies - 1 : 0;
	(void)json_object_set_new(
	    reply, "metadata_copies",
	    json_sprintf("%u of %u wanted", m.copies, m.copies_wanted));
	(void)json_object_set_new(reply, "metadata_survives",
				  json_sprintf("the loss of %u disk%s", losses,
					       losses == 1 ? "" : "s"));
	(void)json_object_set_new(reply, "group",
				  json_integer((json_int_t)m.number));
	(void)json_object_set_new(reply, "log_bytes",
				  json_integer((json_int_t)m.log_bytes));
	(void)json_object_set_new(reply, "index_bytes",
				  json_integer((json_int_t)m.index_bytes));
}

static void status_files(struct pool *p, json_t *reply)
{
	struct files_status f;

	files_status(pool_files(p), &f);
	(void)json_object_set_new(
	    reply, "open_files",
	    json_integer((json_int_t)tree_open_files(pool_tree(p))));
	(void)json_object_set_new(reply, "dirty_bytes",
				  json_integer((json_int_t)f.dirty_bytes));
	(void)json_object_set_new(reply, "memory_bytes",
				  json_integer((json_int_t)f.memory_bytes));
	(void)json_object_set_new(reply, "buffer_bytes",
				  json_integer((json_int_t)f.buffer_bytes));
	(void)json_object_set_new(reply, "inodes",
				  json_integer((json_int_t)f.inodes));
	(void)json_object_set_new(reply, "known_inodes",
				  json_integer((json_int_t)f.known));
}

static void status_extents(struct pool *p, json_t *reply)
{
	const struct policy *def = extents_policy_default(pool_extents(p));
	struct extents_status x;
	uint64_t total, avail;

	extents_status(pool_extents(p), &x);
	extents_capacity(pool_extents(p), def, &total, &avail);
	(void)json_object_set_new(
	    reply, "policy", json_sprintf("%s (%s)", def->name, def->spec));
	(void)json_object_set_new(reply, "usable_bytes",
				  json_integer((json_int_t)total));
	(void)json_object_set_new(reply, "free_bytes",
				  json_integer((json_int_t)avail));
	(void)json_object_set_new(reply, "repair_extents",
				  json_integer((json_int_t)x.queued_repair));
	(void)json_object_set_new(reply, "at_risk_bytes",
				  json_integer((json_int_t)x.bytes_at_risk));
	(void)json_object_set_new(reply, "unreadable",
				  json_integer((json_int_t)x.unreadable));
}

static void status_events(struct pool *p, json_t *reply)
{
	struct pool_event e[STATUS_EVENTS];
	uint32_t n = pool_events(p, e, STATUS_EVENTS);
	json_t *rows = json_array();

	for (uint32_t i = 0; i < n; ++i)
		(void)json_array_append_new(
		    rows, json_pack("{sIssso}", "time",
				    (json_int_t)e[i].wall_ns, "kind", e[i].kind,
				    "text", control_text(e[i].text)));
	(void)json_object_set_new(reply, "events", rows);
}

static const char *status_word(struct pool *p, bool serving)
{
	struct extents_status x;
	struct meta_status m;

	if (serving && pool_readonly(p))
		return "read-only";
	extents_status(pool_extents(p), &x);
	meta_status(pool_meta(p), &m);
	for (uint32_t i = 0; i < disks_count(pool_disks(p)); ++i) {
		const struct disk *k = disks_at(pool_disks(p), i);

		/* what was on one that failed is below strength */
		if (atomic_load(&k->state) != MEMBER_REMOVED &&
		    atomic_load(&k->health) != DISK_ONLINE)
			return "degraded";
	}
	return x.queued_repair || m.copies < m.copies_wanted ? "degraded"
							     : "healthy";
}

static int status_run(struct call *c)
{
	struct pool *p = call_pool(c);
	json_t *reply = call_reply(c);

	(void)json_object_set_new(reply, "pool", json_string(pool_name(p)));
	(void)json_object_set_new(reply, "state",
				  json_string(status_word(p, c->server)));
	(void)json_object_set_new(
	    reply, "pid", c->server ? json_integer(getpid()) : json_null());
	if (c->server && pool_conf(p)->pool.mountpoint)
		(void)json_object_set_new(
		    reply, "mountpoint",
		    control_text(pool_conf(p)->pool.mountpoint));
	else
		(void)json_object_set_new(reply, "mountpoint", json_null());
	status_disks(p, reply);
	status_extents(p, reply);
	status_files(p, reply);
	status_meta(p, reply);
	status_events(p, reply);
	return 0;
}

static int sync_run(struct call *c)
{
	return pool_sync(call_pool(c));
}

/* The words of mount(8) for one thing; absent: as the configuration says. */
static int remount_atime(struct call *c, enum conf_atime *ret)
{
	const char *word = call_string(c, "atime");

	*ret = (enum conf_atime)pool_conf(call_pool(c))->pool.atime;
	for (unsigned i = 0; word; ++i) {
		if (i > CONF_ATIME_NONE)
			return fail(-EINVAL,
				    "\"%s\" is no way to keep access times: "
				    "relatime, strictatime, nodiratime or "
				    "noatime",
				    word);
		*ret = (enum conf_atime)i;
		if (!strcmp(word, conf_atime_word(*ret)))
			break;
	}
	return 0;
}

static int remount_run(struct call *c)
{
	enum conf_atime atime;
	int r = remount_atime(c, &atime);

	return r < 0 ? r
		     : pool_remount(call_pool(c), call_flag(c, "readonly"),
				    atime);
}

static const struct command_arg remount_args[] = {
	{ "readonly", ARG_FLAG, 0, NULL,
	  "store what was written, and take no more changes" },
	{ "atime", ARG_STRING, 0, "HOW",
	  "relatime, strictatime, nodiratime or noatime" },
	{ 0 },
};

static int quit_run(struct call *c)
{
	(void)json_object_set_new(call_reply(c), "pid", json_integer(getpid()));
	return call_quit(c);
}

const struct command commands_pool[] = {
	{ "status", NULL, "how the pool is", COMMAND_READS, NULL, status_fields,
	  status_run },
	{ "sync", NULL, "put everything that was written on the disks",
	  COMMAND_DAEMON, NULL, NULL, sync_run },
	{ "remount", NULL, "take changes, or none, from now on", COMMAND_DAEMON,
	  remount_args, NULL, remount_run },
	{ "quit", NULL, "end the daemon (see umount, which also waits)",
	  COMMAND_DAEMON, NULL, NULL, quit_run },
	{ 0 },
};
