/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The little of Linux that this program needs, without a C library: system calls of arm64, and printing.
 */
#ifndef LIFE_LINUX_H
#define LIFE_LINUX_H

#include <stddef.h>
#include <stdint.h>

enum { SYS_IOCTL = 29, SYS_OPENAT = 56, SYS_CLOSE = 57, SYS_READ = 63, SYS_WRITE = 64, SYS_EXIT_GROUP = 94, SYS_NANOSLEEP = 101, SYS_CLOCK_GETTIME = 113, SYS_YIELD = 124, SYS_MUNMAP = 215,
       SYS_MMAP = 222 };
enum { AT_FDCWD = -100, O_RDONLY = 0, O_WRONLY = 1, O_RDWR = 2, O_CREAT = 0100, O_TRUNC = 01000, O_CLOEXEC = 02000000, PROT_RW = 3, MAP_SHARED = 1, MAP_ANONYMOUS = 0x22 };
enum { ENOENT = 2, ESRCH = 3, EACCES = 13, EBUSY = 16, EINVAL = 22 };

/* The two requests of /dev/xen/privcmd: _IOC(_IOC_NONE, 'P', number, size). */
#define PRIVCMD(number, type) ((uint64_t)sizeof(type) << 16 | 'P' << 8 | (number))
struct privcmd_hypercall {
	uint64_t op, arg[5];
};
struct privcmd_mmap {
	uint32_t count;
	uint16_t domain;
	uint64_t address, frames, errors;
};
#define PRIVCMD_HYPERCALL PRIVCMD(0, struct privcmd_hypercall)
#define PRIVCMD_MMAP PRIVCMD(4, struct privcmd_mmap)

static inline long syscall6(long number, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;
	__asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	return x0;
}

static inline long open_device(const char *path)
{
	return syscall6(SYS_OPENAT, AT_FDCWD, (long)path, O_RDWR | O_CLOEXEC, 0, 0, 0);
}

static inline long map_pages(long device, size_t size)
{
	return syscall6(SYS_MMAP, 0, (long)size, PROT_RW, MAP_SHARED, device, 0);
}

/* Memory of our own. */
static inline long get_pages(size_t size)
{
	return syscall6(SYS_MMAP, 0, (long)size, PROT_RW, MAP_ANONYMOUS, -1, 0);
}

/* All of a file, as much of it as there is room for; the number of bytes. */
static inline long read_file(const char *path, void *to, size_t size)
{
	long file = syscall6(SYS_OPENAT, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0, 0, 0), got = 1;
	size_t at = 0;

	if (file < 0)
		return file;
	while (got > 0 && at < size) {
		got = syscall6(SYS_READ, file, (long)to + (long)at, (long)(size - at), 0, 0, 0);
		at += got > 0 ? (size_t)got : 0;
	}
	syscall6(SYS_CLOSE, file, 0, 0, 0, 0, 0);
	return got < 0 ? got : (long)at;
}

/* A file with just these bytes. */
static inline long write_file(const char *path, const void *from, size_t size)
{
	long file = syscall6(SYS_OPENAT, AT_FDCWD, (long)path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600, 0, 0), put = 0;
	size_t at = 0;

	if (file < 0)
		return file;
	while (at < size) {
		put = syscall6(SYS_WRITE, file, (long)from + (long)at, (long)(size - at), 0, 0, 0);
		if (put <= 0)
			break;
		at += (size_t)put;
	}
	syscall6(SYS_CLOSE, file, 0, 0, 0, 0, 0);
	return put < 0 ? put : (long)at;
}

static inline void unmap_pages(void *pages, size_t size)
{
	syscall6(SYS_MUNMAP, (long)pages, (long)size, 0, 0, 0, 0);
}

static inline void sleep_ms(unsigned int ms)
{
	int64_t time[2] = { ms / 1000, (int64_t)(ms % 1000) * 1000000 };
	syscall6(SYS_NANOSLEEP, (long)time, 0, 0, 0, 0, 0);
}

/* Milliseconds since some time. */
static inline int64_t now_ms(void)
{
	int64_t time[2] = { 0, 0 };
	syscall6(SYS_CLOCK_GETTIME, 1, (long)time, 0, 0, 0, 0);
	return time[0] * 1000 + time[1] / 1000000;
}

static inline _Noreturn void end(int status)
{
	for (;;)
		syscall6(SYS_EXIT_GROUP, status, 0, 0, 0, 0, 0);
}

/* One line of output, written at once so that nothing comes between its words. */
struct line {
	char text[320];
	size_t length;
};

static inline void add(struct line *line, const char *text)
{
	while (*text && line->length < sizeof(line->text) - 1)
		line->text[line->length++] = *text++;
}

static inline void add_number(struct line *line, uint64_t number)
{
	char digits[21] = "";
	size_t at = sizeof(digits) - 1;

	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	add(line, &digits[at]);
}

static inline void print(struct line *line)
{
	line->text[line->length++] = '\n';
	syscall6(SYS_WRITE, 1, (long)line->text, (long)line->length, 0, 0, 0);
}

#endif
