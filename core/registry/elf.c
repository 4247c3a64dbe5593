/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is this file a whole shared object for this machine?
 *
 * The dynamic loader maps a file and trusts it: a copy that was cut short by
 * a full disk kills the process with SIGBUS somewhere inside dlopen().  So
 * the headers and the extents of all segments are compared with the file's
 * length first.  Read with pread, not mapped, for the same reason.  A file
 * that is whole but wrong inside can still crash the loader: for files that
 * nobody vouches for there is reg_check_child().
 *
 * Constructors are counted here because they run inside dlopen(), before
 * anything can be refused.
 */
#include <registry/internal.h>

#include <base/fail.h>

#include <elf.h>
#include <errno.h>
#include <link.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ELF_MAX_PHDRS    64
#define ELF_MAX_DYNAMICS 512

/* our own header, put there by the linker: what machine this is */
extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

struct elf_file {
	int fd;
	const char *path;
	uint64_t size;
	ElfW(Ehdr) eh;
	ElfW(Phdr) ph[ELF_MAX_PHDRS];
};

static bool elf_inside(const struct elf_file *f, uint64_t off, uint64_t len)
{
	return off <= f->size && len <= f->size - off;
}

static int elf_read(const struct elf_file *f, void *to, size_t len,
		    uint64_t off)
{
	char *at = to;

	if (!elf_inside(f, off, len))
		return fail(-EINVAL, "plugin %s is cut short", f->path);
	while (len) {
		ssize_t n = pread(f->fd, at, len, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return fail(n < 0 ? -errno : -EINVAL,
				    "plugin %s can not be read", f->path);
		at += n;
		len -= (size_t)n;
		off += (uint64_t)n;
	}
	return 0;
}

static int elf_check_header(struct elf_file *f)
{
	const ElfW(Ehdr) *eh = &f->eh;

	if (f->size < sizeof(*eh))
		return fail(-EINVAL, "plugin %s is not a shared object",
			    f->path);
	if (elf_read(f, &f->eh, sizeof(f->eh), 0) < 0)
		return -EINVAL;
	if (memcmp(eh->e_ident, ELFMAG, SELFMAG) != 0)
		return fail(-EINVAL, "plugin %s is not a shared object",
			    f->path);
	if (eh->e_ident[EI_CLASS] != __ehdr_start.e_ident[EI_CLASS] ||
	    eh->e_ident[EI_DATA] != __ehdr_start.e_ident[EI_DATA] ||
	    eh->e_machine != __ehdr_start.e_machine)
		return fail(-EINVAL, "plugin %s is for another machine",
			    f->path);
	if (eh->e_type != ET_DYN)
		return fail(-EINVAL, "plugin %s is not a shared object",
			    f->path);
	return 0;
}

static int elf_check_extents(struct elf_file *f)
{
	const ElfW(Ehdr) *eh = &f->eh;

	if (eh->e_phentsize != sizeof(*f->ph) || !eh->e_phnum ||
	    eh->e_phnum > ELF_MAX_PHDRS)
		return fail(-EINVAL, "plugin %s has a damaged header", f->path);
	if (elf_read(f, f->ph, eh->e_phnum * sizeof(*f->ph), eh->e_phoff) < 0)
		return -EINVAL;
	if (eh->e_shoff && !elf_inside(f, eh->e_shoff,
				       (uint64_t)eh->e_shnum * eh->e_shentsize))
		return fail(-EINVAL, "plugin %s is cut short", f->path);
	for (size_t i = 0; i < eh->e_phnum; ++i) {
		const ElfW(Phdr) *ph = &f->ph[i];

		if (ph->p_type != PT_LOAD && ph->p_type != PT_DYNAMIC)
			continue;
		if (!elf_inside(f, ph->p_offset, ph->p_filesz))
			return fail(-EINVAL, "plugin %s is cut short", f->path);
		if (ph->p_filesz > ph->p_memsz)
			return fail(-EINVAL, "plugin %s has a damaged header",
				    f->path);
	}
	return 0;
}

static int elf_constructors(struct elf_file *f, unsigned *ret)
{
	ElfW(Dyn) dyn[ELF_MAX_DYNAMICS] = { { 0 } };
	const ElfW(Phdr) *ph = NULL;
	size_t n;

	*ret = 0;
	for (size_t i = 0; i < f->eh.e_phnum; ++i)
		if (f->ph[i].p_type == PT_DYNAMIC)
			ph = &f->ph[i];
	if (!ph)
		return fail(-EINVAL, "plugin %s is not a shared object",
			    f->path);
	n = ph->p_filesz / sizeof(*dyn);
	if (!n || n > ELF_MAX_DYNAMICS)
		return fail(-EINVAL, "plugin %s has a damaged header", f->path);
	if (elf_read(f, dyn, n * sizeof(*dyn), ph->p_offset) < 0)
		return -EINVAL;
	for (size_t i = 0; i < n && dyn[i].d_tag != DT_NULL; ++i)
		/* the first is the compiler's frame_dummy */
		if (dyn[i].d_tag == DT_INIT_ARRAYSZ &&
		    dyn[i].d_un.d_val > sizeof(void *))
			*ret =
			    (unsigned)(dyn[i].d_un.d_val / sizeof(void *) - 1);
	return 0;
}

int elf_check(int fd, const char *path, unsigned *ret_constructors)
{
	struct elf_file f = { .fd = fd, .path = path };
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return fail(-errno, "plugin %s can not be read", path);
	f.size = (uint64_t)st.st_size;
	r = elf_check_header(&f);
	if (r == 0)
		r = elf_check_extents(&f);
	if (r == 0)
		r = elf_constructors(&f, ret_constructors);
	return r;
}
