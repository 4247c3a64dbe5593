/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dynfs init: a folder with a commented pool.conf. Disks can be named now, or
 * written into the file; the pool itself is made at the first start.
 */
#include "dynfs.h"

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/str.h>
#include <config/config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INIT_DISKS_MAX 64u

struct init {
	const char *name, *policy;
	/* owned; whole paths: the file means the same from any folder */
	char *dir, *own_name, *mountpoint;
	char *disks[INIT_DISKS_MAX];
	size_t n_disks;
};

static void init_done(struct init *in)
{
	free(in->dir);
	free(in->own_name);
	free(in->mountpoint);
	for (size_t i = 0; i < in->n_disks; ++i)
		free(in->disks[i]);
}

static int init_take(struct options *o, struct init *in, const char *name,
		     const char *value)
{
	if (!strcmp(name, "--name")) {
		in->name = value;
	} else if (!strcmp(name, "--policy")) {
		in->policy = value;
	} else if (!strcmp(name, "--mountpoint")) {
		free(in->mountpoint);
		in->mountpoint = args_path(value);
	} else if (in->n_disks < INIT_DISKS_MAX) {
		in->disks[in->n_disks++] = args_path(value);
	} else {
		return complain_usage(o, "init takes at most %u disks",
				      INIT_DISKS_MAX);
	}
	return 0;
}

static int init_word(struct options *o, struct init *in, int argc, char **argv)
{
	static const char *const names[] = { "--name", "--policy",
					     "--mountpoint", "--disk" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); ++i) {
		const char *value = NULL;
		int used = args_value(names[i], argc, argv, &value), r;

		if (used < 0)
			continue;
		if (!value || (i > 1 && !*value))
			return complain_usage(o, "%s wants a value", names[i]);
		r = init_take(o, in, names[i], value);
		return r < 0 ? r : used;
	}
	return complain_usage(o, "dynfs init: what is \"%s\"?", argv[0]);
}

static int init_words(struct options *o, struct init *in, int argc, char **argv)
{
	while (argc > 0) {
		int used = 1, r = args_global(o, argc, argv, &used);

		if (r == 0)
			r = used = init_word(o, in, argc, argv);
		if (r < 0)
			return r;
		argc -= used;
		argv += used;
	}
	if (!o->pool)
		return complain_usage(o, "where? name a folder with "
					 "--pool DIR");
	in->dir = args_path(o->pool);
	return in->dir ? 0 : complain_usage(o, "out of memory");
}

/* The folder's own name, if it can be one. */
static int init_name(struct options *o, struct init *in)
{
	const char *base = strrchr(in->dir, '/') + 1;

	if (!in->name) {
		in->own_name = strdup(str_is_name(base, 64) ? base : "pool");
		in->name = in->own_name;
	}
	if (!in->name || !str_is_name(in->name, 64))
		return complain_usage(o, "--name: small letters, digits and "
					 "dashes, a letter first");
	return 0;
}

/* All of it or nothing: a pool.conf that is there is never replaced. */
static int init_write(const char *dir, const struct buf *text)
{
	char *path = str_path(dir, "pool.conf");
	int fd, r = 0;

	if (!path)
		return -ENOMEM;
	r = make_folders(dir);
	fd = r < 0 ? -1
		   : open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (r >= 0 && fd < 0)
		r = fail(-errno, "%s: %s", path,
			 errno == EEXIST ? "is there already"
					 : strerrordesc_np(errno));
	if (fd >= 0) {
		if (write(fd, text->data, text->len) != (ssize_t)text->len ||
		    fsync(fd) < 0)
			r = fail(-errno, "%s: %s", path,
				 strerrordesc_np(errno));
		if (r < 0)
			(void)unlink(path);
		(void)close(fd);
	}
	free(path);
	return r;
}

/* A number up to 99 at *text, which moves behind it; 0: there is none. */
static uint32_t init_number(const char **text)
{
	uint32_t n = 0;

	for (; **text >= '0' && **text <= '9' && n < 100; ++*text)
		n = n * 10 + (uint32_t)(**text - '0');
	return n;
}

/* "erasure:4+2" or "replica:3". */
static int init_policy(struct options *o, const char *text,
		       struct conf_init *conf)
{
	static const char copies[] = "replica:", coded[] = "erasure:";
	uint32_t k = 1, m = 0;
	const char *p = text;
	bool good = false;

	if (!text)
		return 0;
	if (strncmp(text, copies, sizeof(copies) - 1) == 0) {
		p += sizeof(copies) - 1;
		m = init_number(&p);
		good = !*p && m >= 1 && m <= 16;
		m--;
	} else if (strncmp(text, coded, sizeof(coded) - 1) == 0) {
		p += sizeof(coded) - 1;
		k = init_number(&p);
		if (*p == '+') {
			p++;
			m = init_number(&p);
		}
		good = !*p && k >= 2 && m >= 1 && k + m <= 32;
	}
	if (!good)
		return complain_usage(o,
				      "--policy: \"%s\" is neither "
				      "erasure:K+M (K+M up to 32) nor "
				      "replica:N (N up to 16)",
				      text);
	conf->k = k;
	conf->m = m;
	return 0;
}

static void init_say(const struct options *o, const struct init *in)
{
	AUTOFREE char *path = NULL;
	json_t *reply;

	if (!o->json) {
		(void)printf(
		    "%s/pool.conf is written.  Next:\n"
		    "  dynfs disk add --pool %s PATH    for each disk\n"
		    "  dynfs mount --pool %s --mountpoint DIR\n",
		    o->pool, o->pool, o->pool);
		return;
	}
	path = str_path(in->dir, "pool.conf");
	reply = json_pack("{so}", "config", control_text(path));
	print_json(reply);
	json_decref(reply);
}

int verb_init(struct options *o, int argc, char **argv)
{
	struct init in = { 0 };
	struct conf_init conf = { 0 };
	AUTOBUF struct buf text = BUF_INIT;
	int r = init_words(o, &in, argc, argv);

	if (in.dir) /* it comes last, when all words were good */
		r = init_name(o, &in);
	if (r >= 0)
		r = init_policy(o, in.policy, &conf);
	if (r < 0) {
		init_done(&in);
		return EXIT_USAGE;
	}
	conf.name = in.name;
	conf.mountpoint = in.mountpoint;
	conf.disks = (const char *const *)in.disks;
	conf.n_disks = in.n_disks;
	conf_write_default(&conf, &text);
	r = buf_error(&text) < 0 ? -ENOMEM : init_write(in.dir, &text);
	if (r >= 0)
		init_say(o, &in);
	init_done(&in);
	return r < 0 ? complain(o, r, EXIT_FAILED) : EXIT_OK;
}
