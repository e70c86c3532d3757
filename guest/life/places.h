/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where a guest has BARs when Dom0 takes its functions away (hold.h); of one of them Dom0 sees to the RAM that is in it.
 */
#ifndef LIFE_PLACES_H
#define LIFE_PLACES_H

enum { PLACE_PAGES = 16, RAM_PAGE = 1 };
#define PLACE_WITH_RAM 0x2e000000
#define PLACE_OF_TWO 0x2e100000
#define PLACE_UNDER_TABLE 0x2e200000
#define PLACE_OF_TABLE 0x2e300000

#endif
