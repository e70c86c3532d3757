// SPDX-License-Identifier: GPL-2.0-only
/*
 * storm DISK SECONDS: reads a disk for so long, as fast as it goes, with 64 requests in flight, each of which ends with an interrupt.
 * storm count: says each second how far it has counted, for ever: what CPU time another domain has meanwhile.
 *
 * The first's last line is "storm: ok REQUESTS requests in MILLISECONDS ms" or "storm: FAILED ...".
 */
#define PROGRAM "storm"
#include "program.h"

enum { SYS_IO_SETUP = 0, SYS_IO_SUBMIT = 2, SYS_IO_GETEVENTS = 4 };
enum { O_DIRECT = 0200000, PREAD = 0 };
enum { DEPTH = 64, BLOCK = 4096, BLOCKS = 4096 };
/* Steps between two looks at the clock: a few milliseconds where a CPU is emulated. */
enum { STEPS = 100000 };

/* Linux's structures of asynchronous I/O. */
struct request {
	uint64_t data;
	uint32_t key, read_write_flags;
	uint16_t command, priority;
	uint32_t file;
	uint64_t buffer, bytes, offset, reserved;
	uint32_t flags, eventfd;
};
struct completion {
	uint64_t data, request;
	int64_t result, result2;
};

static uint8_t buffers[DEPTH][BLOCK] __attribute__((aligned(BLOCK)));
static struct request requests[DEPTH];

static void read_disk(const char *disk, int64_t duration)
{
	static struct completion completions[DEPTH];
	uint64_t context = 0, done = 0, next = 0;
	struct request *again[DEPTH];
	struct line line = { .length = 0 };
	int64_t begin, now;
	long file, count;

	file = syscall6(SYS_OPENAT, AT_FDCWD, (long)disk, O_DIRECT | O_CLOEXEC, 0, 0, 0);
	must("open the disk", file);
	must("ask for asynchronous I/O", syscall6(SYS_IO_SETUP, DEPTH, (long)&context, 0, 0, 0, 0));
	for (uint32_t i = 0; i < DEPTH; i++) {
		requests[i] = (struct request){
			.data = i, .command = PREAD, .file = (uint32_t)file, .buffer = (uint64_t)buffers[i], .bytes = BLOCK,
		};
		again[i] = &requests[i];
	}
	count = DEPTH;
	begin = now = now_ms();
	while (now - begin < duration) {
		for (long i = 0; i < count; i++)
			again[i]->offset = next++ % BLOCKS * BLOCK;
		for (long sent = 0; sent < count; )
			sent += must("send requests", syscall6(SYS_IO_SUBMIT, (long)context, count - sent, (long)&again[sent], 0, 0, 0));
		count = must("wait for a request", syscall6(SYS_IO_GETEVENTS, (long)context, 1, DEPTH, (long)completions, 0, 0));
		for (long i = 0; i < count; i++) {
			if (completions[i].result != BLOCK)
				fail("read the disk", completions[i].result);
			again[i] = &requests[completions[i].data];
		}
		done += (uint64_t)count;
		now = now_ms();
	}
	add(&line, PROGRAM ": ok ");
	add_number(&line, done);
	add(&line, " requests in ");
	add_number(&line, (uint64_t)(now - begin));
	add(&line, " ms");
	print(&line);
}

static _Noreturn void count_on(void)
{
	for (;;) {
		struct line line = { .length = 0 };
		int64_t begin = now_ms(), now = begin;
		uint64_t rounds = 0;

		while (now - begin < 1000) {
			for (volatile uint32_t step = 0; step < STEPS; step++)
				;
			rounds++;
			now = now_ms();
		}
		add(&line, "counted ");
		add_number(&line, rounds);
		add(&line, " rounds in ");
		add_number(&line, (uint64_t)(now - begin));
		add(&line, " ms");
		print(&line);
	}
}

/* The stack as the kernel leaves it: the number of arguments, then the arguments. */
__attribute__((used)) static _Noreturn void start_here(const uint64_t *stack)
{
	uint64_t seconds = stack[0] == 3 ? number((const char *)stack[3]) : 0;

	if (stack[0] == 2)
		count_on();
	if (!seconds)
		fail("say which disk and for how long: storm DISK SECONDS; or storm count", 0);
	read_disk((const char *)stack[2], (int64_t)seconds * 1000);
	end(0);
}

__asm__(".global _start\n_start:\n\tmov x0, sp\n\tb start_here\n");
