/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A PCI function of the host whose messages are somebody's: its MSI capability, its
 * MSI-X table, and the host's ITS that it writes to.
 */

#include <xen/device_tree.h>
#include <xen/errno.h>
#include <xen/lib.h>
#include <xen/pci.h>
#include <xen/sched.h>
#include <xen/vmap.h>
#include <xen/vpci.h>

#include <asm/gic_v3_its.h>
#include <asm/io.h>
#include <asm/msi.h>
#include <asm/p2m.h>
#include <asm/vgic.h>

#include "vpci.h"

/* The function **************************************************************/

/* Where the table is, if it is where one can be: else the function has none. */
void rvgic_find_table(const struct pci_dev *pdev, struct vgic_msi *msi)
{
    const struct vpci_bar *bar;
    unsigned int where;

    if ( !pdev->msix_pos )
        return;

    where = pci_conf_read32(pdev->sbdf, msix_table_offset_reg(pdev->msix_pos));
    msi->bar = where & PCI_MSIX_BIRMASK;
    msi->offset = where & ~PCI_MSIX_BIRMASK;
    if ( msi->bar >= PCI_HEADER_NORMAL_NR_BARS )
        return;

    bar = &pdev->vpci->header.bars[msi->bar];
    if ( (bar->type == VPCI_BAR_MEM32 || bar->type == VPCI_BAR_MEM64_LO) &&
         msi->offset + pdev->msix->nr_entries * PCI_MSIX_ENTRY_SIZE <= bar->size )
        msi->entries = pdev->msix->nr_entries;
}

void rvgic_unmap_table(struct vgic_msi *msi)
{
    if ( msi->table )
        iounmap(msi->table);
    msi->table = NULL;
}

/* None sends anything before it is set up. */
static void mask_all(void __iomem *table, unsigned int entries)
{
    const void __iomem *first = table;

    for ( ; entries--; table += PCI_MSIX_ENTRY_SIZE )
    {
        writel(PCI_MSIX_VECTOR_BITMASK,
               table + PCI_MSIX_ENTRY_VECTOR_CTRL_OFFSET);
        writel(0, table + PCI_MSIX_ENTRY_LOWER_ADDR_OFFSET);
        writel(0, table + PCI_MSIX_ENTRY_UPPER_ADDR_OFFSET);
        writel(0, table + PCI_MSIX_ENTRY_DATA_OFFSET);
    }
    /* All of that has arrived after this. */
    readl(first);
}

/*
 * Its table; NULL: it cannot be reached. What is not where the host bridge decodes
 * PCI memory is something else, and is left alone. A function whose memory is not
 * decoded has no table either. That of a guest is where the host has put it, and
 * is decoded from now on, until the guest writes its command register: off is
 * what has been unmapped, and what the guest reads there. It may have thousands
 * of entries written in one trap.
 */
static void __iomem *open_table(const struct pci_dev *pdev)
{
    struct vgic_msi *msi = pdev->arch.msi;
    uint16_t command = PCI_COMMAND_MEMORY;
    paddr_t at;

    if ( !msi->entries )
        return NULL;

    at = pdev->vpci->header.bars[msi->bar].addr + msi->offset;
    if ( msi->table && msi->table_at != at )
        rvgic_unmap_table(msi);
    if ( !msi->table &&
         !pci_check_bar(pdev, maddr_to_mfn(at),
                        maddr_to_mfn(at + msi->entries * PCI_MSIX_ENTRY_SIZE -
                                     1)) )
    {
        printk(XENLOG_G_WARNING "%pp: its MSI-X table is not in PCI memory\n",
               &pdev->sbdf);
        return NULL;
    }

    if ( !pdev->vpci->header.bars_mapped )
        command = pci_conf_read16(pdev->sbdf, PCI_COMMAND);
    if ( !(command & PCI_COMMAND_MEMORY) )
    {
        if ( rvgic_msi_is_direct(pdev->domain) )
        {
            gprintk(XENLOG_WARNING,
                    "%pp: memory is not decoded: MSI-X is not set up\n",
                    &pdev->sbdf);
            return NULL;
        }
        pci_conf_write16(pdev->sbdf, PCI_COMMAND, command | PCI_COMMAND_MEMORY);
    }

    if ( !msi->table )
    {
        msi->table = ioremap_nocache(at, msi->entries * PCI_MSIX_ENTRY_SIZE);
        msi->table_at = at;
        /* It may have been somebody's, who has not masked all. */
        if ( msi->table && !msi->silent )
            mask_all(msi->table, msi->entries);
        msi->silent = msi->silent || msi->table;
    }

    return msi->table;
}

