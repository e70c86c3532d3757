/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef MOCK_GIC_V3_DEFS_H
#define MOCK_GIC_V3_DEFS_H

#include "mock.h"

#define GICV3_GICR_SIZE 0x20000

struct rdist_region {
    paddr_t base;
    paddr_t size;
    void __iomem *map_base;
    bool single_rdist;
};

#endif /* MOCK_GIC_V3_DEFS_H */
