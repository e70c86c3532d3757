/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef MOCK_GIC_V3_ITS_H
#define MOCK_GIC_V3_ITS_H

#include "mock.h"

#define GICV3_ITS_SIZE SZ_128K
#define ITS_DOORBELL_OFFSET 0x10040
/* Physical LPIs come in blocks of this size at least. */
#define LPI_BLOCK 32

struct host_its {
    struct list_head entry;
    paddr_t addr, size;
    unsigned int devid_bits, evid_bits;
};

extern struct list_head host_its_list;

unsigned int vgic_v3_its_count(const struct domain *d);
#ifdef MOCK_PEER
void vgic_vcpu_inject_lpi(struct domain *d, unsigned int virq);
#endif

struct pending_irq;
int gicv3_its_map_guest_device(struct domain *d, paddr_t host_doorbell, uint32_t host_devid,
                               paddr_t guest_doorbell, uint32_t guest_devid,
                               uint64_t nr_events, bool valid);
struct pending_irq *gicv3_its_get_event_pending_irq(struct domain *d, paddr_t doorbell,
                                                    uint32_t devid, uint32_t eventid);
struct pending_irq *gicv3_assign_guest_event(struct domain *d, paddr_t doorbell,
                                             uint32_t devid, uint32_t eventid, uint32_t lpi);
int gicv3_remove_guest_event(struct domain *d, paddr_t doorbell, uint32_t devid,
                             uint32_t eventid);
int gicv3_its_route_guest_event(struct domain *d, paddr_t doorbell, uint32_t devid,
                                uint32_t eventid, unsigned int cpu);

/* As many as there are physical LPIs, in whole blocks. */
unsigned long gicv3_lpi_count(void);
/* Its property byte, which no redistributor reads before it is told to. */
void gicv3_lpi_set_enabled(uint32_t lpi, bool on);
/* This CPU's redistributor reads it, if it can be told without a command. */
bool gicv3_lpi_invalidate_here(uint32_t lpi);
/* INV for what is stale of the domain's, and SYNC. -ERESTART: there is more. */
int gicv3_its_invalidate_lpis(struct domain *d, const cpumask_t *cpus, unsigned int max);
/* What a host LPI is to its domain, if it is a message of one of its functions. */
bool gicv3_lpi_message(const struct domain *d, uint32_t lpi, uint32_t *device, uint32_t *data);
/* It goes to another CPU. -ENOENT: it is no message of the domain's. */
int gicv3_its_route_lpi(struct domain *d, uint32_t lpi, unsigned int cpu);
int gicv3_its_clear_guest_event(struct domain *d, paddr_t doorbell, uint32_t devid,
                                uint32_t eventid, const cpumask_t *cpus);

#endif /* MOCK_GIC_V3_ITS_H */
