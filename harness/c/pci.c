/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The host's side of PCI functions that domains own: the ITS that takes their
 * messages, the pages through which they reach it, and what the vGIC writes into
 * their registers. What a function is, and what its guest sees of it, is in Rust.
 */

#include <stdlib.h>

#include "half.h"

#ifndef MOCK_PEER

#include <asm/gic_v3_its.h>

#include "glue.h"

/* From the Rust half: to the function's own registers. */
void mock_pci_write_msi(void *function, uint64_t address, uint32_t data);
bool mock_pci_mask_msi(void *function, uint32_t vector, bool masked);
void mock_pci_write_entry(void *function, uint32_t entry, uint64_t address, uint32_t data);
void mock_pci_mask_entry(void *function, uint32_t entry, bool masked);
bool mock_pci_can_keep(void *function, uint32_t event);

#define MOST_EVENTS 2048

struct pci_dev {
    struct pci_dev *next;
    /* Its owner, or NULL: then what it writes is nobody's. It may write any time. */
    struct domain *domain;
    /* Its host's ITS, and who it is for that. */
    unsigned int its;
    uint32_t devid;
    /* While it is mapped there. */
    unsigned int events, first_lpi;
    void *function;
    /* Mask bits: what the vGIC says, and which keep what a storm has to say. */
    DECLARE_BITMAP(masked, MOST_EVENTS);
    DECLARE_BITMAP(kept, MOST_EVENTS);
};

/* All there are, and their mask bits. */
static struct {
    spinlock_t lock;
    struct pci_dev *first;
} functions;

void mock_pci_alloc(void *function, unsigned int its, uint32_t devid, struct pci_dev **pdev)
{
    *pdev = calloc(1, sizeof(**pdev));
    if ( !*pdev )
        return;
    **pdev = (struct pci_dev){ .function = function, .its = its, .devid = devid };
    spin_lock(&functions.lock);
    (*pdev)->next = functions.first;
    functions.first = *pdev;
    spin_unlock(&functions.lock);
}

void mock_pci_free(struct pci_dev *pdev)
{
    struct pci_dev **link;

    if ( pdev->first_lpi )
        mock_broken("a function that goes is mapped in the host");
    spin_lock(&functions.lock);
    for ( link = &functions.first; *link != pdev; )
        link = &(*link)->next;
    *link = pdev->next;
    spin_unlock(&functions.lock);
    free(pdev);
}

void mock_pci_owner(struct pci_dev *pdev, struct domain *d)
{
    if ( pdev->first_lpi )
        mock_broken("a function that changes its owner is mapped in the host");
    spin_lock(&functions.lock);
    /* As its owner finds it. */
    memset(pdev->masked, ~0, sizeof(pdev->masked));
    memset(pdev->kept, 0, sizeof(pdev->kept));
    write_atomic(&pdev->domain, d);
    spin_unlock(&functions.lock);
}

void rvgic_msi_host_write_msi(struct pci_dev *pdev, uint64_t address, uint32_t data)
{
    mock_pci_write_msi(pdev->function, address, data);
}

/* Under the lock. What is kept stays masked. */
static bool write_mask(const struct pci_dev *pdev, uint32_t event, bool msix)
{
    bool masked = test_bit(event, pdev->masked) || test_bit(event, pdev->kept);

    if ( !msix )
        return mock_pci_mask_msi(pdev->function, event, masked);
    mock_pci_mask_entry(pdev->function, event, masked);

    return true;
}

static bool set_mask(struct pci_dev *pdev, uint32_t event, bool masked, bool msix)
{
    bool done;

    spin_lock(&functions.lock);
    if ( masked )
        set_bit(event, pdev->masked);
    else
        clear_bit(event, pdev->masked);
    done = write_mask(pdev, event, msix);
    spin_unlock(&functions.lock);

    return done;
}

bool rvgic_msi_host_mask_msi(struct pci_dev *pdev, uint32_t vector, bool masked)
{
    return set_mask(pdev, vector, masked, false);
}

void rvgic_msi_host_mask_entry(struct pci_dev *pdev, uint32_t entry, bool masked)
{
    set_mask(pdev, entry, masked, true);
}

