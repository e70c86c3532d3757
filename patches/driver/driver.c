/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Xen's driver of the host's ITS, as the patches leave it, on a small ITS that
 * executes commands when the driver waits for them, and not before. Says what is
 * wrong, if anything, and that is its exit status.
 */

#include "driver.h"

#include SOURCE_ITS
#include SOURCE_LPI

#define EVENT_BITS 8
#define DEVICE_BITS 8
#define DOORBELL (0x8080000UL + ITS_DOORBELL_OFFSET)

static unsigned int faults;
static const char *test;

void broken(const char *what, ...)
{
    va_list args;

    va_start(args, what);
    fprintf(stderr, "%s: ", test);
    vfprintf(stderr, what, args);
    fputc('\n', stderr);
    va_end(args);
    faults++;
}

/* The machine ****************************************************************/

static struct host_its its;
static struct domain domain;

/* What the ITS has been told, by device: its ITT, and the LPIs of its events. */
static struct { void *itt; uint32_t lpis[1 << EVENT_BITS]; } mapped[1 << DEVICE_BITS];

static uint64_t creadr, cwriter;
/* It executes nothing. */
static bool stalled;
/* How often the driver has looked since its last command. */
static unsigned int looks;
static s_time_t now;

static void execute(const uint64_t *command)
{
    unsigned int device = command[0] >> 32, event = command[1] & 0xffffffff;

    switch ( command[0] & 0xff )
    {
    case GITS_CMD_MAPD:
        memset(&mapped[device], 0, sizeof(mapped[device]));
        if ( command[2] >> 63 )
            mapped[device].itt = (void *)(uintptr_t)(command[2] & GENMASK(51, 8));
        break;

    case GITS_CMD_MAPTI:
        mapped[device].lpis[event] = command[1] >> 32;
        break;
    }
}

static void work(void)
{
    while ( !stalled && creadr != cwriter )
    {
        execute(its.cmd_buf + creadr);
        creadr = (creadr + 32) % ITS_CMD_QUEUE_SZ;
    }
}

uint64_t readq_relaxed(const void *at)
{
    switch ( (uintptr_t)at )
    {
    case GITS_CREADR: return creadr;
    case GITS_CWRITER: return cwriter;
    default: return 0;
    }
}

void writeq_relaxed(uint64_t value, void *at)
{
    if ( (uintptr_t)at != GITS_CWRITER )
        return;
    cwriter = value;
    looks = 0;
}

s_time_t NOW(void)
{
    return now += 1000;
}

void spin_lock(spinlock_t *lock)
{
    ASSERT(!lock->held);
    lock->held = true;
}

void spin_unlock(spinlock_t *lock)
{
    ASSERT(lock->held);
    lock->held = false;
    /* It gets to its commands when the driver waits for that. */
    if ( lock == &its.cmd_lock && ++looks > 3 )
        work();
}

static unsigned int pages, objects, allocations, fail_at;

static bool refused(void)
{
    return ++allocations == fail_at;
}

void *alloc_xenheap_pages(unsigned int order, unsigned int memflags)
{
    if ( refused() )
        return NULL;
    pages++;

    return aligned_alloc(SZ_64K, ROUNDUP(PAGE_SIZE << order, SZ_64K));
}

static void check_itt(const void *p)
{
    unsigned int i;

    for ( i = 0; i < ARRAY_SIZE(mapped); i++ )
        if ( mapped[i].itt == p )
            broken("the ITT of device %u is freed while the ITS has it", i);
}

void free_xenheap_pages(void *p, unsigned int order)
{
    check_itt(p);
    pages--;
    free(p);
}

void *_xzalloc(size_t size, size_t align)
{
    void *p;

    if ( refused() )
        return NULL;
    objects++;
    p = aligned_alloc(max(align, 16), ROUNDUP(size, max(align, 16)));

    return memset(p, 0, size);
}

void xfree(void *p)
{
    if ( !p )
        return;
    check_itt(p);
    objects--;
    free(p);
}

