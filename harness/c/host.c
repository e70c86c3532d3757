/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The machine: its GIC, its CPUs' masks and Xen's heap, as it is powered up.
 */

#include <stdlib.h>

#include "half.h"

struct mock_machine mock_host;

#ifdef CONFIG_GICV3
static struct rdist_region regions[MOCK_CPUS];
#endif

const bool acpi_disabled = true;
const struct dt_device_node *dt_interrupt_controller;

enum gic_version gic_hw_version(void) { return mock_host.version == 3 ? GIC_V3 : GIC_V2; }
unsigned int gic_number_lines(void) { return NR_LOCAL_IRQS + mock_host.spis; }
unsigned int gic_number_espis(void) { return mock_host.espis; }
unsigned int gic_get_nr_lrs(void) { return mock_host.lrs; }

static cpumask_t masks[MOCK_CPUS];
cpumask_t cpu_online_map;

const cpumask_t *cpumask_of(unsigned int cpu)
{
    return &masks[cpu % MOCK_CPUS];
}

int MOCK_NAME(dt_device_get_address, dt_device_get_paddr)(
    const struct dt_device_node *node, unsigned int index, paddr_t *addr, paddr_t *size)
{
    const paddr_t frames[] = {
        mock_host.gicd, mock_host.frames.gicc, mock_host.frames.gich, mock_host.frames.gicv
    };

    if ( index >= ARRAY_SIZE(frames) )
        return -EINVAL;
    *addr = frames[index];
    if ( size )
        *size = index ? mock_host.frames.size : SZ_4K;

    return 0;
}

/* Of GICH, and never read: the mock's registers are reached through calls. */
void *ioremap_nocache(paddr_t addr, size_t len)
{
    static char frame[PAGE_SIZE];

    return addr == mock_host.frames.gich && len <= sizeof(frame) ? frame : NULL;
}

void *alloc_xenheap_pages(unsigned int order, unsigned int memflags)
{
    return aligned_alloc(PAGE_SIZE, (size_t)PAGE_SIZE << order);
}

unsigned int get_order_from_bytes(paddr_t size)
{
    unsigned int order = 0;

    while ( ((paddr_t)PAGE_SIZE << order) < size )
        order++;

    return order;
}

/* Powers the machine up. */
void mock_power_on(const struct mock_machine *machine)
{
    const struct mock_cpu_frames *frames = &machine->frames;
    unsigned int i;

    for ( i = 0; i < MOCK_CPUS; i++ )
        masks[i].bits[i / BITS_PER_LONG] = BIT_IN_WORD(i);

    memset(&cpu_online_map, 0, sizeof(cpu_online_map));
    for ( i = 0; i < machine->cpus; i++ )
        cpumask_set_cpu(i, &cpu_online_map);

    mock_host = *machine;
    mock_host.spis = min(mock_host.spis, (unsigned int)MAX_SPIS);
    mock_host.espis = min(mock_host.espis, MAX_ESPIS);
    mock_host.nr_regions = min(mock_host.nr_regions, (unsigned int)MOCK_CPUS);

    mock_hwirq_power_on();

#ifdef CONFIG_GICV3
    for ( i = 0; i < mock_host.nr_regions; i++ )
        regions[i] = (struct rdist_region){
            .base = mock_host.regions[i].base,
            .size = mock_host.regions[i].redistributors * GICV3_GICR_SIZE,
        };
    if ( mock_host.version == 3 )
        vgic_v3_setup_hw(mock_host.gicd, mock_host.nr_regions, regions, 16);
#endif
    mock_its_power_on(&mock_host);
    if ( frames->size )
        vgic_v2_setup_hw(mock_host.gicd, frames->gicc, frames->size, frames->gicv,
                         frames->size == SZ_128K ? 0xf000 : 0);
}