/* Calls of the host left until one fails; negative: none does. */
static int until_failure = -1;

void mock_pci_fail(int nth)
{
    __atomic_store_n(&until_failure, nth, __ATOMIC_SEQ_CST);
}

static bool fails(void)
{
    return __atomic_load_n(&until_failure, __ATOMIC_SEQ_CST) >= 0 &&
           !__atomic_fetch_sub(&until_failure, 1, __ATOMIC_SEQ_CST);
}

int rvgic_msi_host_write_entry(struct pci_dev *pdev, uint32_t entry, uint64_t address,
                               uint32_t data)
{
    if ( fails() )
        return -ENOMEM;
    mock_pci_write_entry(pdev->function, entry, address, data);

    return 0;
}

#ifdef CONFIG_HAS_ITS

/* Where a domain's devices see the host's ITS number n, beside all that it has. */
#define DOORBELLS 0x08100000ULL

static paddr_t doorbell(const struct domain *d, unsigned int n)
{
    paddr_t base;

    if ( rvgic_msi_is_direct(d) && rvgic_host_its_base(n, &base) )
        return base + ITS_DOORBELL_OFFSET;

    return DOORBELLS + n * SZ_4K + ITS_DOORBELL_OFFSET % SZ_4K;
}

int rvgic_msi_host_map(struct pci_dev *pdev, uint32_t events, uint64_t *at)
{
    struct domain *d = pdev->domain;
    unsigned int first_lpi;
    int rc;

    ASSERT(local_irq_is_enabled());
    if ( pdev->first_lpi )
        mock_broken("a function is mapped twice");
    if ( fails() )
        return -ENOSPC;
    rc = d->arch.vgic.strays ? 0 : rvgic_look_for_strays(d);
    if ( !rc )
        rc = rvgic_watch_lpis(d);
    if ( rc )
        return rc;
    *at = doorbell(d, pdev->its);
    rc = mock_its_map_function(d, pdev->devid, *at, events, &first_lpi);
    if ( rc )
        return rc;
    /* A softirq may look for it on another CPU. */
    spin_lock(&functions.lock);
    pdev->events = events;
    pdev->first_lpi = first_lpi;
    spin_unlock(&functions.lock);

    return 0;
}

void rvgic_msi_host_unmap(struct pci_dev *pdev)
{
    ASSERT(local_irq_is_enabled());
    if ( !pdev->first_lpi )
        mock_broken("a function is unmapped twice");
    spin_lock(&functions.lock);
    pdev->first_lpi = 0;
    spin_unlock(&functions.lock);
    mock_its_unmap_function(pdev->domain, pdev->devid, doorbell(pdev->domain, pdev->its));
}

int rvgic_msi_host_bind(struct pci_dev *pdev, uint32_t event, uint32_t device, uint32_t data)
{
    ASSERT(local_irq_is_enabled());
    if ( !pdev->first_lpi || event >= pdev->events )
        mock_broken("an event is bound that a function does not have");
    if ( fails() )
        return -EBUSY;
    mock_its_message(pdev->first_lpi + event, true, device, data);

    return 0;
}

void rvgic_msi_host_unbind(struct pci_dev *pdev, uint32_t event)
{
    ASSERT(local_irq_is_enabled());
    if ( !pdev->first_lpi || event >= pdev->events )
        mock_broken("an event is unbound that a function does not have");
    mock_its_message(pdev->first_lpi + event, false, 0, 0);
}

/* Under the lock of the functions. Does it keep it now? */
static bool keep(struct pci_dev *pdev, uint32_t event, bool held)
{
    bool kept = held && mock_pci_can_keep(pdev->function, event);

    if ( kept )
        set_bit(event, pdev->kept);
    else
        clear_bit(event, pdev->kept);
    write_mask(pdev, event, true);
    if ( event < 32 )
        write_mask(pdev, event, false);

    return kept;
}

static void apply(struct domain *d, struct pci_dev *pdev)
{
    uint32_t event, changed, held;
    unsigned int n;

    for ( event = 0; event < pdev->events; event += LPI_BLOCK )
    {
        changed = rvgic_take_changed(d, pdev->first_lpi + event, &held);
        for ( n = 0; n < LPI_BLOCK; n++ )
            if ( changed & (1U << n) )
                rvgic_lpi_kept(d, pdev->first_lpi + event + n,
                               keep(pdev, event + n, held & (1U << n)));
    }
}

