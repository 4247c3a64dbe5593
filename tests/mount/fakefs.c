/* SPDX-License-Identifier: Apache-2.0 */
/* See fakefs.h: nodes, content and the thread that answers. */
#include "fakefs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

struct fake_job {
	struct fake_job *next;
	dynfs_read_done read_done; /* or call */
	void *ctx;                 /* of read_done */
	const struct dynfs_call *call;
	uint64_t ino, off;
	size_t len;
};

struct fake_node *fakefs_node(struct fakefs *f, uint64_t ino)
{
	return ino && ino < f->n_nodes && f->node[ino].attr.mode ? &f->node[ino]
								 : NULL;
}

struct fake_node *fakefs_find(struct fakefs *f, uint64_t parent,
			      const char *name)
{
	for (uint64_t i = 2; i < f->n_nodes; i++) {
		struct fake_node *n = &f->node[i];

		if (n->attr.mode && n->parent == parent &&
		    !strcmp(n->name, name))
			return n;
	}
	return NULL;
}

void fakefs_touch(struct fakefs *f, struct fake_node *n)
{
	n->attr.mtime.sec = n->attr.ctime.sec = ++f->clock_sec;
}

struct fake_node *fakefs_make(struct fakefs *f, uint64_t parent,
			      const char *name, uint32_t mode)
{
	struct fake_node *n;

	if (f->n_nodes == FAKE_NODES)
		return NULL;
	n = &f->node[f->n_nodes];
	*n = (struct fake_node){
		.attr = { .ino = f->n_nodes,
			  .generation = 7,
			  .mode = mode,
			  .nlink = S_ISDIR(mode) ? 2 : 1 },
		.parent = parent,
	};
	f->n_nodes++;
	strncpy(n->name, name, DYNFS_NAME_MAX);
	fakefs_touch(f, n);
	return n;
}

uint64_t fakefs_add(struct fakefs *f, uint64_t parent, const char *name,
		    uint32_t mode)
{
	const struct fake_node *n;

	pthread_mutex_lock(&f->lock);
	n = fakefs_make(f, parent, name, mode);
	pthread_mutex_unlock(&f->lock);
	return n ? n->attr.ino : 0;
}

long fakefs_opens(struct fakefs *f)
{
	long opens = 0;

	pthread_mutex_lock(&f->lock);
	for (uint64_t i = 0; i < f->n_nodes; i++)
		opens += f->node[i].opens;
	pthread_mutex_unlock(&f->lock);
	return opens;
}

int fakefs_resize(struct fake_node *n, uint64_t size)
{
	uint8_t *data;

	if (size > n->room) {
		data = realloc(n->data, size * 2);
		if (!data)
			return -ENOSPC;
		memset(data + n->room, 0, size * 2 - n->room);
		n->data = data;
		n->room = size * 2;
	}
	if (size < n->attr.size_bytes)
		memset(n->data + size, 0, n->attr.size_bytes - size);
	n->attr.size_bytes = n->attr.stored_bytes = size;
	return 0;
}

static void fake_answer_read(struct fakefs *f, const struct fake_job *job)
{
	struct iovec iov[2] = { { NULL, 0 }, { NULL, 0 } };
	const struct fake_node *n;
	uint8_t *copy = NULL;
	size_t len = 0;

	pthread_mutex_lock(&f->lock);
	n = fakefs_node(f, job->ino);
	if (n && job->off < n->attr.size_bytes) {
		len = n->attr.size_bytes - job->off;
		len = len < job->len ? len : job->len;
		copy = malloc(len);
		if (copy)
			memcpy(copy, n->data + job->off, len);
	}
	pthread_mutex_unlock(&f->lock);
	/* in two pieces, for an answer may have many */
	iov[0] = (struct iovec){ copy, len / 3 };
	if (copy)
		iov[1] = (struct iovec){ copy + len / 3, len - len / 3 };
	job->read_done(job->ctx, !n || (len && !copy) ? -EIO : 0, iov,
		       len ? 2 : 0);
	free(copy);
}

