/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What all programs have in common: they end with a line that begins with PROGRAM.
 */
#ifndef LIFE_PROGRAM_H
#define LIFE_PROGRAM_H

#include "linux.h"

/* The compiler asks for these. */
void *memcpy(void *to, const void *from, size_t size)
{
	uint8_t *at = to;
	const uint8_t *next = from;

	while (size--)
		*at++ = *next++;
	return to;
}

void *memset(void *to, int byte, size_t size)
{
	uint8_t *at = to;

	while (size--)
		*at++ = (uint8_t)byte;
	return to;
}

static inline _Noreturn void fail(const char *what, long error)
{
	struct line line = { .length = 0 };

	add(&line, PROGRAM ": FAILED ");
	add(&line, what);
	if (error < 0) {
		add(&line, ": error ");
		add_number(&line, (uint64_t)-error);
	}
	print(&line);
	end(1);
}

static inline long must(const char *what, long result)
{
	if (result < 0)
		fail(what, result);
	return result;
}

/* Are two words the same? */
static inline int is(const char *one, const char *two)
{
	while (*one && *one == *two)
		one++, two++;
	return *one == *two;
}

static inline uint64_t number(const char *text)
{
	uint64_t number = 0;

	while (*text >= '0' && *text <= '9' && number < 1000000)
		number = number * 10 + (uint64_t)(*text++ - '0');
	return *text ? 0 : number;
}

#endif
