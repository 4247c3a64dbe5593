/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Plugins that lie, compiled once for each lie (LIE, LIAR_NAME): wrong in one
 * point of the description and right in all others, so that a test sees
 * exactly the check it means.  HONEST is right in all of them and has an
 * option of every type.  The kind is checksum, the smallest one.
 */
#include <dynfs/checksum.h>
#include <dynfs/store.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* LIE is one of these: comparing two of them is the whole idea. */
/* NOLINTBEGIN(misc-redundant-expression) */

enum liar_lie {
	HONEST,
	PARALLEL,
	SERIAL,
	WRONG_MAGIC,
	WRONG_MAJOR,
	SHORT_SIZE,
	ODD_SIZE,
	LONG_SIZE,
	WRONG_NAME,
	NO_KIND,
	TWO_KINDS,
	OTHER_KIND,
	NO_CREATE,
	NO_VERSION,
	BAD_THREADING,
	SHORT_OPS,
	MISSING_CALLBACK,
	HUGE_DIGEST,
	LONG_STRIDE,
	SHORT_STRIDE,
	OUTSIDE_CONFIG,
	WRONG_WIDTH,
	TWICE,
	SAME_MEMBER,
	BAD_DEFAULT,
	ZERO_NOT_ALLOWED,
	NO_HELP,
	NO_CHOICES,
	SECRET_FORMAT,
	COUNTER_TWICE,
	NULL_ENTRY,
	ENTRY_CRASHES,
	ENTRY_EXITS,
	LOAD_CRASHES,
	CONSTRUCTOR,
	NO_ENTRY,
};

enum liar_mood { GOOD, POSITIVE, SILENT, SAYS, HOARDS, OVERLAP };

static const char *const liar_moods[] = { "good", "positive", "silent",
					  "says", "hoards",   "overlap",
					  NULL };

struct liar_config {
	int32_t mood;
	int32_t flag;
	int64_t level;
	uint64_t block;
	const char *word;
	const char *key;
};

struct liar {
	const struct dynfs_host *h;
	struct liar_config config;
	atomic_int inside;
	int started;
};

static int liar_create(const struct dynfs_host *h, const void *config,
		       void **ret_self)
{
	const struct liar_config *c = config;
	struct liar *l;

	if (c->level == 13)
		return h->fail(h, -EINVAL, "level 13 brings bad luck");
	l = h->alloc(h, sizeof(*l), 64);
	if (!l)
		return -ENOMEM;
	l->h = h;
	l->config = *c;
	h->log(h, DYNFS_DEBUG, "made with level %d", (int)c->level);
	*ret_self = l;
	return 0;
}

static int liar_start(void *self)
{
	((struct liar *)self)->started++;
	return 0;
}

static void liar_stop(void *self)
{
	struct liar *l = self;

	if (l->h->stopping(l->h))
		l->h->count(l->h, 1, 1);
	l->started--;
}

static void liar_destroy(void *self)
{
	struct liar *l = self;

	l->h->free(l->h, l);
}

/* One of the plugin's, to see calls of two instances at once. */
static atomic_int liar_inside;

static int liar_overlap(struct liar *l, uint8_t *out)
{
	int all = atomic_fetch_add(&liar_inside, 1);
	int own = atomic_fetch_add(&l->inside, 1);

	(void)usleep(2000);
	atomic_fetch_sub(&l->inside, 1);
	atomic_fetch_sub(&liar_inside, 1);
	memset(out, 0, 8);
	out[0] = own > 0;
	out[1] = all > 0;
	return 0;
}

static int liar_hoard(struct liar *l, size_t len)
{
	void *p = l->h->alloc(l->h, len, 4096);
	int misaligned = ((uintptr_t)p & 4095) != 0;

	if (!p)
		return l->h->fail(l->h, -ENOMEM, "no %zu bytes", len);
	l->h->free(l->h, p);
	return misaligned ? -EFAULT : 0;
}

static int liar_sum(void *self, const void *data, size_t len, uint8_t *out)
{
	struct liar *l = self;
	const uint8_t *at = data;
	uint64_t sum = 1469598103934665603u;

	l->h->count(l->h, 0, 1);
	l->h->count(l->h, 77, 1); /* of no counter: nothing happens */
	switch (l->config.mood) {
	case POSITIVE:
		return 5;
	case SILENT:
		return -EUCLEAN;
	case SAYS:
		return l->h->fail(l->h, -EUCLEAN, "the %s is odd", "block");
	case HOARDS:
		return liar_hoard(l, len);
	case OVERLAP:
		return liar_overlap(l, out);
	default:
		break;
	}
	for (size_t i = 0; i < len; ++i)
		sum = (sum ^ at[i]) * 1099511628211u;
	memcpy(out, &sum, sizeof(sum));
	return 0;
}

static const struct dynfs_checksum_ops liar_ops = {
	.size = LIE == SHORT_OPS ? 16 : sizeof(liar_ops),
	.digest_len = LIE == HUGE_DIGEST ? 200 : 8,
	.sum = LIE == MISSING_CALLBACK ? NULL : liar_sum,
};

static const struct dynfs_store_ops liar_store_ops = {
	.size = sizeof(liar_store_ops),
};

