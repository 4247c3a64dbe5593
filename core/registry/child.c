/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A look at a file that nobody vouches for.  Its constructors, its entry and
 * its tables are touched in a child process only; what comes back through a
 * pipe is text.  The child has a time limit, and it can not hurt more than
 * the user who started it: this guards against broken files, not against
 * hostile ones, and the rules about who may have written it hold here too.
 */
#include <registry/internal.h>

#include <base/cleanup.h>
#include <base/fail.h>
#include <base/str.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define CHILD_SECONDS   10
#define CHILD_MAX_BYTES (1u << 20)

static void child_write(int fd, const void *data, size_t len)
{
	const char *at = data;

	while (len) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return; /* the parent sees that there is too little */
		at += n;
		len -= (size_t)n;
	}
}

/* In the child: one byte, 'y' or 'n', then a description or a sentence. */
static void child_run(const char *path, const char *name, int fd)
{
	const struct rlimit none = { 0, 0 };
	struct reg_plugin *p;
	struct buf out = BUF_INIT;
	int r;

	(void)setrlimit(RLIMIT_CORE, &none);
	for (int sig = 1; sig < 32; ++sig)
		(void)signal(sig, SIG_DFL); /* crashes are to be seen */
	fail_clear();
	r = load_file(path, -1, name, &p);
	buf_put8(&out, r < 0 ? 'n' : 'y');
	if (r < 0)
		buf_printf(&out, "%s", fail_text(r));
	else
		reg_describe(p, &out);
	if (!buf_error(&out))
		child_write(fd, out.data, out.len);
	_exit(0); /* no handlers of the parent's, or of the plugin's */
}

static int64_t child_now_ms(void)
{
	struct timespec ts = { 0 };

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* All that comes until the other end closes; -ETIME when it does not. */
static int child_collect(int fd, struct buf *out)
{
	int64_t end = child_now_ms() + (int64_t)CHILD_SECONDS * 1000;

	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int64_t left = end - child_now_ms();
		char some[4096];
		ssize_t n;

		if (left <= 0 || out->len > CHILD_MAX_BYTES)
			return -ETIME;
		if (poll(&p, 1, (int)left) <= 0)
			continue;
		n = read(fd, some, sizeof(some));
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return buf_error(out);
		if (n > 0)
			buf_put(out, some, (size_t)n);
	}
}

static int child_wait(pid_t pid)
{
	int status = 0;

	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	return status;
}

static const char *child_signal(int sig)
{
	const char *word = sigabbrev_np(sig);

	return word ? word : "nal";
}

static int child_judge(const char *path, int r, int status, struct buf *told,
		       struct buf *out)
{
	if (r == -ETIME)
		return fail(-EINVAL, "plugin %s did not load within %d seconds",
			    path, CHILD_SECONDS);
	if (r < 0)
		return fail(r, "plugin %s could not be tried", path);
	if (WIFSIGNALED(status))
		return fail(-EINVAL,
			    "plugin %s crashed with SIG%s while it was loaded",
			    path, child_signal(WTERMSIG(status)));
	if (WEXITSTATUS(status) != 0 || !told->len)
		return fail(-EINVAL,
			    "plugin %s ended the program (status %d) while it "
			    "was loaded",
			    path, WEXITSTATUS(status));
	if (told->data[0] != 'y')
		return fail(-EINVAL, "%.*s", (int)told->len - 1,
			    (const char *)told->data + 1);
	buf_put(out, told->data + 1, told->len - 1);
	return buf_error(out);
}

/* The name that the file must call itself: what is before ".so". */
static char *child_name(const char *path)
{
	const char *base = strrchr(path, '/');
	size_t n;

	base = base ? base + 1 : path;
	n = strlen(base);
	if (n > 3 && !strcmp(base + n - 3, ".so"))
		n -= 3;
	return strndup(base, n);
}

int reg_check_child(const char *path, struct buf *out)
{
	AUTOFREE char *name = child_name(path);
	AUTOBUF struct buf told = BUF_INIT;
	int fds[2], status, r;
	pid_t pid;

	if (!name)
		return -ENOMEM;
	if (pipe2(fds, O_CLOEXEC) < 0)
		return fail(-errno, "no pipe to a child process");
	pid = fork();
	if (pid < 0) {
		r = fail(-errno, "no child process");
		(void)close(fds[0]);
		(void)close(fds[1]);
		return r;
	}
	if (pid == 0) {
		(void)close(fds[0]);
		child_run(path, name, fds[1]);
	}
	(void)close(fds[1]);
	r = child_collect(fds[0], &told);
	(void)close(fds[0]);
	if (r < 0)
		(void)kill(pid, SIGKILL);
	status = child_wait(pid);
	return child_judge(path, r, status, &told, out);
}
