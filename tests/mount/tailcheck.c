/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tailcheck DIR SECONDS [SEED]: nobody reads an old end of a file.
 *
 * One process appends to each file, in pieces that end anywhere in a page, and
 * now and then cuts it to nothing; others read behind it, also through
 * mappings.  What a write has answered must be read as it was written from
 * then on: a page that the kernel filled before, and believes in, would show
 * zeros, or bytes of before the cut.  Pass-throughs with short attribute
 * timeouts are known to do that.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FILES     2u
#define READERS   3u /* of each */
#define PIECE_MAX 9000u
#define FILE_MAX  (300u << 10)
#define LOOK_MAX  12000u

/* What the writer of a file has been answered.  Shared by all processes. */
struct state {
	atomic_ullong age; /* odd: it is being cut */
	atomic_ullong size;
};

static struct state *states;
static uint64_t seed;

static uint64_t mixed(uint64_t x)
{
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

static uint64_t drawn(uint64_t *s)
{
	return mixed(*s += 0x9e3779b97f4a7c15u);
}

/* Never 0, which is what a page is filled with. */
static uint8_t byte_at(uint64_t age, uint64_t off)
{
	return (uint8_t)(mixed(age << 32 | off >> 3) >> (off & 7) * 8) | 1;
}

static _Noreturn void die(const char *what)
{
	perror(what);
	_exit(2);
}

/* A child that does not outlive us. */
static pid_t child(void)
{
	pid_t p = fork();

	if (p < 0)
		die("fork"); /* the others end with us */
	if (!p && prctl(PR_SET_PDEATHSIG, SIGKILL))
		die("prctl");
	return p;
}

static int file_open(const char *dir, unsigned which, int flags)
{
	char path[4096];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/tail%u", dir, which);
	fd = open(path, flags | O_CLOEXEC, 0600);
	if (fd < 0)
		die(path);
	return fd;
}

static void append(struct state *t, int fd, uint64_t *s)
{
	uint64_t off = t->size, age = t->age;
	size_t len = 1 + drawn(s) % PIECE_MAX;
	uint8_t piece[PIECE_MAX];

	for (size_t i = 0; i < len; i++)
		piece[i] = byte_at(age, off + i);
	if (pwrite(fd, piece, len, (off_t)off) != (ssize_t)len)
		die("write");
	t->size = off + len;
}

static void cut(struct state *t, int fd)
{
	t->age++;
	t->size = 0;
	if (ftruncate(fd, 0))
		die("truncate");
	t->age++;
}

static _Noreturn void write_on(const char *dir, unsigned which)
{
	struct state *t = &states[which];
	uint64_t s = seed + which;
	int fd = file_open(dir, which, O_WRONLY);

	for (;;) {
		append(t, fd, &s);
		if (t->size > FILE_MAX)
			cut(t, fd);
		if (drawn(&s) % 64 == 0)
			(void)fsync(fd); /* the mixture is what counts */
	}
}

/* Of a mapping that may end early: an error, not a signal. */
static ssize_t peek(uint8_t *map, uint64_t at, void *buf, size_t len)
{
	struct iovec to = { buf, len };
	struct iovec from = { map + at, len };

	return process_vm_readv(getpid(), &to, 1, &from, 1, 0);
}

struct reader {
	struct state *t;
	uint8_t *map; /* NULL: by calls */
	unsigned which;
	int fd;
	uint64_t n_looks;
};

/* false: it was cut meanwhile */
static bool look(struct reader *r, uint64_t *s)
{
	uint64_t age = r->t->age, size = r->t->size, at;
	uint8_t buf[LOOK_MAX];
	struct stat st;
	size_t len;
	ssize_t n;
	int err;

	len = 1 + drawn(s) % LOOK_MAX;
	len = len < size ? len : size;
	at = size - len;
	n = r->map ? peek(r->map, at, buf, len)
		   : pread(r->fd, buf, len, (off_t)at);
	err = errno;
	if (fstat(r->fd, &st))
		die("fstat");
	if (!size || age & 1 || r->t->age != age)
		return false;
	if (n != (ssize_t)len || (uint64_t)st.st_size < size) {
		(void)printf("tail%u: %llu bytes are written, stat says %lld, "
			     "a %s of %zu at %llu gives %zd, errno %d\n",
			     r->which, (unsigned long long)size,
			     (long long)st.st_size, r->map ? "look" : "read",
			     len, (unsigned long long)at, n, err);
		_exit(1);
	}
	for (size_t i = 0; i < len; i++) {
		if (buf[i] == byte_at(age, at + i))
			continue;
		(void)printf("tail%u: byte %llu of %llu is %02x, not %02x, "
			     "by a %s\n",
			     r->which, (unsigned long long)at + i,
			     (unsigned long long)size, buf[i],
			     byte_at(age, at + i), r->map ? "look" : "read");
		_exit(1);
	}
	r->n_looks++;
	return true;
}

static _Noreturn void read_on(const char *dir, unsigned which, unsigned who,
			      time_t until)
{
	struct reader r = { .t = &states[which], .which = which };
	uint64_t s = seed + 100 + which * READERS + who;

	r.fd = file_open(dir, which, O_RDONLY);
	if (who == 0) {
		r.map =
		    mmap(NULL, 2 * FILE_MAX, PROT_READ, MAP_SHARED, r.fd, 0);
		if (r.map == MAP_FAILED)
			die("mmap");
	}
	while (time(NULL) < until)
		(void)look(&r, &s);
	(void)printf("tail%u: %llu looks by %s\n", which,
		     (unsigned long long)r.n_looks,
		     r.map ? "mapping" : "reading");
	_exit(r.n_looks ? 0 : 3);
}

int main(int argc, char **argv)
{
	pid_t writers[FILES];
	int status, failed = 0;
	time_t until;

	if (argc < 3) {
		(void)fprintf(stderr, "usage: tailcheck DIR SECONDS [SEED]\n");
		return 2;
	}
	seed = argc > 3 ? strtoull(argv[3], NULL, 0) : (uint64_t)time(NULL);
	until = time(NULL) + (time_t)strtoul(argv[2], NULL, 10);
	(void)printf("seed %llu\n", (unsigned long long)seed);
	(void)setvbuf(stdout, NULL, _IONBF, 0);
	states = mmap(NULL, FILES * sizeof(*states), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (states == MAP_FAILED)
		die("mmap");
	for (unsigned i = 0; i < FILES; i++) {
		(void)close(file_open(argv[1], i, O_RDWR | O_CREAT | O_TRUNC));
		writers[i] = child();
		if (!writers[i])
			write_on(argv[1], i);
		for (unsigned k = 0; k < READERS; k++)
			if (!child())
				read_on(argv[1], i, k, until);
	}
	for (unsigned i = 0; i < FILES * READERS;) {
		pid_t p = wait(&status);

		if (p < 0)
			die("wait");
		failed |= !WIFEXITED(status) || WEXITSTATUS(status);
		/* a writer has an end only when it fails */
		i += p != writers[0] && p != writers[1];
	}
	for (unsigned i = 0; i < FILES; i++)
		(void)kill(writers[i], SIGKILL);
	return failed;
}