/* Whose is an LPI, by its entry? */
void write_u64_atomic(uint64_t *p, uint64_t value)
{
    union host_lpi new = { .data = value };
    unsigned int device, event, chunk;

    *p = value;

    /* Connected to an event, or not any more: nobody unmaps the device meanwhile. */
    if ( new.virt_lpi != INVALID_LPI && !domain.arch.vgic.its_devices_lock.held )
        broken("the entry of an LPI is written without the lock of its device");

    if ( new.dom_id != DOMID_INVALID )
        return;

    for ( chunk = 0; chunk < MAX_NR_HOST_LPIS / HOST_LPIS_PER_PAGE; chunk++ )
    {
        union host_lpi *first = lpi_data.host_lpis[chunk], *entry = (void *)p;

        if ( !first || entry < first || entry >= first + HOST_LPIS_PER_PAGE )
            continue;
        for ( device = 0; device < ARRAY_SIZE(mapped); device++ )
            for ( event = 0; event < ARRAY_SIZE(mapped[0].lpis); event++ )
                if ( mapped[device].lpis[event] ==
                     chunk * HOST_LPIS_PER_PAGE + (entry - first) + LPI_OFFSET )
                    broken("an LPI of device %u is freed while the ITS sends it", device);
    }
}

void rb_link_node(struct rb_node *node, struct rb_node *parent, struct rb_node **link)
{
    *node = (struct rb_node){ .parent = parent };
    *link = node;
}

static void replace(struct rb_root *root, struct rb_node *old, struct rb_node *new)
{
    struct rb_node *parent = old->parent;

    *(!parent ? &root->rb_node : parent->rb_left == old ? &parent->rb_left
                                                        : &parent->rb_right) = new;
    if ( new )
        new->parent = parent;
}

void rb_erase(struct rb_node *node, struct rb_root *root)
{
    struct rb_node *next = node->rb_right;

    if ( !node->rb_left || !node->rb_right )
    {
        replace(root, node, node->rb_left ? node->rb_left : node->rb_right);
        return;
    }
    while ( next->rb_left )
        next = next->rb_left;
    replace(root, next, next->rb_right);
    next->rb_left = node->rb_left;
    next->rb_right = node->rb_right;
    if ( next->rb_left )
        next->rb_left->parent = next;
    if ( next->rb_right )
        next->rb_right->parent = next;
    replace(root, node, next);
}

static bool preempted = true;

bool hypercall_preempt_check(void)
{
    return preempted;
}

/* RCU: may a domain be looked for here, on a CPU that is idle? */
static bool idle, watched;
static unsigned int arrived;

bool rcu_irq_enter(unsigned int cpu)
{
    watched = true;

    return idle;
}

void rcu_irq_exit(unsigned int cpu, bool was_idle)
{
    if ( was_idle != idle )
        broken("a CPU is left busy that was idle, or the other way round");
    watched = false;
}

struct domain *rcu_lock_domain_by_id(domid_t id)
{
    if ( idle && !watched )
        broken("a domain is looked for on an idle CPU, which RCU does not wait for");

    return id == domain.domain_id ? &domain : NULL;
}

void rcu_unlock_domain(struct domain *d)
{
    if ( idle && !watched )
        broken("a domain is let go after the CPU is idle again");
}

void vgic_host_lpi(struct domain *d, uint32_t lpi, uint32_t virq)
{
    /* What is not mapped is handed over to be counted. */
    if ( virq != INVALID_LPI )
        arrived = virq;
}

/* What has to hold *************************************************************/

static int map(unsigned int device, unsigned int events, bool valid)
{
    return gicv3_its_map_guest_device(&domain, DOORBELL, device, DOORBELL, device,
                                      events, valid);
}

/* Entries that name the domain. */
static unsigned int entries(domid_t id, uint32_t virt)
{
    unsigned int i, n = 0;
    uint32_t lpi;

    for ( lpi = LPI_OFFSET; lpi < MAX_NR_HOST_LPIS + LPI_OFFSET; lpi += LPI_BLOCK )
    {
        union host_lpi *entry = gic_get_host_lpi(lpi);

        for ( i = 0; entry && entry->dom_id != DOMID_INVALID && i < LPI_BLOCK; i++ )
            n += entry[i].dom_id == id && (!virt || entry[i].virt_lpi == virt);
    }

    return n;
}

static void nothing_left(unsigned int pages_before, unsigned int objects_before)
{
    unsigned int n, chunk, chunks = 0;

    work();
    for ( chunk = 0; chunk < MAX_NR_HOST_LPIS / HOST_LPIS_PER_PAGE; chunk++ )
        chunks += !!lpi_data.host_lpis[chunk];
    if ( domain.arch.vgic.its_devices.rb_node )
        broken("a device is left in the domain's tree");
    if ( pages != pages_before + chunks || objects != objects_before )
        broken("%d pages and %d objects are left", (int)(pages - pages_before - chunks),
               (int)(objects - objects_before));
    for ( n = 0; n < ARRAY_SIZE(mapped); n++ )
        if ( mapped[n].itt )
            broken("device %u is left at the ITS", n);
    if ( entries(domain.domain_id, 0) )
        broken("%u LPIs are left with the domain", entries(domain.domain_id, 0));
}

