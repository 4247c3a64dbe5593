/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An instance with a host double and a disk.  Stores get a simulated disk:
 * all their files go through the host.  Engines of metadata get a folder of
 * the machine, for many of them do their own input and output.
 */
#include "conform.h"

#include <base/os.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SETTINGS_MAX 64

uint64_t rnd(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

void rnd_bytes(uint64_t *state, void *p, size_t len)
{
	uint8_t *at = p;

	for (; len >= 8; len -= 8, at += 8) {
		uint64_t x = rnd(state);

		memcpy(at, &x, 8);
	}
	while (len--)
		*at++ = (uint8_t)rnd(state);
}

static int inst_disk(struct conform *c, struct inst *i)
{
	static atomic_uint number;

	if (c->kind->simulated) {
		i->sim = simos_new(c->seed);
		if (!i->sim)
			return -ENOMEM;
		(void)snprintf(i->dir, sizeof(i->dir), "/disk");
		return simos_limit(i->sim, "/disk", 0);
	}
	(void)snprintf(i->dir, sizeof(i->dir), "%s/%d-%u", c->tmp, getpid(),
		       atomic_fetch_add(&number, 1));
	return mkdir(i->dir, 0700) ? -errno : 0;
}

int inst_prepare(struct conform *c, struct inst *i, const char *const *more)
{
	const char *kv[SETTINGS_MAX + 1] = { NULL };
	size_t n = 0;
	int err;

	memset(i, 0, sizeof(*i));
	i->plugin = &c->plugin;
	err = inst_disk(c, i);
	if (err)
		return err;
	testhost_init(&i->host, i->sim ? simos_os(i->sim) : os_real());
	for (size_t k = 0; c->set[k] && n < SETTINGS_MAX; k++)
		kv[n++] = c->set[k];
	for (size_t k = 0; more && more[k] && n < SETTINGS_MAX; k++)
		kv[n++] = more[k];
	i->config = testhost_config(&c->plugin, kv);
	return i->config ? 0 : -EINVAL;
}

int inst_start(struct inst *i)
{
	int err;

	i->self = NULL;
	err = i->plugin->create(&i->host.host, i->config, &i->self);
	if (err) {
		i->self = NULL;
		return err;
	}
	err = i->plugin->start ? i->plugin->start(i->self) : 0;
	if (err) {
		i->plugin->destroy(i->self);
		i->self = NULL;
	}
	return err;
}

int inst_new(struct conform *c, struct inst *i, const char *const *more)
{
	int err = inst_prepare(c, i, more);

	if (!err)
		err = inst_start(i);
	if (err) {
		(void)no(c, "an instance cannot be made: errno %d, %s", -err,
			 i->host.fail_text);
		(void)inst_free(c, i);
	}
	return err;
}

bool inst_free(struct conform *c, struct inst *i)
{
	uint64_t left, handles;

	if (i->self && i->plugin->stop)
		i->plugin->stop(i->self);
	if (i->self)
		i->plugin->destroy(i->self);
	handles = i->sim ? simos_handles(i->sim) : 0;
	left = testhost_done(&i->host);
	free(i->config);
	simos_free(i->sim);
	memset(i, 0, sizeof(*i));
	if (left)
		return no(c, "%llu blocks of memory are left",
			  (unsigned long long)left);
	if (handles)
		return no(c, "%llu files are left open",
			  (unsigned long long)handles);
	return true;
}

bool answered(struct conform *c, const struct inst *i, uint64_t before,
	      const char *what, int got, int want)
{
	bool message = i->host.n_fails != before;

	if (got != want)
		return no(c, "%s: %d, not %d (%s)", what, got, want,
			  message ? i->host.fail_text : "no message");
	if (!got && message)
		return no(c, "%s: a message without an error: %s", what,
			  i->host.fail_text);
	if ((got == -EINVAL || got == -EUCLEAN) && !message)
		return no(c, "%s: errno %d without a message", what, -got);
	return true;
}