/* as a later release may have it */
struct liar_option {
	struct dynfs_option o;
	const char *more[LIE == LONG_STRIDE ? 3 : 0];
};

#define LIAR_FIELD(member) DYNFS_FIELD(struct liar_config, member)
#define ROW(...)                                                               \
	{                                                                      \
		.o = { __VA_ARGS__ }                                           \
	}

static const struct liar_option liar_options[] = {
	ROW("mood", DYNFS_OPT_ENUM, 0, LIAR_FIELD(mood), "good", 0, 0,
	    LIE == NO_CHOICES ? NULL : liar_moods, "What sum does", NULL),
	ROW("flag", DYNFS_OPT_BOOL, DYNFS_OPT_FORMAT, LIAR_FIELD(flag), NULL, 0,
	    0, NULL, LIE == NO_HELP ? NULL : "A flag", NULL),
	ROW(LIE == TWICE ? "flag" : "level", DYNFS_OPT_INT,
	    LIE == SAME_MEMBER ? 0 : DYNFS_OPT_RELOAD,
	    LIE == OUTSIDE_CONFIG ? sizeof(struct liar_config)
	    : LIE == SAME_MEMBER  ? offsetof(struct liar_config, mood)
				  : offsetof(struct liar_config, level),
	    LIE == WRONG_WIDTH ? 4 : 8,
	    LIE == BAD_DEFAULT        ? "many"
	    : LIE == ZERO_NOT_ALLOWED ? NULL
				      : "3",
	    1, 32, NULL, "A level", "steps"),
	ROW("block-size", DYNFS_OPT_SIZE, DYNFS_OPT_FORMAT, LIAR_FIELD(block),
	    "64K", 4096, 16 << 20, NULL, "A size", "bytes"),
	ROW("word", DYNFS_OPT_STR, DYNFS_OPT_FORMAT, LIAR_FIELD(word), NULL, 0,
	    0, NULL, "A string", NULL),
	ROW("key", DYNFS_OPT_STR,
	    DYNFS_OPT_SECRET | (LIE == SECRET_FORMAT ? DYNFS_OPT_FORMAT : 0),
	    LIAR_FIELD(key), NULL, 0, 0, NULL, "A secret", NULL),
	ROW(.name = NULL),
};

static const char *const liar_counters[] = {
	"sums", LIE == COUNTER_TWICE ? "sums" : "stops", NULL
};

/* Longer than this side knows it, as after the next release. */
struct liar_plugin {
	struct dynfs_plugin p;
	void *more[2];
};

static const struct liar_plugin liar_plugin = {
	.p = {
		.magic = LIE == WRONG_MAGIC ? 0x12345678
					    : DYNFS_PLUGIN_MAGIC,
		.abi_major = DYNFS_ABI_MAJOR + (LIE == WRONG_MAJOR),
		.abi_minor = DYNFS_ABI_MINOR,
		.size = LIE == SHORT_SIZE  ? 24
			: LIE == ODD_SIZE  ? sizeof(struct dynfs_plugin) - 3
			: LIE == LONG_SIZE ? sizeof(struct liar_plugin)
					   : sizeof(struct dynfs_plugin),
		.threading = LIE == BAD_THREADING ? 9
			     : LIE == SERIAL	  ? DYNFS_SERIAL_PLUGIN
			     : LIE == PARALLEL	  ? DYNFS_PARALLEL
						  : DYNFS_SERIAL_INSTANCE,
		.option_size = LIE == SHORT_STRIDE
				   ? 16
				   : sizeof(struct liar_option),
		.name = LIE == WRONG_NAME ? "somebody" : LIAR_NAME,
		.version = LIE == NO_VERSION ? NULL : "1.0",
		.summary = "lies in one point",
		.options = &liar_options[0].o,
		.counters = liar_counters,
		.config_size = sizeof(struct liar_config),
		.create = LIE == NO_CREATE ? NULL : liar_create,
		.start = liar_start,
		.stop = liar_stop,
		.destroy = liar_destroy,
		.checksum = LIE == NO_KIND || LIE == OTHER_KIND ? NULL
								: &liar_ops,
		.store = LIE == TWO_KINDS || LIE == OTHER_KIND
			     ? &liar_store_ops
			     : NULL,
	},
};

__attribute__((unused)) static void liar_crash(void)
{
	(void)raise(SIGSEGV);
}

/* The preprocessor does not know the enum, so the entry is always there but
 * for NO_ENTRY, which is another macro. */
#ifndef LIAR_HAS_NO_ENTRY
DYNFS_EXPORT const struct dynfs_plugin *dynfs_plugin_entry(void)
{
	if (LIE == ENTRY_CRASHES)
		liar_crash();
	if (LIE == ENTRY_EXITS)
		_exit(3);
	return LIE == NULL_ENTRY ? NULL : &liar_plugin.p;
}
#else
DYNFS_EXPORT const struct dynfs_plugin *not_an_entry(void);
const struct dynfs_plugin *not_an_entry(void)
{
	return &liar_plugin.p;
}
#endif

#ifdef LIAR_RUNS_EARLY
__attribute__((constructor)) static void liar_early(void)
{
	/* an empty one would be optimised away */
	__asm__ volatile("");
	if (LIE == LOAD_CRASHES)
		liar_crash();
}
#endif

/* NOLINTEND(misc-redundant-expression) */
