/* SPDX-License-Identifier: Apache-2.0 */
/* policy get, set and unset: names for policy, by path. */
#include <control/private.h>

#include <base/fail.h>
#include <errno.h>
#include <pool/pool.h>
#include <string.h>

static const struct command_field policy_fields[] = {
	{ "path", "Path", FIELD_TEXT, NULL },
	{ "policy", "Policy", FIELD_TEXT, NULL },
	{ "form", "Form", FIELD_TEXT, NULL },
	{ "by_hand", "Set here", FIELD_TEXT, NULL },
	{ 0 },
};

static const struct command_arg path_args[] = {
	{ "path", ARG_STRING, ARG_REQUIRED | ARG_POSITIONAL, "PATH",
	  "a file or directory: its path within the pool" },
	{ 0 },
};

static const struct command_arg set_args[] = {
	{ "path", ARG_STRING, ARG_REQUIRED | ARG_POSITIONAL, "PATH",
	  "a file or directory: its path within the pool" },
	{ "name", ARG_STRING, ARG_REQUIRED | ARG_POSITIONAL, "NAME",
	  "the policy; redundancy show lists them" },
	{ 0 },
};

static int path_get(struct call *c, struct inode **ret)
{
	const char *path = call_string(c, "path");
	int r = tree_walk(pool_tree(call_pool(c)), path, ret);

	return r < 0 ? fail(r, "%s: %s", path, strerrordesc_np(-r)) : 0;
}

/* What holds now; the inode is put. */
static int answer(struct call *c, struct inode *in, int r)
{
	const char *path = call_string(c, "path");
	json_t *reply = call_reply(c);
	struct tree_policy p = { 0 };

	if (r >= 0)
		r = tree_policy_get(in, &p);
	inode_put(in);
	if (r == -ENODATA)
		return fail(-EINVAL,
			    "%s: only files and directories have a "
			    "policy",
			    path);
	if (r < 0)
		return r;
	(void)json_object_set_new(reply, "path", control_text(path));
	(void)json_object_set_new(reply, "policy", json_string(p.name));
	(void)json_object_set_new(reply, "form", json_string(p.spec));
	(void)json_object_set_new(reply, "by_hand", json_boolean(p.by_hand));
	return 0;
}

static int get_run(struct call *c)
{
	struct inode *in;
	int r = path_get(c, &in);

	return r < 0 ? r : answer(c, in, 0);
}

static int set_run(struct call *c)
{
	static const struct dynfs_caller root = { .uid = 0 };
	/* not there: unset */
	const char *name = call_string(c, "name");
	struct inode *in;
	int r = path_get(c, &in);

	if (r < 0)
		return r;
	r = tree_policy_set(pool_tree(call_pool(c)), in, name, &root);
	/* it had none set, or it can have none, which answer() says */
	if (r == -ENODATA || r == -EPERM)
		r = 0;
	if (r >= 0)
		pool_changed(call_pool(c), in->ino);
	return answer(c, in, r);
}

const struct command commands_policy[] = {
	{ "policy get", "get-policy", "the policy of a file or directory",
	  COMMAND_READS, path_args, policy_fields, get_run },
	{ "policy set", "set-policy",
	  "have new content of a file, or below a directory, stored so", 0,
	  set_args, policy_fields, set_run },
	{ "policy unset", "unset-policy",
	  "the policy of the directory above again", 0, path_args,
	  policy_fields, set_run },
	{ 0 },
};
