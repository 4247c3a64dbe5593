/* SPDX-License-Identifier: Apache-2.0 */
#include <base/tpool.h>

#include <base/cleanup.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>

struct tpool {
	pthread_mutex_t lock; /* all below but the threads */
	pthread_cond_t wake;  /* queue not empty, or stop */
	pthread_cond_t idle;  /* queue empty and nobody at work */
	struct list queue;    /* struct work */
	unsigned n_busy, n_waiting;
	bool stop;
	unsigned n_threads;
	char name[16];
	pthread_t threads[];
};

static struct work *tpool_next(struct tpool *p)
{
	while (list_empty(&p->queue)) {
		if (!p->n_busy)
			(void)pthread_cond_broadcast(&p->idle);
		if (p->stop)
			return NULL;
		p->n_waiting++;
		(void)pthread_cond_wait(&p->wake, &p->lock);
		p->n_waiting--;
	}
	return container_of(list_pop(&p->queue), struct work, link);
}

static void *tpool_main(void *arg)
{
	struct tpool *p = (struct tpool *)arg;
	struct work *w;

	(void)pthread_setname_np(pthread_self(), p->name);
	(void)pthread_mutex_lock(&p->lock);
	while ((w = tpool_next(p))) {
		p->n_busy++;
		(void)pthread_mutex_unlock(&p->lock);
		w->run(w);
		(void)pthread_mutex_lock(&p->lock);
		p->n_busy--;
	}
	(void)pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* Signals are for the thread that waits for them, not for workers. */
static int tpool_spawn(struct tpool *p, pthread_t *ret)
{
	sigset_t all, old;
	int r;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(ret, NULL, tpool_main, p);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -r;
}

int tpool_new(const char *name, unsigned n_threads, struct tpool **ret)
{
	struct tpool *p;

	p = (struct tpool *)calloc(1,
				   sizeof(*p) + n_threads * sizeof(pthread_t));
	if (!p)
		return -ENOMEM;
	(void)pthread_mutex_init(&p->lock, NULL);
	(void)pthread_cond_init(&p->wake, NULL);
	(void)pthread_cond_init(&p->idle, NULL);
	list_init(&p->queue);
	(void)snprintf(p->name, sizeof(p->name), "%s", name);
	for (; p->n_threads < n_threads; p->n_threads++) {
		int r = tpool_spawn(p, &p->threads[p->n_threads]);

		if (r < 0) {
			tpool_free(p);
			return r;
		}
	}
	*ret = p;
	return 0;
}

void tpool_free(struct tpool *p)
{
	if (!p)
		return;
	(void)pthread_mutex_lock(&p->lock);
	p->stop = true;
	(void)pthread_cond_broadcast(&p->wake);
	(void)pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->n_threads; ++i)
		(void)pthread_join(p->threads[i], NULL);
	(void)pthread_cond_destroy(&p->idle);
	(void)pthread_cond_destroy(&p->wake);
	(void)pthread_mutex_destroy(&p->lock);
	free(p);
}

/* Signals come without the lock: who wakes would only run into it. */
void tpool_add(struct tpool *p, struct work *w)
{
	bool waiting;

	(void)pthread_mutex_lock(&p->lock);
	list_push(&p->queue, &w->link);
	waiting = p->n_waiting != 0;
	(void)pthread_mutex_unlock(&p->lock);
	if (waiting)
		(void)pthread_cond_signal(&p->wake);
}

void tpool_add_list(struct tpool *p, struct list *works)
{
	bool waiting;

	(void)pthread_mutex_lock(&p->lock);
	list_splice(&p->queue, works);
	waiting = p->n_waiting != 0;
	(void)pthread_mutex_unlock(&p->lock);
	if (waiting)
		(void)pthread_cond_broadcast(&p->wake);
}

bool tpool_take(struct tpool *p, struct work *w)
{
	bool queued;
	AUTOLOCK(&p->lock);

	/* what was taken from the queue is alone in its ring */
	queued = !list_empty(&w->link);
	list_remove(&w->link);
	return queued;
}

void tpool_drain(struct tpool *p)
{
	AUTOLOCK(&p->lock);
	while (p->n_busy || !list_empty(&p->queue))
		(void)pthread_cond_wait(&p->idle, &p->lock);
}
