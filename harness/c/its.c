/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The host's ITSes: devices that are mapped, with the physical LPI of each of
 * their events, and for each of those the domain and its LPI. Which physical
 * LPIs are pending, and at which CPU, is up to the physical GIC.
 */

#include "half.h"

#ifdef CONFIG_HAS_ITS

#include <asm/gic_v3_its.h>

#define DEVICE_BITS 16
#define EVENT_BITS 16
#define HOST_LPIS (65536 - LPI_OFFSET)

/* From the Rust half. */
void mock_phys_lpi_target(unsigned int lpi, unsigned int cpu);
void mock_phys_lpi_reset(unsigned int lpi);
void mock_phys_lpi_clear(unsigned int lpi);
void mock_phys_lpi_property(unsigned int lpi, bool enabled);
void mock_phys_lpi_invalidate(unsigned int lpi);
bool mock_phys_lpi_invalidate_here(unsigned int lpi);

struct list_head host_its_list = LIST_HEAD_INIT(host_its_list);

/* By physical LPI. Taken in hard interrupt context, too. */
static struct {
    spinlock_t lock;
    /* What it is for whoever it belongs to: an LPI, or a message of a device. */
    struct host_lpi {
        bool taken, message;
        struct domain *d;
        uint32_t virt, device, data;
    } lpis[HOST_LPIS];
} host_lpis;

static struct host_lpi *host_lpi(unsigned int lpi)
{
    return &host_lpis.lpis[lpi - LPI_OFFSET];
}

static bool refuse;

/* Has the host refuse devices from now on, or take them again. */
void mock_refuse_devices(bool on)
{
    __atomic_store_n(&refuse, on, __ATOMIC_SEQ_CST);
}

/* Commands that the host's ITSes have had. */
static unsigned long commands;

static void count_commands(unsigned int more)
{
    __atomic_fetch_add(&commands, more, __ATOMIC_RELAXED);
}

void mock_its_commands(uint64_t *count)
{
    *count = __atomic_load_n(&commands, __ATOMIC_RELAXED);
}

void mock_its_power_on(const struct mock_machine *machine)
{
    static struct host_its itses[8];
    unsigned int i;

    mock_refuse_devices(false);
    __atomic_store_n(&commands, 0, __ATOMIC_RELAXED);
    memset(host_lpis.lpis, 0, sizeof(host_lpis.lpis));
    INIT_LIST_HEAD(&host_its_list);
    for ( i = 0; i < min(machine->itses, (unsigned int)ARRAY_SIZE(itses)); i++ )
    {
        itses[i] = (struct host_its){
            .addr = machine->its_frames[i],
            .size = GICV3_ITS_SIZE,
            .devid_bits = DEVICE_BITS,
            .evid_bits = EVENT_BITS,
        };
        list_add_tail(&itses[i].entry, &host_its_list);
    }
}

struct its_device {
    struct its_device *next;
    paddr_t doorbell;
    uint32_t id;
    unsigned int events, first_lpi;
    struct pending_irq irqs[];
};

/* The link to a device, or to where one would go. Under its_devices_lock. */
static struct its_device **find(struct domain *d, paddr_t doorbell, uint32_t id)
{
    struct its_device **link = &d->arch.vgic.its_devices.first;

    while ( *link && ((*link)->doorbell != doorbell || (*link)->id != id) )
        link = &(*link)->next;

    return link;
}

/* Whose they are, block by block. Events are mapped when LPIs are taken, with INV. */
static void own_lpis(struct domain *d, unsigned int first, unsigned int count)
{
#ifndef MOCK_PEER
    unsigned int i;

    for ( i = 0; i < count; i += LPI_BLOCK )
        vgic_lpi_block(d, first + i);
    for ( i = 0; d && i < count; i++ )
    {
        mock_phys_lpi_property(first + i, true);
        mock_phys_lpi_invalidate(first + i);
    }
#endif
}

/* So many physical LPIs in a row. 0: there are none. */
static unsigned int take_lpis(struct domain *d, unsigned int count)
{
    unsigned long flags;
    unsigned int i, run = 0, first = 0;

    spin_lock_irqsave(&host_lpis.lock, flags);
    for ( i = 0; i < HOST_LPIS && run < count; i++ )
        run = host_lpis.lpis[i].taken ? 0 : run + 1;
    if ( run == count )
    {
        first = i - count + LPI_OFFSET;
        for ( i = 0; i < count; i++ )
            *host_lpi(first + i) = (struct host_lpi){ .taken = true, .d = d };
    }
    spin_unlock_irqrestore(&host_lpis.lock, flags);
    if ( first )
        own_lpis(d, first, count);

    return first;
}

