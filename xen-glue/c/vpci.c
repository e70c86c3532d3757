/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Messages of the host's PCI functions: what Xen's vPCI asks when somebody
 * writes to a capability or an MSI-X table. What that means is the Rust half's,
 * see docs/msi.md; the function itself is in function.c.
 */

#include <xen/errno.h>
#include <xen/lib.h>
#include <xen/pci.h>
#include <xen/sched.h>
#include <xen/softirq.h>
#include <xen/vpci.h>
#include <xen/xmalloc.h>

#include <asm/gic_v3_its.h>
#include <asm/msi.h>
#include <asm/vgic.h>

#include "vpci.h"

/* Whose it is *************************************************************/

/* Vectors of MSI, or entries of MSI-X: whichever are more. */
static unsigned int events(const struct pci_dev *pdev)
{
    unsigned int vectors = pdev->msi_pos ? pdev->msi_maxvec : 0;
    unsigned int entries = pdev->msix_pos ? pdev->msix->nr_entries : 0;

    return max(vectors, entries);
}

/* -ENODEV: the guest has the function without its messages. */
static int prepare_host(const struct pci_dev *pdev, struct vgic_msi *msi)
{
    struct domain *d = pdev->domain;
    unsigned int n;
    int rc = rvgic_find_host_its(pdev, &n, &msi->its_doorbell, &msi->devid);

    if ( rc )
    {
        printk(XENLOG_G_WARNING
               "%pd: %pp sends no messages: the host has no ITS for them (%d)\n",
               d, &pdev->sbdf, rc);
        return -ENODEV;
    }

    /* Where the page would be, the host may have something else. */
    if ( domain_use_host_layout(d) )
    {
        printk(XENLOG_G_WARNING
               "%pd: %pp sends no messages to a domain with the host's layout\n",
               d, &pdev->sbdf);
        return -ENODEV;
    }

    rc = rvgic_map_its_page(d, n, msi->its_doorbell, &msi->doorbell);

    return rc ?: rvgic_look_for_strays(d) ?: rvgic_watch_lpis(d);
}

static void forget(struct pci_dev *pdev, struct vgic_msi *msi)
{
    rvgic_unmap_table(msi);
    xfree(msi);
    pdev->arch.msi = NULL;
}

static struct vgic_msi *describe(const struct pci_dev *pdev)
{
    struct vgic_msi *msi = xzalloc(struct vgic_msi);
    uint16_t control;

    if ( !msi )
        return NULL;

    msi->events = events(pdev);
    if ( pdev->msi_pos )
    {
        control = pci_conf_read16(pdev->sbdf, msi_control_reg(pdev->msi_pos));
        msi->wide = is_64bit_address(control);
        msi->maskable = is_mask_bit_support(control);
    }
    rvgic_find_table(pdev, msi);

    return msi;
}

int vpci_arch_assign_device(struct pci_dev *pdev)
{
    struct domain *d = pdev->domain;
    bool direct = rvgic_msi_is_direct(d);
    struct vgic_msi *msi;
    int rc = 0;

    /* Whoever had it may have left it enabled, and this guest may not see that. */
    if ( !direct )
        pci_cleanup_msi(pdev);

    /* What nobody would take is not offered. */
    if ( !events(pdev) || (!direct && !rvgic_has_msi(d)) )
        return 0;

    msi = describe(pdev);
    if ( !msi )
        return -ENOMEM;

    pdev->arch.msi = msi;
    if ( !direct )
        rc = prepare_host(pdev, msi);

    if ( !rc && !direct )
        rc = rvgic_silence(pdev);
    if ( !rc )
    {
        rc = rvgic_msi_attach(d, pdev, pdev->vpci->guest_sbdf.sbdf,
                              msi->events, &msi->model);
        if ( !rc )
        {
            printk(XENLOG_G_INFO
                   "rust-vgic: %pd: %pp sends up to %u messages\n",
                   d, &pdev->sbdf, msi->events);
            return 0;
        }
    }

    forget(pdev, msi);

    return rc == -ENODEV ? 0 : rc;
}