int main(void)
{
    unsigned int n, pages_before, objects_before;
    uint32_t lpi;

    test = "setting up";
    its.addr = DOORBELL - ITS_DOORBELL_OFFSET;
    its.devid_bits = DEVICE_BITS;
    its.evid_bits = EVENT_BITS;
    its.itte_size = 8;
    its.cmd_buf = calloc(1, ITS_CMD_QUEUE_SZ);
    list_add_tail(&its.entry, &host_its_list);
    domain.domain_id = 7;
    max_lpi_bits = 14;
    gicv3_lpi_init_host_lpis(14);
    lpi_data.lpi_property = calloc(1, 1 << 14);
    pages_before = pages;
    objects_before = objects;

    test = "unmapped before what it uses is freed, if its events cannot be mapped";
    /* Its ITT, itself, its two arrays, and the page of the first LPIs. */
    fail_at = allocations + 5;
    if ( map(1, 64, true) != -ENOMEM )
        broken("there was memory for the LPIs");
    nothing_left(pages_before, objects_before);
    /* All LPIs are taken but those of half its events. */
    while ( !gicv3_allocate_host_lpi_block(&(struct domain){ .domain_id = 9 }, &lpi) )
        ;
    gicv3_free_host_lpi_block(LPI_OFFSET + 64);
    if ( map(1, 64, true) != -ENOSPC )
        broken("there were LPIs enough");
    nothing_left(pages_before, objects_before);
    for ( lpi = LPI_OFFSET; lpi < MAX_NR_HOST_LPIS + LPI_OFFSET; lpi += LPI_BLOCK )
        gicv3_free_host_lpi_block(lpi);

    test = "unmapped before what it uses is freed";
    if ( map(1, 64, true) )
        broken("a device is refused");
    if ( map(1, 1, false) )
        broken("it is not unmapped");
    nothing_left(pages_before, objects_before);

    test = "kept if it is never unmapped";
    map(1, 64, true);
    gicv3_assign_guest_event(&domain, DOORBELL, 1, 3, 8200);
    n = pages;
    stalled = true;
    map(1, 1, false);
    if ( pages != n )
        broken("the ITT is freed though the ITS does not answer");
    if ( entries(7, 0) || entries(DOMID_XEN, 0) != 64 )
        broken("its LPIs are the domain's, or anybody's");
    stalled = false;
    work();

    test = "connected under the lock of its device";
    map(2, 32, true);
    if ( !gicv3_assign_guest_event(&domain, DOORBELL, 2, 5, 8300) || entries(7, 8300) != 1 )
        broken("an event cannot be connected");
    if ( gicv3_assign_guest_event(&domain, DOORBELL, 2, 32, 8300) )
        broken("there is no such event");
    if ( gicv3_remove_guest_event(&domain, DOORBELL, 2, 5) || entries(7, 8300) )
        broken("it cannot be disconnected");
    if ( !gicv3_remove_guest_event(&domain, DOORBELL, 3, 5) )
        broken("there is no such device");

    test = "as many events as the ITS has";
    if ( map(3, 1 << EVENT_BITS, true) )
        broken("a device with all of them is refused");
    if ( map(4, 2 << EVENT_BITS, true) != -EINVAL )
        broken("a device with more is not");

    test = "an LPI at an idle CPU";
    gicv3_assign_guest_event(&domain, DOORBELL, 2, 5, 8300);
    work();
    for ( n = 0; n < 2; n++ )
    {
        idle = n;
        arrived = 0;
        gicv3_do_LPI(mapped[2].lpis[5]);
        if ( arrived != 8300 )
            broken("it does not arrive");
    }

    test = "released with its domain, one at a time";
    for ( n = 5; n < 10; n++ )
        map(n * 7 % 11 + 20, 32, true);
    for ( n = 0; gicv3_its_release_devices(&domain) == -ERESTART && n < 100; n++ )
        ;
    if ( n != 7 )
        broken("%u times for 7 devices", n);
    work();
    for ( n = 0; n < ARRAY_SIZE(mapped); n++ )
        if ( mapped[n].itt )
            broken("device %u is mapped at the ITS", n);
    if ( domain.arch.vgic.its_devices.rb_node || entries(7, 0) )
        broken("devices or LPIs are left");
    preempted = false;
    if ( gicv3_its_release_devices(&domain) )
        broken("there are none");

    return faults != 0;
}

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