static void free_lpis(unsigned int first, unsigned int count)
{
    unsigned long flags;
    unsigned int i;

    own_lpis(NULL, first, count);
    for ( i = 0; i < count; i++ )
        mock_phys_lpi_reset(first + i);
    spin_lock_irqsave(&host_lpis.lock, flags);
    memset(host_lpi(first), 0, count * sizeof(struct host_lpi));
    spin_unlock_irqrestore(&host_lpis.lock, flags);
}

static void destroy(struct its_device *device)
{
    free_lpis(device->first_lpi, device->events);
    xfree(device);
}

static struct its_device *create(struct domain *d, paddr_t doorbell, uint32_t id,
                                 unsigned int events)
{
    struct its_device *device = _xzalloc(sizeof(*device) + events * sizeof(device->irqs[0]),
                                         _Alignof(struct its_device));

    if ( !device )
        return NULL;
    device->doorbell = doorbell;
    device->id = id;
    device->events = events;
    device->first_lpi = take_lpis(d, events);
    if ( !device->first_lpi )
    {
        xfree(device);
        return NULL;
    }

    return device;
}

/* gicv3_its_release_devices(), or what of it is left. */
void mock_its_release_devices(struct domain *d)
{
    struct its_device *device;

    while ( (device = d->arch.vgic.its_devices.first) != NULL )
    {
        d->arch.vgic.its_devices.first = device->next;
        destroy(device);
    }
}

/* What of the host's ITSes a domain has is Xen's to free. */
void mock_its_release(struct domain *d)
{
    mock_iommu_release(d);
    mock_its_release_devices(d);
}

/* Of a domain that has none of the host's devices, the host's driver is to hear nothing. */
static void theirs(const struct domain *d)
{
    if ( !is_hardware_domain(d) )
        mock_broken("the host's ITS is told of a device that is not the hardware domain's");
}

int gicv3_its_map_guest_device(struct domain *d, paddr_t host_doorbell, uint32_t host_devid,
                               paddr_t guest_doorbell, uint32_t guest_devid,
                               uint64_t nr_events, bool valid)
{
    struct its_device **link, *device, *made = NULL;
    uint64_t events = LPI_BLOCK;
    int rc = 0;

    while ( events < nr_events )
        events *= 2;
    theirs(d);
    if ( host_devid >> DEVICE_BITS || events > 1UL << EVENT_BITS )
        return -EINVAL;
    ASSERT(local_irq_is_enabled());
    count_commands(1);
    if ( valid && __atomic_load_n(&refuse, __ATOMIC_SEQ_CST) )
        return -ENODEV;
    if ( valid && !(made = create(d, guest_doorbell, guest_devid, events)) )
        return -ENOMEM;

    spin_lock(&d->arch.vgic.its_devices_lock);
    link = find(d, guest_doorbell, guest_devid);
    device = *link;
    if ( device && valid )
        rc = -EBUSY;
    else if ( device )
        *link = device->next;
    else if ( !valid )
        rc = -ENOENT;
    else
        *link = made;
    spin_unlock(&d->arch.vgic.its_devices_lock);

    if ( valid && rc )
        destroy(made);
    if ( !valid && device )
        destroy(device);

    return rc;
}

/* The interrupt of an event, and its physical LPI. */
static struct pending_irq *event(struct domain *d, paddr_t doorbell, uint32_t id,
                                 uint32_t number, unsigned int *lpi)
{
    struct pending_irq *irq = NULL;
    struct its_device *device;

    spin_lock(&d->arch.vgic.its_devices_lock);
    device = *find(d, doorbell, id);
    if ( device && number < device->events )
    {
        irq = &device->irqs[number];
        *lpi = device->first_lpi + number;
    }
    spin_unlock(&d->arch.vgic.its_devices_lock);

    return irq;
}

struct pending_irq *gicv3_its_get_event_pending_irq(struct domain *d, paddr_t doorbell,
                                                    uint32_t devid, uint32_t eventid)
{
    unsigned int lpi;

    return event(d, doorbell, devid, eventid, &lpi);
}

static struct pending_irq *assign(struct domain *d, paddr_t doorbell, uint32_t devid,
                                  uint32_t eventid, uint32_t virt)
{
    unsigned long flags;
    unsigned int lpi;
    struct pending_irq *irq = event(d, doorbell, devid, eventid, &lpi);

    theirs(d);
    if ( irq )
    {
        spin_lock_irqsave(&host_lpis.lock, flags);
        host_lpi(lpi)->d = d;
        host_lpi(lpi)->virt = virt;
        spin_unlock_irqrestore(&host_lpis.lock, flags);
    }

    return irq;
}

struct pending_irq *gicv3_assign_guest_event(struct domain *d, paddr_t doorbell,
                                             uint32_t devid, uint32_t eventid, uint32_t lpi)
{
    return assign(d, doorbell, devid, eventid, lpi);
}

