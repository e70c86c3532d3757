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

/*
 * A record of 32 interrupts: its typecode, its first instance's INTID, how many instances a vCPU has (0: they are of no vCPU), and where
 * in it are those that are pending by their latch. An rVIC's has where each stands in the order of what can be delivered, too.
 */
struct kind {
	uint16_t type;
	uint32_t first;
	uint16_t each;
	size_t latch, masked, order;
};
static const struct kind OF_SPIS = { .type = 5, .first = 0, .latch = 20 };
static const struct kind OF_LPIS = { .type = 6, .first = 8192, .latch = 12 };
static const struct kind OF_RVICS = { .type = 9, .first = 0, .each = 64, .latch = 16, .masked = 20, .order = 32 };

static uint32_t bits_at(const uint8_t *at)
{
	uint32_t bits;

	memcpy(&bits, at, sizeof(bits));
	return bits;
}

/* Plants it in an interrupt of a record, if that is in the state for it. */
static int plant_at(uint8_t *record, const struct kind *kind, enum plant plant, uint32_t n)
{
	const uint32_t bit = 1U << n;
	uint32_t bits = bits_at(record + kind->latch);

	if (!(bits & bit) != (plant == DOUBLE))
		return 0;
	/* One more that is masked would not be seen. */
	if (kind->order && plant == DOUBLE && bits_at(record + kind->masked) & bit)
		return 0;
	bits ^= bit;
	memcpy(record + kind->latch, &bits, sizeof(bits));
	if (kind->order) {
		const uint32_t place = plant == DOUBLE;

		memcpy(record + kind->order + n * sizeof(place), &place, sizeof(place));
	}
	return 1;
}

/* The same, in the records of a kind; whether one was. */
static int plant_one(uint8_t *stream, uint32_t size, const struct kind *kind, enum plant plant, uint64_t intid)
{
	const size_t length = kind->order ? kind->order + 32 * sizeof(uint32_t) : kind->latch + sizeof(uint32_t);
	struct descriptor record;

	for (size_t at = 0; at + sizeof(record) <= size; at += record.length) {
		memcpy(&record, stream + at, sizeof(record));
		at += sizeof(record);
		if (record.length > size - at)
			break;
		if (record.type != kind->type || length > record.length)
			continue;
		if ((kind->each ? record.instance % kind->each : record.instance) != (intid - kind->first) / 32)
			continue;
		if (plant_at(stream + at, kind, plant, intid % 32))
			return 1;
	}
	return 0;
}

/* Plants it in one of so many interrupts; whether there was one that it could be. A stream has rVICs, or SPIs and LPIs. */
static int plant_in(uint8_t *stream, uint32_t size, enum plant plant, uint64_t first, uint64_t count)
{
	for (uint64_t intid = first; intid < first + count; intid++) {
		const struct kind *kind = intid < OF_LPIS.first ? &OF_SPIS : &OF_LPIS;

		if (plant_one(stream, size, kind, plant, intid) || plant_one(stream, size, &OF_RVICS, plant, intid))
			return 1;
	}
	return 0;
}

#endif