int rvgic_msi_host_write_entry(struct pci_dev *pdev, uint32_t entry,
                               uint64_t address, uint32_t data)
{
    void __iomem *table = open_table(pdev);

    if ( table && entry < pdev->arch.msi->entries )
    {
        void __iomem *at = table + entry * PCI_MSIX_ENTRY_SIZE;

        writel(address, at + PCI_MSIX_ENTRY_LOWER_ADDR_OFFSET);
        writel(address >> 32, at + PCI_MSIX_ENTRY_UPPER_ADDR_OFFSET);
        writel(data, at + PCI_MSIX_ENTRY_DATA_OFFSET);
    }

    return table ? 0 : -ENXIO;
}

void rvgic_msi_host_mask_entry(struct pci_dev *pdev, uint32_t entry,
                               bool masked)
{
    void __iomem *table = open_table(pdev);

    if ( table && entry < pdev->arch.msi->entries )
    {
        void __iomem *control = table + entry * PCI_MSIX_ENTRY_SIZE +
                                PCI_MSIX_ENTRY_VECTOR_CTRL_OFFSET;

        writel(masked ? PCI_MSIX_VECTOR_BITMASK : 0, control);
        /* Who has masked it is sent nothing after that. */
        readl(control);
    }
}

void rvgic_msi_host_write_msi(struct pci_dev *pdev, uint64_t address,
                              uint32_t data)
{
    bool wide = pdev->arch.msi->wide;

    pci_conf_write32(pdev->sbdf, msi_lower_address_reg(pdev->msi_pos), address);
    if ( wide )
        pci_conf_write32(pdev->sbdf, msi_upper_address_reg(pdev->msi_pos),
                         address >> 32);
    pci_conf_write16(pdev->sbdf, msi_data_reg(pdev->msi_pos, wide), data);
}

bool rvgic_msi_host_mask_msi(struct pci_dev *pdev, uint32_t vector,
                             bool masked)
{
    const struct vgic_msi *msi = pdev->arch.msi;
    unsigned int reg = msi_mask_bits_reg(pdev->msi_pos, msi->wide);
    uint32_t mask;

    if ( !msi->maskable )
        return false;

    mask = pci_conf_read32(pdev->sbdf, reg) & ~(1U << vector);
    pci_conf_write32(pdev->sbdf, reg, masked ? mask | (1U << vector) : mask);

    return true;
}

int rvgic_silence(struct pci_dev *pdev)
{
    struct vgic_msi *msi = pdev->arch.msi;
    void __iomem *table;

    /* All of it is masked here, whoever had it. */
    msi->silent = true;
    table = open_table(pdev);
    if ( table )
        mask_all(table, msi->entries);

    if ( msi->entries && !table )
        return -ENXIO;

    if ( !pdev->msi_pos )
        return 0;

    /* As after a reset. */
    if ( msi->maskable )
        pci_conf_write32(pdev->sbdf,
                         msi_mask_bits_reg(pdev->msi_pos, msi->wide),
                         0);
    rvgic_msi_host_write_msi(pdev, 0, 0);

    return 0;
}

/* Its host ****************************************************************/

/*
 * What the device tree says of its messages: by which ITS they go, and with what
 * DeviceID. Without a map, that is the Requester ID.
 */
int rvgic_find_host_its(const struct pci_dev *pdev, unsigned int *n,
                        paddr_t *doorbell, uint32_t *devid)
{
    const struct dt_device_node *bridge = pci_find_host_bridge_node(pdev);
    const struct dt_device_node *parent;
    struct dt_device_node *target = NULL;
    const struct host_its *its;

    if ( !bridge )
        return -ENODEV;

    *devid = pdev->sbdf.bdf;
    if ( dt_find_property(bridge, "msi-map", NULL) )
    {
        int rc = dt_map_id(bridge, pdev->sbdf.bdf, "msi-map", "msi-map-mask",
                           &target, devid);

        if ( rc )
            return rc;
        parent = target;
    }
    else
        parent = dt_parse_phandle(bridge, "msi-parent", 0);

    *n = 0;
    list_for_each_entry ( its, &host_its_list, entry )
    {
        if ( parent && its->dt_node == parent )
        {
            *doorbell = its->addr + ITS_DOORBELL_OFFSET;
            return 0;
        }
        ++*n;
    }

    return -ENODEV;
}