int gicv3_remove_guest_event(struct domain *d, paddr_t doorbell, uint32_t devid,
                             uint32_t eventid)
{
    return assign(d, doorbell, devid, eventid, INVALID_LPI) ? 0 : -EINVAL;
}

#ifndef MOCK_PEER
int gicv3_its_route_guest_event(struct domain *d, paddr_t doorbell, uint32_t devid,
                                uint32_t eventid, unsigned int cpu)
{
    unsigned int lpi;

    theirs(d);
    /* It may have to wait for the queue. */
    ASSERT(local_irq_is_enabled());
    if ( !event(d, doorbell, devid, eventid, &lpi) )
        return -ENOENT;
    /* MOVI and SYNC. */
    count_commands(2);
    mock_phys_lpi_target(lpi, cpu);

    return 0;
}

int gicv3_its_clear_guest_event(struct domain *d, paddr_t doorbell, uint32_t devid,
                                uint32_t eventid, const cpumask_t *cpus)
{
    unsigned int lpi;

    theirs(d);
    ASSERT(local_irq_is_enabled());
    if ( !event(d, doorbell, devid, eventid, &lpi) )
        return -ENOENT;
    if ( vgic_lpi_waits(d, lpi) )
    {
        /* CLEAR and SYNC. */
        count_commands(2);
        mock_phys_lpi_clear(lpi);
    }

    return 0;
}

unsigned long gicv3_lpi_count(void)
{
    return HOST_LPIS;
}

void gicv3_lpi_set_enabled(uint32_t lpi, bool on)
{
    mock_phys_lpi_property(lpi, on);
}

bool gicv3_lpi_invalidate_here(uint32_t lpi)
{
    ASSERT(!local_irq_is_enabled());

    return mock_phys_lpi_invalidate_here(lpi);
}

static unsigned int refused_commands;

/* So many times from now on an ITS takes no command, as it is busy. */
void mock_refuse_commands(unsigned int times)
{
    __atomic_store_n(&refused_commands, times, __ATOMIC_SEQ_CST);
}

static bool takes_command(void)
{
    unsigned int left = __atomic_load_n(&refused_commands, __ATOMIC_SEQ_CST);

    while ( left )
        if ( __atomic_compare_exchange_n(&refused_commands, &left, left - 1, false,
                                         __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST) )
            return false;
    count_commands(1);

    return true;
}

int gicv3_its_invalidate_lpis(struct domain *d, const cpumask_t *cpus, unsigned int max)
{
    struct its_device *device;
    unsigned int block, i;
    uint32_t stale;
    int rc = 0;

    ASSERT(local_irq_is_enabled());
    spin_lock(&d->arch.vgic.its_devices_lock);
    for ( device = d->arch.vgic.its_devices.first; device && !rc; device = device->next )
        for ( block = 0; block < device->events && !rc; block += LPI_BLOCK )
        {
            stale = vgic_take_stale_lpis(d, device->first_lpi + block);
            for ( i = 0; i < LPI_BLOCK && !rc; i++ )
                if ( stale & (1U << i) )
                {
                    if ( !max-- )
                        rc = -ERESTART;
                    else if ( !takes_command() )
                        rc = -EBUSY;
                    else
                    {
                        stale &= ~(1U << i);
                        mock_phys_lpi_invalidate(device->first_lpi + block + i);
                    }
                }
            if ( rc )
                vgic_lpis_stale(d, device->first_lpi + block, stale);
        }
    spin_unlock(&d->arch.vgic.its_devices_lock);
    for ( i = 0; i < MOCK_CPUS; i++ )
        if ( test_bit(i, cpus->bits) )
            count_commands(1);

    return rc;
}
#else
void vgic_vcpu_inject_lpi(struct domain *d, unsigned int lpi)
{
    struct pending_irq *irq = irq_to_pending(d->vcpu[0], lpi);
    unsigned int id = irq ? read_atomic(&irq->lpi_vcpu_id) : INVALID_VCPU_ID;

    if ( id < d->max_vcpus )
        vgic_inject_irq(d, d->vcpu[id], lpi, true);
}
#endif

/* A device writes the number of an event to an ITS: its LPI, or 0. No CPU's. */
void mock_translate(struct domain *d, unsigned int its, uint32_t device, uint32_t number,
                    unsigned int *lpi)
{
    struct host_its *host;

    *lpi = INVALID_LPI;
    list_for_each_entry ( host, &host_its_list, entry )
        if ( !its-- && mock_iommu_reaches(d, host->addr + ITS_DOORBELL_OFFSET) )
            event(d, host->addr + ITS_DOORBELL_OFFSET, device, number, lpi);
}

