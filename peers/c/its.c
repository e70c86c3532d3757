/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The host's ITSes, for the old C vGIC: devices that are mapped, with the
 * interrupt and the LPI of each of their events. An event of a device goes
 * straight to the guest; there are no LPIs of the host in between.
 */

#include "mock.h"

#ifdef CONFIG_HAS_ITS

#include <asm/gic_v3_its.h>

#define DEVICE_BITS 16
#define EVENT_BITS 16

struct list_head host_its_list = LIST_HEAD_INIT(host_its_list);

void mock_set_itses(unsigned int count)
{
    static struct host_its itses[8];
    unsigned int i;

    INIT_LIST_HEAD(&host_its_list);
    for ( i = 0; i < min(count, (unsigned int)ARRAY_SIZE(itses)); i++ )
    {
        itses[i] = (struct host_its){
            .addr = i ? 0x4100000000ULL + i * GICV3_ITS_SIZE : 0x08080000,
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
    unsigned int events;
    struct { struct pending_irq irq; uint32_t lpi; } *table;
};

/* The link to a device, or to where one would go. Under its_devices_lock. */
static struct its_device **find(struct domain *d, paddr_t doorbell, uint32_t id)
{
    struct its_device **link = &d->arch.vgic.its_devices.first;

    while ( *link && ((*link)->doorbell != doorbell || (*link)->id != id) )
        link = &(*link)->next;

    return link;
}

static void destroy(struct its_device *device)
{
    xfree(device->table);
    xfree(device);
}

static struct its_device *create(paddr_t doorbell, uint32_t id, unsigned int events)
{
    struct its_device *device = xzalloc(struct its_device);

    if ( !device )
        return NULL;
    device->doorbell = doorbell;
    device->id = id;
    device->events = events;
    device->table = _xzalloc(sizeof(*device->table) * events, _Alignof(struct pending_irq));
    if ( !device->table )
    {
        xfree(device);
        return NULL;
    }

    return device;
}

int gicv3_its_map_guest_device(struct domain *d, paddr_t host_doorbell, uint32_t host_devid,
                               paddr_t guest_doorbell, uint32_t guest_devid,
                               uint64_t nr_events, bool valid)
{
    unsigned int events = nr_events <= LPI_BLOCK ? LPI_BLOCK : 1U << fls(nr_events - 1);
    struct its_device **link, *device;
    int rc = 0;

    if ( host_devid >> DEVICE_BITS || nr_events > 1U << EVENT_BITS || events >> EVENT_BITS )
        return -EINVAL;

    spin_lock(&d->arch.vgic.its_devices_lock);
    link = find(d, guest_doorbell, guest_devid);
    device = *link;
    if ( device && valid )
        rc = -EBUSY;
    else if ( device )
    {
        *link = device->next;
        destroy(device);
    }
    else if ( !valid )
        rc = -ENOENT;
    else
    {
        *link = create(guest_doorbell, guest_devid, events);
        rc = *link ? 0 : -ENOMEM;
    }
    spin_unlock(&d->arch.vgic.its_devices_lock);

    return rc;
}

/* The interrupt of an event, after setting its LPI if there is a new one. */
static struct pending_irq *event(struct domain *d, paddr_t doorbell, uint32_t id,
                                 uint32_t number, const uint32_t *new_lpi, uint32_t *lpi)
{
    struct pending_irq *irq = NULL;
    struct its_device *device;

    spin_lock(&d->arch.vgic.its_devices_lock);
    device = *find(d, doorbell, id);
    if ( device && number < device->events )
    {
        irq = &device->table[number].irq;
        if ( new_lpi )
            device->table[number].lpi = *new_lpi;
        if ( lpi )
            *lpi = device->table[number].lpi;
    }
    spin_unlock(&d->arch.vgic.its_devices_lock);

    return irq;
}

struct pending_irq *gicv3_its_get_event_pending_irq(struct domain *d, paddr_t doorbell,
                                                    uint32_t devid, uint32_t eventid)
{
    return event(d, doorbell, devid, eventid, NULL, NULL);
}

struct pending_irq *gicv3_assign_guest_event(struct domain *d, paddr_t doorbell,
                                             uint32_t devid, uint32_t eventid, uint32_t lpi)
{
    return event(d, doorbell, devid, eventid, &lpi, NULL);
}

int gicv3_remove_guest_event(struct domain *d, paddr_t doorbell, uint32_t devid,
                             uint32_t eventid)
{
    const uint32_t none = INVALID_LPI;

    return event(d, doorbell, devid, eventid, &none, NULL) ? 0 : -EINVAL;
}

void vgic_vcpu_inject_lpi(struct domain *d, unsigned int lpi)
{
    struct pending_irq *irq = irq_to_pending(d->vcpu[0], lpi);
    unsigned int id = irq ? read_atomic(&irq->lpi_vcpu_id) : INVALID_VCPU_ID;

    if ( id < d->max_vcpus )
        vgic_inject_irq(d, d->vcpu[id], lpi, true);
}

/* A device writes the number of an event to the doorbell of an ITS. */
void mock_send_msi(struct domain *d, unsigned int its, uint32_t device, uint32_t number)
{
    uint32_t lpi = INVALID_LPI;
    struct host_its *host;

    list_for_each_entry ( host, &host_its_list, entry )
        if ( !its-- )
            event(d, host->addr + ITS_DOORBELL_OFFSET, device, number, NULL, &lpi);
    if ( lpi != INVALID_LPI )
        vgic_vcpu_inject_lpi(d, lpi);
}

#endif /* CONFIG_HAS_ITS */
