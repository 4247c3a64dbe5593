/* SPDX-License-Identifier: Apache-2.0 */
/* Intrusive doubly linked rings: a head is a node that is in no object. */
#ifndef BASE_LIST_H
#define BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next, *prev;
};

#define container_of(ptr, type, member)                                        \
	((type *)(void *)((char *)(ptr)-offsetof(type, member)))

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_add_before(struct list *at, struct list *n)
{
	n->prev = at->prev;
	n->next = at;
	at->prev->next = n;
	at->prev = n;
}

static inline void list_push(struct list *head, struct list *n) /* at the end */
{
	list_add_before(head, n);
}

static inline void list_push_front(struct list *head, struct list *n)
{
	list_add_before(head->next, n);
}

/* May be called again on a node that was removed. */
static inline void list_remove(struct list *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	list_init(n);
}

static inline struct list *list_first(struct list *head)
{
	return list_empty(head) ? NULL : head->next;
}

static inline struct list *list_pop(struct list *head)
{
	struct list *n = list_first(head);

	if (n)
		list_remove(n);
	return n;
}

/* All of from to the end of to; from is empty after. */
static inline void list_splice(struct list *to, struct list *from)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

#define list_for(it, head)                                                     \
	for (struct list *it = (head)->next; it != (head); it = it->next)
/* the body may remove it */
#define list_for_safe(it, head)                                                \
	for (struct list *it = (head)->next, *it##_next = it->next;            \
	     it != (head); it = it##_next, it##_next = it->next)

#endif
