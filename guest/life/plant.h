/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A fault that is planted in what was saved of a vGIC, so that it is seen whether anybody notices: an interrupt that is pending is not
 * any more, or one that is not pending is. The records are those of docs/save.md.
 */
#ifndef LIFE_PLANT_H
#define LIFE_PLANT_H

#include "linux.h"

enum plant { NOTHING, LOSS, DOUBLE };

struct descriptor {
	uint16_t type, instance;
	uint32_t length;
};

/* A record of 32 interrupts: its typecode, its first instance's INTID, and where in it are those that are pending by their latch. */
struct kind {
	uint16_t type;
	uint32_t first;
	size_t latch;
};
static const struct kind OF_SPIS = { .type = 5, .first = 0, .latch = 20 };
static const struct kind OF_LPIS = { .type = 6, .first = 8192, .latch = 12 };

/* Where an interrupt's latch is in a stream, as the first of 32. */
static uint8_t *latches(uint8_t *stream, uint32_t size, uint64_t intid)
{
	const struct kind *kind = intid < OF_LPIS.first ? &OF_SPIS : &OF_LPIS;
	struct descriptor record;

	for (size_t at = 0; at + sizeof(record) <= size; at += record.length) {
		memcpy(&record, stream + at, sizeof(record));
		at += sizeof(record);
		if (record.length > size - at)
			break;
		if (record.type == kind->type && record.instance == (intid - kind->first) / 32)
			return kind->latch + sizeof(uint32_t) <= record.length ? stream + at + kind->latch : 0;
	}
	return 0;
}

/* Plants it in one of so many interrupts; whether there was one that it could be. */
static int plant_in(uint8_t *stream, uint32_t size, enum plant plant, uint64_t first, uint64_t count)
{
	for (uint64_t intid = first; intid < first + count; intid++) {
		uint8_t *at = latches(stream, size, intid);
		uint32_t bits, bit = 1U << intid % 32;

		if (!at)
			continue;
		memcpy(&bits, at, sizeof(bits));
		if (!(bits & bit) != (plant == DOUBLE))
			continue;
		bits ^= bit;
		memcpy(at, &bits, sizeof(bits));
		return 1;
	}
	return 0;
}

#endif