void rvgic_apply_held(struct domain *d)
{
    struct pci_dev *pdev;

    ASSERT(local_irq_is_enabled());
    spin_lock(&functions.lock);
    for ( pdev = functions.first; pdev; pdev = pdev->next )
        if ( pdev->domain == d && pdev->first_lpi )
            apply(d, pdev);
    spin_unlock(&functions.lock);
}

/* Does it keep what a storm has it not send? */
void mock_pci_kept(const struct pci_dev *pdev, uint32_t event, bool *kept)
{
    *kept = test_bit(event, pdev->kept);
}

/* What of the host is bound to its event: false, if nothing is. */
void mock_pci_bound(struct pci_dev *pdev, uint32_t event, bool *bound, uint32_t *device,
                    uint32_t *data)
{
    *bound = pdev->first_lpi && event < pdev->events &&
             gicv3_lpi_message(pdev->domain, pdev->first_lpi + event, device, data);
}

/* It writes to an address of its own: the LPI that this becomes, or 0. No CPU's. */
void mock_pci_write(struct pci_dev *pdev, uint64_t address, uint32_t data, unsigned int *lpi)
{
    struct domain *d = read_atomic(&pdev->domain);

    *lpi = INVALID_LPI;
    if ( d && address == doorbell(d, pdev->its) )
        mock_its_translate(d, pdev->devid, address, data, lpi);
}

#else

int rvgic_msi_host_map(struct pci_dev *pdev, uint32_t events, uint64_t *doorbell)
{
    return fails() ? -ENOSPC : -EOPNOTSUPP;
}

void rvgic_msi_host_unmap(struct pci_dev *pdev)
{
}

int rvgic_msi_host_bind(struct pci_dev *pdev, uint32_t event, uint32_t device, uint32_t data)
{
    return -EOPNOTSUPP;
}

void rvgic_msi_host_unbind(struct pci_dev *pdev, uint32_t event)
{
}

void mock_pci_bound(struct pci_dev *pdev, uint32_t event, bool *bound, uint32_t *device,
                    uint32_t *data)
{
    *bound = false;
}

void mock_pci_kept(const struct pci_dev *pdev, uint32_t event, bool *kept)
{
    *kept = false;
}

void mock_pci_write(struct pci_dev *pdev, uint64_t address, uint32_t data, unsigned int *lpi)
{
    *lpi = INVALID_LPI;
}

#endif /* CONFIG_HAS_ITS */

/* What Xen's vPCI and its assignment call, in their context ****************/

void mock_msi_attach(struct domain *d, struct pci_dev *pdev, uint32_t device, uint32_t events,
                     struct rvgic_msi **m, int *rc)
{
    ASSERT(local_irq_is_enabled());
    *rc = rvgic_msi_attach(d, pdev, device, events, m);
}

void mock_msi_detach(struct rvgic_msi *m)
{
    ASSERT(local_irq_is_enabled());
    rvgic_msi_detach(m);
}

void mock_msi_enable(struct rvgic_msi *m, uint32_t vectors, uint64_t address, uint32_t data,
                     uint32_t masked, int *rc)
{
    ASSERT(local_irq_is_enabled());
    *rc = rvgic_msi_enable(m, vectors, address, data, masked);
}

void mock_msi_update(struct rvgic_msi *m, uint64_t address, uint32_t data, int *rc)
{
    ASSERT(local_irq_is_enabled());
    *rc = rvgic_msi_update(m, address, data);
}

void mock_msix_enable(struct rvgic_msi *m, uint32_t entry, uint64_t address, uint32_t data,
                      bool masked, int *rc)
{
    ASSERT(local_irq_is_enabled());
    *rc = rvgic_msix_enable(m, entry, address, data, masked);
}

void mock_msix_disable(struct rvgic_msi *m, uint32_t entry, int *rc)
{
    ASSERT(local_irq_is_enabled());
    *rc = rvgic_msix_disable(m, entry);
}

#endif /* MOCK_PEER */
