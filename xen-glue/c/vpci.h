/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What vpci.c and function.c have from each other.
 */
#ifndef RVGIC_VPCI_H
#define RVGIC_VPCI_H

#include <xen/pci.h>
#include <xen/sched.h>

#include "glue.h"

/* A function with a capability that sends messages, of a domain with vPCI. */
struct vgic_msi {
    struct rvgic_msi *model;
    /* Of a guest's: its ITS in the host, and where it reaches that as whom. */
    paddr_t its_doorbell, doorbell;
    uint32_t devid;
    /* What the MSI capability has. */
    bool wide, maskable;
    unsigned int events;
    /* The table of MSI-X, if it has entries, and as it was mapped. */
    unsigned int bar, entries;
    uint64_t offset;
    paddr_t table_at;
    bool silent;        /* Its entries have been masked, or are about to be */
    void __iomem *table;
};

/*
 * With both capabilities disabled: it keeps nothing of whoever has had it.
 * -ENXIO: its table cannot be reached.
 */
int rvgic_silence(struct pci_dev *pdev);
void rvgic_find_table(const struct pci_dev *pdev, struct vgic_msi *msi);
void rvgic_unmap_table(struct vgic_msi *msi);

/*
 * By which of the host's ITSes its messages go, and as whose. And how the devices
 * of a domain reach ITS number n.
 */
int rvgic_find_host_its(const struct pci_dev *pdev, unsigned int *n,
                        paddr_t *doorbell, uint32_t *devid);
int rvgic_map_its_page(struct domain *d, unsigned int n, paddr_t its_doorbell,
                       paddr_t *doorbell);

#endif /* RVGIC_VPCI_H */

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