#ifndef MOCK_PEER
/* A function of the domain's is mapped: its doorbell is the domain's own of that ITS. */
int mock_its_map_function(struct domain *d, uint32_t id, paddr_t doorbell, unsigned int events,
                          unsigned int *first_lpi)
{
    struct its_device *made, **link;
    unsigned int i, count = LPI_BLOCK;

    while ( count < events )
        count *= 2;
    count_commands(1 + count);
    if ( __atomic_load_n(&refuse, __ATOMIC_SEQ_CST) || id >> DEVICE_BITS )
        return -ENODEV;
    made = create(d, doorbell, id, count);
    if ( !made )
        return -ENOMEM;
    /* Nobody has any of them yet. */
    for ( i = 0; i < count; i++ )
    {
        mock_phys_lpi_property(made->first_lpi + i, false);
        mock_phys_lpi_invalidate(made->first_lpi + i);
    }
    spin_lock(&d->arch.vgic.its_devices_lock);
    link = find(d, doorbell, id);
    if ( *link )
        mock_broken("the host's ITS has a function twice");
    made->next = *link;
    *link = made;
    spin_unlock(&d->arch.vgic.its_devices_lock);
    *first_lpi = made->first_lpi;

    return 0;
}

/* MAPD without V, and SYNC. */
void mock_its_unmap_function(struct domain *d, uint32_t id, paddr_t doorbell)
{
    struct its_device *device, **link;

    count_commands(2);
    spin_lock(&d->arch.vgic.its_devices_lock);
    link = find(d, doorbell, id);
    device = *link;
    if ( device )
        *link = device->next;
    spin_unlock(&d->arch.vgic.its_devices_lock);
    if ( device )
        destroy(device);
}

/*
 * An LPI is a message of its owner's from now on, or nothing. One that is held
 * stays so.
 */
void mock_its_message(unsigned int lpi, bool bound, uint32_t device, uint32_t data)
{
    unsigned long flags;
    bool was;

    spin_lock_irqsave(&host_lpis.lock, flags);
    was = host_lpi(lpi)->message;
    host_lpi(lpi)->message = bound;
    host_lpi(lpi)->device = device;
    host_lpi(lpi)->data = data;
    spin_unlock_irqrestore(&host_lpis.lock, flags);
    if ( was == bound )
        return;
    mock_phys_lpi_property(lpi, bound);
    mock_phys_lpi_invalidate(lpi);
    count_commands(2);
    if ( !bound )
        mock_phys_lpi_clear(lpi);
}

bool gicv3_lpi_message(const struct domain *d, uint32_t lpi, uint32_t *device, uint32_t *data)
{
    struct host_lpi entry;
    unsigned long flags;

    spin_lock_irqsave(&host_lpis.lock, flags);
    entry = *host_lpi(lpi);
    spin_unlock_irqrestore(&host_lpis.lock, flags);
    *device = entry.device;
    *data = entry.data;

    return entry.message && entry.d == d;
}

/* MOVI and SYNC. */
int gicv3_its_route_lpi(struct domain *d, uint32_t lpi, unsigned int cpu)
{
    uint32_t device, data;

    ASSERT(local_irq_is_enabled());
    if ( !gicv3_lpi_message(d, lpi, &device, &data) )
        return -ENOENT;
    count_commands(2);
    mock_phys_lpi_target(lpi, cpu);

    return 0;
}

/* A device writes to a doorbell of its owner's. */
void mock_its_translate(struct domain *d, uint32_t id, paddr_t doorbell, uint32_t number,
                        unsigned int *lpi)
{
    *lpi = INVALID_LPI;
    event(d, doorbell, id, number, lpi);
}
#endif

/* gicv3_do_LPI(), after the acknowledge. */
void mock_do_lpi(unsigned int lpi)
{
    struct host_lpi entry;

    ASSERT(!local_irq_is_enabled());
    _spin_lock(&host_lpis.lock);
    entry = *host_lpi(lpi);
    _spin_unlock(&host_lpis.lock);
#ifdef MOCK_PEER
    if ( entry.virt != INVALID_LPI )
        vgic_vcpu_inject_lpi(entry.d, entry.virt);
#else
    /* The domain that it is allocated to, whatever that has mapped. */
    if ( entry.message )
        vgic_host_message(entry.d, lpi, entry.device, entry.data);
    else if ( entry.d )
        vgic_host_lpi(entry.d, lpi, entry.virt);
#endif
}

#elif !defined(MOCK_PEER)

/* A Xen without a driver of the host's ITSes: no LPI of the hardware's comes. */
void mock_translate(struct domain *d, unsigned int its, uint32_t device, uint32_t number,
                    unsigned int *lpi)
{
    *lpi = INVALID_LPI;
}

void mock_do_lpi(unsigned int lpi)
{
    mock_broken("an LPI of the hardware's");
}

void mock_refuse_devices(bool on) { }

void mock_refuse_commands(unsigned int times) { }

void mock_its_commands(uint64_t *count)
{
    *count = 0;
}

#endif /* CONFIG_HAS_ITS */
