/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling frontends that content went back to what it was before a write, or
 * that of a change which failed a part was done.
 *
 * They keep what they were told (the kernel: pages), and to drop it may make
 * them wait for reads and writes that are under way here.  So it is done by a
 * thread that nothing waits for, with no lock held.  Inodes wait in a list, each
 * once and held; as only those get there that had dirty bytes or a call under
 * way, it is bounded as they are.
 */
#include <file/private.h>

#include <base/cleanup.h>

void changed_add(struct inode *in)
{
	struct files *f = in->files;
	struct list *link = &holder_of(in->content)->changed;

	AUTOLOCK(&f->dirty_lock);
	if (!f->telling || !list_empty(link))
		return;
	list_push(&f->changed, link);
	inode_hold(in);
	(void)pthread_cond_signal(&f->to_tell);
}

/* dirty_lock is held. */
static struct inode *changed_next(struct files *f)
{
	struct list *l;

	while (!(l = list_pop(&f->changed)) && !f->no_more_changes)
		(void)pthread_cond_wait(&f->to_tell, &f->dirty_lock);
	return l ? container_of(l, struct holder, changed)->dirty.in : NULL;
}

static void *changed_main(void *arg)
{
	struct files *f = (struct files *)arg;
	struct inode *in;

	(void)pthread_setname_np(pthread_self(), "dynfs-changed");
	(void)pthread_mutex_lock(&f->dirty_lock);
	while ((in = changed_next(f))) {
		(void)pthread_mutex_unlock(&f->dirty_lock);
		f->how.changed(f->how.ctx, in->ino);
		inode_put(in);
		(void)pthread_mutex_lock(&f->dirty_lock);
	}
	(void)pthread_mutex_unlock(&f->dirty_lock);
	return NULL;
}

int changed_start(struct files *f)
{
	int r;

	if (!f->how.changed)
		return 0;
	r = -pthread_create(&f->teller, NULL, changed_main, f);
	f->telling = r == 0;
	return r;
}

void changed_stop(struct files *f)
{
	if (!f->telling)
		return;
	(void)pthread_mutex_lock(&f->dirty_lock);
	f->no_more_changes = true;
	(void)pthread_cond_signal(&f->to_tell);
	(void)pthread_mutex_unlock(&f->dirty_lock);
	(void)pthread_join(f->teller, NULL);
	f->telling = false;
}
