/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef MOCK_IOMMU_H
#define MOCK_IOMMU_H

#include "mock.h"

typedef struct { unsigned long n; } dfn_t;

#define _dfn(x) ((dfn_t){ x })
#define dfn_x(dfn) ((dfn).n)
#define IOMMUF_writable 2U

#define is_iommu_enabled(d) ((d)->iommu)
long iommu_map(struct domain *d, dfn_t dfn, mfn_t mfn, unsigned long count,
               unsigned int flags, unsigned int *flush);
int iommu_iotlb_flush(struct domain *d, dfn_t dfn, unsigned long count, unsigned int flush);

#endif /* MOCK_IOMMU_H */