void vpci_arch_deassign_device(struct pci_dev *pdev)
{
    struct vgic_msi *msi = pdev->arch.msi;

    if ( !msi )
        return;

    pci_cleanup_msi(pdev);
    rvgic_silence(pdev);
    rvgic_msi_detach(msi->model);
    forget(pdev, msi);
}

bool vpci_msi_arch_possible(const struct pci_dev *pdev)
{
    return pdev->arch.msi;
}

/* MSI *********************************************************************/

int vpci_msi_arch_enable(struct vpci_msi *msi, const struct pci_dev *pdev,
                         unsigned int vectors)
{
    return rvgic_msi_enable(pdev->arch.msi->model, vectors, msi->address,
                            msi->data, msi->mask);
}

void vpci_msi_arch_disable(struct vpci_msi *msi, const struct pci_dev *pdev)
{
    rvgic_msi_disable(pdev->arch.msi->model);
}

void vpci_msi_arch_update(struct vpci_msi *msi, const struct pci_dev *pdev)
{
    int rc = rvgic_msi_update(pdev->arch.msi->model, msi->address, msi->data);

    if ( rc )
        gprintk(XENLOG_WARNING, "%pp: MSI to %#lx is not sent: %d\n",
                &pdev->sbdf, (unsigned long)msi->address, rc);
}

void vpci_msi_arch_mask(struct vpci_msi *msi, const struct pci_dev *pdev,
                        unsigned int entry, bool mask)
{
    rvgic_msi_mask(pdev->arch.msi->model, entry, mask);
}

void vpci_msi_arch_init(struct vpci_msi *msi)
{
}

void vpci_msi_arch_print(const struct vpci_msi *msi)
{
    printk("  address %#lx data %#x\n", (unsigned long)msi->address, msi->data);
}

/* MSI-X *******************************************************************/

static unsigned int entry_nr(const struct pci_dev *pdev,
                             const struct vpci_msix_entry *entry)
{
    return vmsix_entry_nr(pdev->vpci->msix, entry);
}

int vpci_msix_arch_enable_entry(struct vpci_msix_entry *entry,
                                const struct pci_dev *pdev, paddr_t table_base)
{
    return rvgic_msix_enable(pdev->arch.msi->model, entry_nr(pdev, entry),
                             entry->addr, entry->data, entry->masked);
}

int vpci_msix_arch_disable_entry(struct vpci_msix_entry *entry,
                                 const struct pci_dev *pdev)
{
    return rvgic_msix_disable(pdev->arch.msi->model, entry_nr(pdev, entry));
}

void vpci_msix_arch_mask_entry(struct vpci_msix_entry *entry,
                               const struct pci_dev *pdev, bool mask)
{
    rvgic_msix_mask(pdev->arch.msi->model, entry_nr(pdev, entry), mask);
}

void vpci_msix_arch_init_entry(struct vpci_msix_entry *entry)
{
}

/* Who comes back with an error has no lock any more. */
int vpci_msix_arch_print(const struct vpci_msix *msix)
{
    const struct pci_dev *pdev = msix->pdev;
    struct domain *d = pdev->domain;
    pci_sbdf_t sbdf = pdev->sbdf;
    unsigned int i;

    for ( i = 0; i < msix->max_entries; i++ )
    {
        const struct vpci_msix_entry *entry = &msix->entries[i];

        printk("%6u address %#lx data %#x%s%s\n", i,
               (unsigned long)entry->addr, entry->data,
               entry->masked ? " masked" : "",
               entry->updated ? " updated" : "");

        if ( (i + 1) % 64 )
            continue;

        spin_unlock(&pdev->vpci->lock);
        read_unlock(&d->pci_lock);
        process_pending_softirqs();
        if ( !read_trylock(&d->pci_lock) )
            return -EBUSY;
        if ( pci_get_pdev(d, sbdf) == pdev && pdev->vpci &&
             spin_trylock(&pdev->vpci->lock) )
        {
            if ( pdev->vpci->msix == msix )
                continue;
            spin_unlock(&pdev->vpci->lock);
        }
        read_unlock(&d->pci_lock);

        return -EBUSY;
    }

    return 0;
}

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