static struct fake_job *fake_next(struct fakefs *f)
{
	struct fake_job *job;

	pthread_mutex_lock(&f->lock);
	while (!f->jobs && !f->stop)
		pthread_cond_wait(&f->work, &f->lock);
	job = f->jobs;
	if (job) {
		f->jobs = job->next;
		if (!f->jobs)
			f->jobs_end = &f->jobs;
	}
	pthread_mutex_unlock(&f->lock);
	return job;
}

static void *fake_thread(void *arg)
{
	struct fakefs *f = arg;
	struct fake_job *job;

	while ((job = fake_next(f))) {
		int ms = atomic_load(&f->delay_ms);
		struct timespec t = { ms / 1000, ms % 1000 * 1000000L };

		if (ms)
			(void)nanosleep(&t, NULL);
		if (job->read_done)
			fake_answer_read(f, job);
		else
			(void)job->call->done(job->call->ctx, 0);
		free(job);
	}
	return NULL;
}

static int fake_queue(struct fakefs *f, const struct fake_job *what)
{
	struct fake_job *job = malloc(sizeof(*job));

	if (!job)
		return -ENOMEM;
	*job = *what;
	job->next = NULL;
	pthread_mutex_lock(&f->lock);
	*f->jobs_end = job;
	f->jobs_end = &job->next;
	pthread_cond_signal(&f->work);
	pthread_mutex_unlock(&f->lock);
	return 0;
}

int fakefs_hang(struct fakefs *f, uint64_t ino, const struct dynfs_call *call)
{
	struct timespec pause = { .tv_nsec = 5000000 };
	const struct fake_node *n = &f->node[ino];
	int err = 0;

	if (strncmp(n->name, "hang", 4) != 0 &&
	    strncmp(n->name, "room", 4) != 0)
		return 0;
	atomic_fetch_add(&f->n_hanging, 1);
	while (!err && atomic_load(&f->hang)) {
		(void)nanosleep(&pause, NULL);
		if (call && n->name[0] == 'r' && call->gone &&
		    call->gone(call->ctx))
			err = -EINTR;
	}
	if (err)
		atomic_fetch_add(&f->n_gone, 1);
	atomic_fetch_sub(&f->n_hanging, 1);
	return err;
}

void fakefs_through(struct fakefs *f, uint64_t ino, struct dynfs_file *file)
{
	const struct fake_file *of = (const struct fake_file *)file;

	if (file && (file->ino != ino || of->fs != f))
		atomic_fetch_add(&f->n_mistaken, 1);
}

bool fakefs_change(struct fakefs *f, const char *name, const char *text)
{
	struct fake_node *n;

	pthread_mutex_lock(&f->lock);
	n = fakefs_find(f, DYNFS_ROOT_INO, name);
	if (n && !fakefs_resize(n, strlen(text)))
		memcpy(n->data, text, strlen(text));
	pthread_mutex_unlock(&f->lock);
	return n;
}

bool fakefs_chmod(struct fakefs *f, const char *name, uint32_t mode)
{
	struct fake_node *n;

	pthread_mutex_lock(&f->lock);
	n = fakefs_find(f, DYNFS_ROOT_INO, name);
	if (n)
		n->attr.mode = (n->attr.mode & S_IFMT) | mode;
	pthread_mutex_unlock(&f->lock);
	return n;
}

uint32_t fakefs_mode(struct fakefs *f, const char *name)
{
	const struct fake_node *n;
	uint32_t mode;

	pthread_mutex_lock(&f->lock);
	n = fakefs_find(f, DYNFS_ROOT_INO, name);
	mode = n ? n->attr.mode & 07777 : 0;
	pthread_mutex_unlock(&f->lock);
	return mode;
}

bool fakefs_lose(struct fakefs *f, const char *name, int err)
{
	struct fake_node *n;

	pthread_mutex_lock(&f->lock);
	n = fakefs_find(f, DYNFS_ROOT_INO, name);
	if (n)
		n->loss = err;
	pthread_mutex_unlock(&f->lock);
	return n;
}