/*
 * A device writes to the host's ITS, and the SMMU goes by the tables of the
 * domain: they have a page for each ITS that its devices take. The domain's vCPUs
 * reach it, too, and what they write has no DeviceID of a device.
 */
int rvgic_map_its_page(struct domain *d, unsigned int n, paddr_t its_doorbell,
                       paddr_t *doorbell)
{
    paddr_t page = GUEST_MSI_DOORBELLS_BASE + n * PAGE_SIZE;

    if ( page >= GUEST_MSI_DOORBELLS_BASE + GUEST_MSI_DOORBELLS_SIZE )
        return -ENOSPC;

    *doorbell = page + (its_doorbell & ~PAGE_MASK);

    return map_mmio_regions(d, gaddr_to_gfn(page), 1,
                            maddr_to_mfn(its_doorbell));
}

int rvgic_msi_host_map(struct pci_dev *pdev, uint32_t events,
                       uint64_t *doorbell)
{
    const struct vgic_msi *msi = pdev->arch.msi;

    *doorbell = msi->doorbell;

    return gicv3_its_assign_device(pdev->domain, msi->its_doorbell, msi->devid,
                                   pdev->vpci->guest_sbdf.sbdf, events);
}

void rvgic_msi_host_unmap(struct pci_dev *pdev)
{
    const struct vgic_msi *msi = pdev->arch.msi;
    int rc = gicv3_its_deassign_device(pdev->domain, msi->its_doorbell,
                                       msi->devid,
                                       pdev->vpci->guest_sbdf.sbdf);

    if ( rc )
        printk(XENLOG_ERR
               "%pp: the host's ITS does not let go of it: nobody can have its messages (%d)\n",
               &pdev->sbdf, rc);
}

static int set_message(struct pci_dev *pdev, uint32_t event,
                       const uint32_t *data)
{
    return gicv3_its_set_message(pdev->domain, pdev->arch.msi->its_doorbell,
                                 pdev->vpci->guest_sbdf.sbdf, event, data);
}

int rvgic_msi_host_bind(struct pci_dev *pdev, uint32_t event, uint32_t device,
                        uint32_t data)
{
    /* It is mapped as that. */
    ASSERT(device == pdev->vpci->guest_sbdf.sbdf);

    return set_message(pdev, event, &data);
}

void rvgic_msi_host_unbind(struct pci_dev *pdev, uint32_t event)
{
    struct domain *d = pdev->domain;

    set_message(pdev, event, NULL);
    /* What a storm keeps in the host is not for whoever is bound next. */
    rvgic_clear_lpi(d, pdev->arch.msi->its_doorbell,
                    pdev->vpci->guest_sbdf.sbdf, event);
}

/* Storms *******************************************************************/

static void apply_held(struct pci_dev *pdev)
{
    struct domain *d = pdev->domain;
    const struct vgic_msi *msi = pdev->arch.msi;
    uint32_t first_lpi, changed, held;
    unsigned int event, n;

    for ( event = 0; event < msi->events; event += LPI_BLOCK )
    {
        first_lpi = gicv3_its_first_lpi(d, msi->its_doorbell,
                                        pdev->vpci->guest_sbdf.sbdf, event);
        changed = rvgic_take_changed(d, first_lpi, &held);
        if ( !changed )
            continue;

        spin_lock(&pdev->vpci->lock);
        for ( n = 0; n < LPI_BLOCK && event + n < msi->events; n++ )
            if ( changed & (1U << n) )
                rvgic_lpi_kept(d, first_lpi + n,
                               rvgic_msi_keep(msi->model, event + n,
                                              held & (1U << n)));
        spin_unlock(&pdev->vpci->lock);
    }
}

void rvgic_apply_held(struct domain *d)
{
    struct pci_dev *pdev;

    read_lock(&d->pci_lock);
    for_each_pdev ( d, pdev )
        if ( pdev->arch.msi )
            apply_held(pdev);
    read_unlock(&d->pci_lock);
}

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
