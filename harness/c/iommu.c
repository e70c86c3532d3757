/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where devices of the hardware domain can write, beside its memory.
 */

#include "half.h"

#ifdef CONFIG_HAS_ITS

#ifndef MOCK_PEER
#include <xen/iommu.h>
#endif

#ifndef MOCK_PEER
long iommu_map(struct domain *d, dfn_t dfn, mfn_t mfn, unsigned long count,
               unsigned int flags, unsigned int *flush)
{
    struct mock_iommu_page *page = _xzalloc(sizeof(*page), _Alignof(struct mock_iommu_page));

#if RVGIC_XEN_RELEASE <= 420
    BUG_ON(!is_domain_direct_mapped(d));
#endif
    if ( !page )
        return -ENOMEM;
    if ( count != 1 || flags != IOMMUF_writable || dfn_x(dfn) != mfn_x(mfn) )
        mock_broken("a page of the hardware domain's devices that is not the host's");
    page->dfn = dfn_x(dfn);
    page->next = d->pages;
    d->pages = page;
    *flush = 1;

    return 0;
}

int iommu_iotlb_flush(struct domain *d, dfn_t dfn, unsigned long count, unsigned int flush)
{
    struct mock_iommu_page *page;

    for ( page = d->pages; page && flush; page = page->next )
        page->flushed |= page->dfn - dfn_x(dfn) < count;

    return 0;
}

/* May a device of the domain's write there? */
bool mock_iommu_reaches(const struct domain *d, paddr_t address)
{
    const struct mock_iommu_page *page = d->pages;

    while ( page && (page->dfn != PFN_DOWN(address) || !page->flushed) )
        page = page->next;

    return !is_iommu_enabled(d) || page;
}
#else
bool mock_iommu_reaches(const struct domain *d, paddr_t address)
{
    return true;
}
#endif

void mock_iommu_release(struct domain *d)
{
    struct mock_iommu_page *page;

    while ( (page = d->pages) != NULL )
    {
        d->pages = page->next;
        xfree(page);
    }
}

#endif /* CONFIG_HAS_ITS */
