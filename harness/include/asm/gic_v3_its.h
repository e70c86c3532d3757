/* SPDX-License-Identifier: GPL-2.0-only */
#include "mock.h"

/* A host without an ITS. */
static inline unsigned int vgic_v3_its_count(const struct domain *d)
{
    return 0;
}