static void fake_read(void *ctx, uint64_t ino, struct dynfs_file *file,
		      uint64_t off, size_t len, dynfs_read_done done,
		      void *done_ctx)
{
	struct fakefs *f = ctx;
	struct fake_job job = { .read_done = done,
				.ctx = done_ctx,
				.ino = ino,
				.off = off,
				.len = len };

	fakefs_through(f, ino, file);
	atomic_fetch_add(&f->n_read, 1);
	(void)fakefs_hang(f, ino, NULL);
	if (fake_queue(f, &job))
		done(done_ctx, -ENOMEM, NULL, 0);
}

static void fake_fsync(void *ctx, uint64_t ino, struct dynfs_file *file,
		       int data_only, const struct dynfs_call *call)
{
	struct fake_job job = { .call = call };
	struct fakefs *f = ctx;

	(void)data_only;
	fakefs_through(f, ino, file);
	atomic_fetch_add(&f->n_fsync, 1);
	(void)fakefs_hang(f, ino, NULL);
	if (fake_queue(f, &job))
		(void)call->done(call->ctx, -ENOMEM);
}

static int fake_write_now(struct fakefs *f, uint64_t ino, uint64_t off,
			  const struct iovec *iov, uint32_t n_iov)
{
	struct fake_node *n = fakefs_node(f, ino);
	size_t len = 0;

	if (!n)
		return -ENOENT;
	for (uint32_t i = 0; i < n_iov; i++)
		len += iov[i].iov_len;
	if (off + len > n->attr.size_bytes && fakefs_resize(n, off + len))
		return -ENOSPC;
	for (uint32_t i = 0; i < n_iov; i++) {
		memcpy(n->data + off, iov[i].iov_base, iov[i].iov_len);
		off += iov[i].iov_len;
	}
	fakefs_touch(f, n);
	return 0;
}

static void fake_write(void *ctx, uint64_t ino, struct dynfs_file *file,
		       uint64_t off, const struct iovec *iov, uint32_t n_iov,
		       uint32_t flags, const struct dynfs_call *call)
{
	struct fake_job job = { .call = call };
	struct fakefs *f = ctx;
	bool later;
	int err;

	(void)flags;
	fakefs_through(f, ino, file);
	err = fakefs_hang(f, ino, call);
	pthread_mutex_lock(&f->lock);
	later = f->later = !f->later;
	if (!err)
		err = fake_write_now(f, ino, off, iov, n_iov);
	pthread_mutex_unlock(&f->lock);
	if (err || !later || fake_queue(f, &job))
		(void)call->done(call->ctx, err);
}

struct fakefs *fakefs_new(void)
{
	struct fakefs *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	f->view.size = sizeof(f->view);
	f->view.ctx = f;
	fakefs_fill_view(&f->view);
	fakefs_fill_ranges(&f->view);
	f->view.read = fake_read;
	f->view.write = fake_write;
	f->view.fsync = fake_fsync;
	f->jobs_end = &f->jobs;
	f->n_nodes = DYNFS_ROOT_INO;
	f->clock_sec = 1000000;
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->work, NULL);
	(void)fakefs_make(f, DYNFS_ROOT_INO, "", S_IFDIR | 0755);
	if (pthread_create(&f->thread, NULL, fake_thread, f)) {
		free(f);
		return NULL;
	}
	return f;
}

void fakefs_free(struct fakefs *f)
{
	pthread_mutex_lock(&f->lock);
	f->stop = true;
	pthread_cond_signal(&f->work);
	pthread_mutex_unlock(&f->lock);
	(void)pthread_join(f->thread, NULL); /* it is ours */
	for (uint64_t i = 0; i < f->n_nodes; i++)
		free(f->node[i].data);
	pthread_cond_destroy(&f->work);
	pthread_mutex_destroy(&f->lock);
	free(f);
}
