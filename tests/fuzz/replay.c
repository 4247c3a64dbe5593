/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A target without libFuzzer:
 *
 *	replay_NAME [--runs N] [FILE or FOLDER...]	what ctest runs
 *	replay_NAME --corpus FOLDER			write the seeds there
 *
 * Runs the seeds, the files (inputs that once broke something), and N inputs
 * that are mutated from those by a seed: $DYNFS_TEST_SEED, or one from the
 * clock, printed.
 */
#include "fuzz.h"
#include "seeded.h"

#include <dirent.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

struct input {
	uint8_t *data;
	size_t len;
};

static struct input *inputs;
static size_t n_inputs;
static const char *corpus;

static void run_copy(const uint8_t *data, size_t len)
{
	uint8_t *exact = fuzz_alloc(len);

	memcpy(exact, data, len);
	fuzz_run(exact, len);
	free(exact);
}

static void keep(void *ctx, const char *name, const void *data, size_t len)
{
	(void)ctx;
	(void)name;
	FUZZ_MUST(len && len <= FUZZ_LEN_MAX);
	inputs = realloc(inputs, (n_inputs + 1) * sizeof(*inputs));
	FUZZ_MUST(inputs);
	inputs[n_inputs].data = fuzz_alloc(len);
	memcpy(inputs[n_inputs].data, data, len);
	inputs[n_inputs++].len = len;
}

static void write_seed(void *ctx, const char *name, const void *data,
		       size_t len)
{
	char *path;
	FILE *f;

	(void)ctx;
	FUZZ_MUST(asprintf(&path, "%s/%s", corpus, name) > 0);
	f = fopen(path, "wb");
	FUZZ_MUST(f && fwrite(data, 1, len, f) == len && !fclose(f));
	free(path);
}

static void load_file(const char *path)
{
	uint8_t *data = fuzz_alloc(FUZZ_LEN_MAX);
	FILE *f = fopen(path, "rb");
	size_t len;

	FUZZ_MUST(f);
	len = fread(data, 1, FUZZ_LEN_MAX, f);
	FUZZ_MUST(!fclose(f));
	if (len)
		keep(NULL, path, data, len);
	free(data);
}

/* A file, or those of a folder; nothing when there is none. */
static void load(const char *path)
{
	struct stat st;
	struct dirent *e;
	DIR *d;

	if (stat(path, &st))
		return;
	if (!S_ISDIR(st.st_mode)) {
		load_file(path);
		return;
	}
	d = opendir(path);
	FUZZ_MUST(d);
	while ((e = readdir(d))) {
		char *below;

		if (e->d_name[0] == '.')
			continue;
		FUZZ_MUST(asprintf(&below, "%s/%s", path, e->d_name) > 0);
		load_file(below);
		free(below);
	}
	(void)closedir(d);
}

static void put_number(uint8_t *p, size_t left, uint64_t *s)
{
	static const uint64_t odd[] = { 0,          1,          0x7f,
					0x80,       0xff,       0x7fff,
					0xffff,     0x7fffffff, 0xffffffff,
					INT64_MAX,  UINT64_MAX, 1ull << 36,
					1ull << 24, 64,         4096 };
	uint64_t v = odd[rnd(s) % (sizeof(odd) / sizeof(odd[0]))];
	size_t n = (size_t)1 << rnd(s) % 4;

	for (size_t i = 0; i < n && i < left; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

/* data has room for FUZZ_LEN_MAX bytes. */
static size_t mutate(uint8_t *data, size_t len, uint64_t *s)
{
	const struct input *other = &inputs[rnd(s) % n_inputs];
	size_t at = rnd(s) % len, n = 1 + rnd(s) % 64, from;

	n = n < len - at ? n : len - at;
	switch (rnd(s) % 7) {
	case 0:
		data[at] ^= (uint8_t)(1u << rnd(s) % 8);
		break;
	case 1:
		data[at] = (uint8_t)rnd(s);
		break;
	case 2:
		put_number(data + at, len - at, s);
		break;
	case 3: /* leave a piece out */
		memmove(data + at, data + at + n, len - at - n);
		len -= n;
		break;
	case 4: /* say a piece twice */
		if (len + n > FUZZ_LEN_MAX)
			break;
		memmove(data + at + n, data + at, len - at);
		len += n;
		break;
	case 5: /* a piece of another one */
		from = rnd(s) % other->len;
		n = n < other->len - from ? n : other->len - from;
		n = n < len - at ? n : len - at;
		memcpy(data + at, other->data + from, n);
		break;
	default:
		if (rnd(s) % 4 == 0)
			len = at;
		break;
	}
	return len ? len : 1;
}

static void run_mutations(uint64_t runs)
{
	const char *given = getenv("DYNFS_TEST_SEED");
	uint64_t seed = given ? strtoull(given, NULL, 0)
			      : (uint64_t)time(NULL) * 2654435761u;
	uint8_t *data = fuzz_alloc(FUZZ_LEN_MAX);

	(void)printf("%zu inputs, %" PRIu64
		     " mutations, DYNFS_TEST_SEED=%" PRIu64 "\n",
		     n_inputs, runs, seed);
	(void)fflush(stdout);
	for (uint64_t i = 0; i < runs; i++) {
		uint64_t s = seed + i * 0x2545f4914f6cdd1du;
		const struct input *in = &inputs[rnd(&s) % n_inputs];
		size_t len = in->len;

		memcpy(data, in->data, len);
		for (uint64_t n = 1 + rnd(&s) % 6; n; n--)
			len = mutate(data, len, &s);
		run_copy(data, len);
	}
	free(data);
}

int main(int argc, char **argv)
{
	uint64_t runs = 0;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--corpus") && i + 1 < argc)
			corpus = argv[++i];
		else if (!strcmp(argv[i], "--runs") && i + 1 < argc)
			runs = strtoull(argv[++i], NULL, 10);
		else
			load(argv[i]);
	}
	if (corpus) {
		fuzz_seeds(write_seed, NULL);
		return 0;
	}
	fuzz_seeds(keep, NULL);
	FUZZ_MUST(n_inputs);
	for (size_t i = 0; i < n_inputs; i++)
		run_copy(inputs[i].data, inputs[i].len);
	run_mutations(runs);
	for (size_t i = 0; i < n_inputs; i++)
		free(inputs[i].data);
	free(inputs);
	return 0;
}
