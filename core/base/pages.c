/* SPDX-License-Identifier: Apache-2.0 */
#include <base/pages.h>

#include <sys/mman.h>

void *pages_new(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

void pages_free(void *p, size_t bytes)
{
	if (p)
		(void)munmap(p, bytes); /* fails for bad arguments only */
}
