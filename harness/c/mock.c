/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The C half of the mock Xen: what has to know the layout of struct domain,
 * struct vcpu and struct irq_desc, and what takes variable arguments. The rest
 * is in Rust, which sees these structures as pointers only.
 */

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "mock.h"

/* From the Rust half. */
void mock_print(const char *text, size_t len);
void mock_phys_enable(unsigned int irq, bool on);
void mock_phys_trigger(unsigned int irq, bool level);
void mock_phys_active(unsigned int irq, bool on);
void mock_phys_pending(unsigned int irq, bool on);
bool mock_phys_is_pending(unsigned int irq);
void mock_phys_target(unsigned int irq, unsigned int cpu);
void mock_wake(struct vcpu *v, int processor, bool running);

/* its.c */
#ifdef CONFIG_HAS_ITS
void mock_its_power_on(const struct mock_machine *machine);
void mock_its_release(struct domain *d);
#else
static void mock_its_power_on(const struct mock_machine *machine) {}
static void mock_its_release(struct domain *d) {}
#endif

/* Messages *****************************************************************/

static void vprint(const char *fmt, va_list args)
{
    char text[1200];
    int n = vsnprintf(text, sizeof(text), fmt, args);

    if ( n > 0 )
        mock_print(text, min((size_t)n, sizeof(text) - 1));
}

void printk(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vprint(fmt, args);
    va_end(args);
}

void panic(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vprint(fmt, args);
    vfprintf(stderr, fmt, args);
    va_end(args);
    abort();
}

/* Memory *******************************************************************/

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

/* Spin locks ***************************************************************/

static unsigned long myself(void)
{
    static _Thread_local char here;

    return (unsigned long)&here;
}

bool _spin_trylock(spinlock_t *lock)
{
    unsigned long expected = 0;

    return __atomic_compare_exchange_n(&lock->owner, &expected, myself(), false,
                                       __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

void _spin_lock(spinlock_t *lock)
{
    while ( !_spin_trylock(lock) )
    {
        if ( __atomic_load_n(&lock->owner, __ATOMIC_RELAXED) == myself() )
        {
            fprintf(stderr, "mock Xen: a spin lock is taken twice by one CPU\n");
            abort();
        }
        sched_yield();
    }
}

void _spin_unlock(spinlock_t *lock)
{
    if ( __atomic_exchange_n(&lock->owner, 0, __ATOMIC_RELEASE) != myself() )
        mock_broken("a spin lock is released by another CPU");
}

bool _spin_is_locked(const spinlock_t *lock)
{
    return __atomic_load_n(&lock->owner, __ATOMIC_RELAXED) != 0;
}

/* The machine **************************************************************/

static struct mock_machine host;

#define MAX_SPIS 992
#define MAX_ESPIS (ESPI_MAX_INTID - ESPI_BASE_INTID + 1)
static struct irq_desc descs[MAX_SPIS], espi_descs[MAX_ESPIS];
#ifdef CONFIG_GICV3
static struct rdist_region regions[MOCK_CPUS];
#endif

const bool acpi_disabled = true;
const struct dt_device_node *dt_interrupt_controller;

enum gic_version gic_hw_version(void) { return host.version == 3 ? GIC_V3 : GIC_V2; }
unsigned int gic_number_lines(void) { return NR_LOCAL_IRQS + host.spis; }
unsigned int gic_number_espis(void) { return host.espis; }
unsigned int gic_get_nr_lrs(void) { return host.lrs; }

static cpumask_t masks[MOCK_CPUS];

const cpumask_t *cpumask_of(unsigned int cpu)
{
    return &masks[cpu % MOCK_CPUS];
}

int MOCK_NAME(dt_device_get_address, dt_device_get_paddr)(
    const struct dt_device_node *node, unsigned int index, paddr_t *addr, paddr_t *size)
{
    const paddr_t frames[] = {
        host.gicd, host.frames.gicc, host.frames.gich, host.frames.gicv
    };

    if ( index >= ARRAY_SIZE(frames) )
        return -EINVAL;
    *addr = frames[index];
    if ( size )
        *size = index ? host.frames.size : SZ_4K;

    return 0;
}

/* Of GICH, and never read: the mock's registers are reached through calls. */
void *ioremap_nocache(paddr_t addr, size_t len)
{
    static char frame[PAGE_SIZE];

    return addr == host.frames.gich && len <= sizeof(frame) ? frame : NULL;
}

static void desc_enable(struct irq_desc *desc)
{
    ASSERT(spin_is_locked(&desc->lock));
    clear_bit(_IRQ_DISABLED, &desc->status);
    mock_phys_enable(desc->irq, true);
}

static void desc_disable(struct irq_desc *desc)
{
    ASSERT(spin_is_locked(&desc->lock));
    mock_phys_enable(desc->irq, false);
    set_bit(_IRQ_DISABLED, &desc->status);
}

static void desc_set_affinity(struct irq_desc *desc, const cpumask_t *mask)
{
    unsigned int word = 0;

    while ( !mask->bits[word] )
        word++;
    mock_phys_target(desc->irq, word * BITS_PER_LONG + __builtin_ctzl(mask->bits[word]));
}

static const hw_irq_controller controller = {
    .enable = desc_enable,
    .disable = desc_disable,
    .set_affinity = desc_set_affinity,
};

static void init_descs(struct irq_desc *desc, unsigned int n, unsigned int first)
{
    unsigned int i;

    memset(desc, 0, n * sizeof(*desc));
    for ( i = 0; i < n; i++ )
    {
        desc[i].irq = first + i;
        desc[i].handler = &controller;
        desc[i].status = 1UL << _IRQ_DISABLED;
        desc[i].arch.type = IRQ_TYPE_INVALID;
    }
}

/* Powers the machine up. */
void mock_power_on(const struct mock_machine *machine)
{
    const struct mock_cpu_frames *frames = &machine->frames;
    unsigned int i;

    for ( i = 0; i < MOCK_CPUS; i++ )
        masks[i].bits[i / BITS_PER_LONG] = BIT_IN_WORD(i);

    host = *machine;
    host.spis = min(host.spis, (unsigned int)MAX_SPIS);
    host.espis = min(host.espis, MAX_ESPIS);
    host.nr_regions = min(host.nr_regions, (unsigned int)MOCK_CPUS);

    init_descs(descs, MAX_SPIS, NR_LOCAL_IRQS);
    init_descs(espi_descs, MAX_ESPIS, ESPI_BASE_INTID);

#ifdef CONFIG_GICV3
    for ( i = 0; i < host.nr_regions; i++ )
        regions[i] = (struct rdist_region){
            .base = host.regions[i].base,
            .size = host.regions[i].redistributors * GICV3_GICR_SIZE,
        };
    if ( host.version == 3 )
        vgic_v3_setup_hw(host.gicd, host.nr_regions, regions, 16);
#endif
    mock_its_power_on(&host);
    if ( frames->size )
        vgic_v2_setup_hw(host.gicd, frames->gicc, frames->size, frames->gicv,
                         frames->size == SZ_128K ? 0xf000 : 0);
}

/* Physical interrupts ******************************************************/

struct irq_desc *__irq_to_desc(unsigned int irq)
{
    if ( is_espi(irq) && espi_intid_to_idx(irq) < host.espis )
        return &espi_descs[espi_intid_to_idx(irq)];

    if ( irq < NR_LOCAL_IRQS || irq >= gic_number_lines() )
        return NULL;

    return &descs[irq - NR_LOCAL_IRQS];
}

void irq_set_affinity(struct irq_desc *desc, const cpumask_t *mask)
{
    if ( !desc )
        return;
#ifndef MOCK_PEER
    /* The old C vGIC does not mask them in arch_move_irqs(). */
    ASSERT(!local_irq_is_enabled());
#endif
    desc->handler->set_affinity(desc, mask);
}

void gic_set_irq_type(struct irq_desc *desc, unsigned int type)
{
    ASSERT(test_bit(_IRQ_DISABLED, &desc->status));
    ASSERT(spin_is_locked(&desc->lock));
    desc->arch.type = type;
    mock_phys_trigger(desc->irq, type == IRQ_TYPE_LEVEL_HIGH);
}

void gic_set_active_state(struct irq_desc *desc, bool on)
{
    ASSERT(test_bit(_IRQ_GUEST, &desc->status));
    mock_phys_active(desc->irq, on);
}

void gic_set_pending_state(struct irq_desc *desc, bool on)
{
    mock_phys_pending(desc->irq, on);
}

bool gic_read_pending_state(struct irq_desc *desc)
{
    return mock_phys_is_pending(desc->irq);
}

bool irq_type_set_by_domain(const struct domain *d)
{
    return is_hardware_domain(d);
}

/* The beginning of do_IRQ(): with the lock held, whose interrupt it is. */
struct domain *mock_irq_begin(unsigned int irq, unsigned int *virq)
{
    struct irq_desc *desc = irq_to_desc(irq);

    spin_lock(&desc->lock);
    if ( !test_bit(_IRQ_GUEST, &desc->status) )
        return NULL;
    set_bit(_IRQ_INPROGRESS, &desc->status);
    *virq = desc->virq;

    return desc->guest;
}

void mock_irq_end(unsigned int irq)
{
    spin_unlock(&irq_to_desc(irq)->lock);
}

bool mock_irq_in_progress(unsigned int irq)
{
    return test_bit(_IRQ_INPROGRESS, &irq_to_desc(irq)->status);
}

/* route_irq_to_guest(), as the toolstack or the domain builder asks for it. */
int mock_route(struct domain *d, unsigned int virq, unsigned int irq, bool level)
{
    struct irq_desc *desc = irq_to_desc(irq);
    unsigned long flags;
    int rc = -EBUSY;

    if ( !desc || !vgic_is_spi(d, virq) )
        return -EINVAL;

    spin_lock_irqsave(&desc->lock, flags);
    if ( !test_bit(_IRQ_GUEST, &desc->status) )
    {
        desc->arch.type = level ? IRQ_TYPE_LEVEL_HIGH : IRQ_TYPE_EDGE_RISING;
        rc = vgic_connect_hw_irq(d, NULL, virq, desc, true);
        if ( !rc )
        {
            set_bit(_IRQ_GUEST, &desc->status);
            desc->guest = d;
            desc->virq = virq;
            if ( !irq_type_set_by_domain(d) )
                gic_set_irq_type(desc, desc->arch.type);
        }
    }
    spin_unlock_irqrestore(&desc->lock, flags);

    return rc;
}

int release_guest_irq(struct domain *d, unsigned int virq)
{
    struct irq_desc *desc;
    unsigned long flags;
    int rc = -EINVAL;

    if ( !vgic_is_spi(d, virq) )
        return -EINVAL;
    desc = vgic_get_hw_irq_desc(d, NULL, virq);
    if ( !desc )
        return -EINVAL;

    spin_lock_irqsave(&desc->lock, flags);
    if ( test_bit(_IRQ_GUEST, &desc->status) && desc->guest == d )
    {
        ASSERT(d->is_dying);
        desc_disable(desc);
        if ( test_bit(_IRQ_INPROGRESS, &desc->status) )
            mock_phys_active(desc->irq, false);
        clear_bit(_IRQ_INPROGRESS, &desc->status);
        rc = vgic_connect_hw_irq(d, NULL, virq, desc, false);
        if ( !rc )
        {
            clear_bit(_IRQ_GUEST, &desc->status);
            desc->guest = NULL;
        }
    }
    spin_unlock_irqrestore(&desc->lock, flags);

    /* Xen waits here without a bound. */
    if ( !rc && test_bit(_IRQ_INPROGRESS, &desc->status) )
        mock_broken("a released interrupt is still in progress");

    return rc;
}

/* Domains and vCPUs ********************************************************/

struct domain *mock_domain_alloc(unsigned int id, unsigned int max_vcpus,
                                 unsigned int version, bool hardware, bool direct)
{
    struct domain *d = calloc(1, sizeof(*d));

    if ( !d )
        abort();
    d->domain_id = id;
    d->max_vcpus = max_vcpus;
    d->vcpu = calloc(max_vcpus ? max_vcpus : 1, sizeof(*d->vcpu));
    d->hardware = hardware;
    d->iommu = hardware && host.iommu;
    d->direct_mapped = direct;
    d->arch.vgic.version = version == 3 ? GIC_V3 : version == 2 ? GIC_V2 : GIC_INVALID;
    d->arch.evtchn_irq = 31;

    return d;
}

/* domain_io_init(): handlers beyond this many are a bug of the vGIC's. */
void mock_domain_io_init(struct domain *d, unsigned int max)
{
    d->mmio = calloc(max ? max : 1, sizeof(*d->mmio));
    d->mmio_max = max;
}

void mock_domain_dying(struct domain *d)
{
    d->is_dying = 2;
}

/* Gives it memory, once. */
void mock_domain_ram(struct domain *d, paddr_t base, paddr_t size)
{
    d->ram = calloc(1, size);
    d->ram_base = base;
    d->ram_size = d->ram ? size : 0;
}

/* An access of the guest's own, or of a device's. */
int mock_guest_memory(struct domain *d, paddr_t gpa, void *buf, uint32_t size, bool is_write)
{
    unsigned char *ram = &d->ram[gpa - d->ram_base];

    if ( gpa < d->ram_base || gpa - d->ram_base > d->ram_size ||
         size > d->ram_size - (gpa - d->ram_base) )
        return -EINVAL;

    _spin_lock(&d->ram_lock);
    memcpy(is_write ? ram : buf, is_write ? buf : ram, size);
    _spin_unlock(&d->ram_lock);

    return 0;
}

/* The same by the vGIC, which may have to wait for a page. */
int MOCK_NAME(access_guest_memory_by_ipa, access_guest_memory_by_gpa)(
    struct domain *d, paddr_t gpa, void *buf, uint32_t size, bool is_write)
{
#ifndef MOCK_PEER
    /* The old C vGIC reads the configuration of LPIs with a lock held. */
    ASSERT(local_irq_is_enabled());
#endif
    __atomic_fetch_add(&d->ram_accesses, 1, __ATOMIC_RELAXED);

    return mock_guest_memory(d, gpa, buf, size, is_write);
}

unsigned long mock_domain_ram_accesses(const struct domain *d)
{
    return __atomic_load_n(&d->ram_accesses, __ATOMIC_RELAXED);
}

void mock_domain_release(struct domain *d)
{
    mock_its_release(d);
    xfree(d->mapped);
    free(d->ram);
    free(d->mmio);
    free(d->vcpu);
    free(d);
}

unsigned int mock_domain_mmio_used(const struct domain *d)
{
    return d->mmio_used;
}

paddr_t mock_domain_dbase(const struct domain *d)
{
    return vgic_dist_base(&d->arch.vgic);
}

#if RVGIC_XEN_RELEASE <= 417
int map_mmio_regions(struct domain *d, gfn_t start, unsigned long count, mfn_t to)
{
    BUG_ON(d->mapped);
    /* Xen may have no memory for the tables. */
    d->mapped = _xzalloc(sizeof(*d->mapped), _Alignof(struct mock_mapping));
    if ( !d->mapped )
        return -ENOMEM;
    *d->mapped = (struct mock_mapping){ start, to, count };

    return 0;
}
#endif

/* The CPU interface of a GICv2: what is mapped of it, and to where. */
paddr_t mock_domain_gicc(const struct domain *d, paddr_t *mapped, paddr_t *gicv)
{
#if RVGIC_XEN_RELEASE <= 417
    const struct mock_mapping none = {}, *map = d->mapped ? d->mapped : &none;

    *mapped = map->count * PAGE_SIZE;
    *gicv = mfn_to_maddr(map->to);

    return gfn_to_gaddr(map->at);
#else
    /* By Xen, when the guest first touches it. */
    *mapped = d->arch.vgic.csize;
    *gicv = d->arch.vgic.vbase;

    return d->arch.vgic.cbase;
#endif
}

unsigned int mock_release(void)
{
    return RVGIC_XEN_RELEASE;
}

unsigned int mock_domain_regions(const struct domain *d)
{
#ifdef CONFIG_GICV3
    return d->arch.vgic.nr_regions;
#else
    return 0;
#endif
}

paddr_t mock_domain_region(const struct domain *d, unsigned int n, paddr_t *size)
{
#ifdef CONFIG_GICV3
    *size = d->arch.vgic.rdist_regions[n].size;

    return d->arch.vgic.rdist_regions[n].base;
#else
    return *size = 0;
#endif
}

unsigned int mock_domain_nr_spis(const struct domain *d)
{
    return d->arch.vgic.nr_spis;
}

bool mock_domain_allocated(const struct domain *d, unsigned int virq)
{
    return test_bit(virq, d->arch.vgic.allocated_irqs);
}

struct vcpu *mock_vcpu_alloc(struct domain *d, unsigned int id, unsigned int processor)
{
    struct vcpu *v = calloc(1, sizeof(*v));

    if ( !v )
        abort();
    v->vcpu_id = id;
    v->domain = d;
    v->processor = processor;
    v->arch.vmpidr = (1UL << 31) | (id & 0xf) | ((id >> 4) << 8);
    v->arch.phys_timer.irq = 30;
    v->arch.virt_timer.irq = 27;

    return v;
}

void mock_vcpu_link(struct domain *d, struct vcpu *v)
{
    __atomic_store_n(&d->vcpu[v->vcpu_id], v, __ATOMIC_RELEASE);
}

/* The idle vCPU of a physical CPU. */
struct vcpu *mock_idle(unsigned int cpu)
{
    static struct domain idle_domain = { .domain_id = 0x7fff };
    struct vcpu *v = mock_vcpu_alloc(&idle_domain, cpu, cpu);

    v->is_running = true;

    return v;
}

void mock_vcpu_release(struct vcpu *v)
{
    free(v);
}

/* What a vGIC has within struct domain, and within struct vcpu. */
unsigned long mock_embedded(bool vcpu)
{
    return vcpu ? sizeof(struct vgic_cpu) : sizeof(struct vgic_dist);
}

struct domain *mock_vcpu_domain(const struct vcpu *v) { return v->domain; }
unsigned long *mock_vcpu_pause_flags(struct vcpu *v) { return &v->pause_flags; }
bool *mock_vcpu_is_running(struct vcpu *v) { return &v->is_running; }
int *mock_vcpu_processor(struct vcpu *v) { return &v->processor; }
uint8_t *mock_vcpu_upcall(struct vcpu *v) { return &v->evtchn_upcall_pending; }
register_t *mock_vcpu_ptimer(struct vcpu *v) { return &v->arch.phys_timer.ctl; }

void vcpu_kick(struct vcpu *v)
{
    bool running = __atomic_load_n(&v->is_running, __ATOMIC_SEQ_CST);

    clear_bit(_VPF_blocked, &v->pause_flags);
    mock_wake(v, __atomic_load_n(&v->processor, __ATOMIC_SEQ_CST),
              running && v != current);
}

/* Does the vGIC look at levels, which Xen then hands it on exits? */
bool mock_samples_lines(void)
{
#ifdef CONFIG_NEW_VGIC
    return true;
#else
    return false;
#endif
}

/* The virtual timer's control register is that of the CPU. */
static _Thread_local register_t cntv_ctl;

register_t mock_sysreg_CNTV_CTL_EL0(void)
{
    return cntv_ctl;
}

/* Does it want to see them on this exit? */
bool mock_wants_lines(struct vcpu *v, uint64_t ctl)
{
    cntv_ctl = ctl;
#ifdef MOCK_PEER
    return mock_samples_lines();
#else
    return vgic_lines_up(v);
#endif
}

/* Traps ********************************************************************/

void register_mmio_handler(struct domain *d, const struct mmio_handler_ops *ops,
                           paddr_t addr, paddr_t size, void *priv)
{
    if ( d->mmio_used >= d->mmio_max )
    {
        mock_broken("more MMIO handlers than domain_vgic_register() announced");
        return;
    }
    d->mmio[d->mmio_used++] =
        (struct mmio_handler){ .ops = ops, .addr = addr, .size = size, .priv = priv };
}

static _Thread_local struct cpu_user_regs guest_regs;

struct cpu_user_regs *guest_cpu_user_regs(void)
{
    return &guest_regs;
}

/*
 * A trapped access of 1 << size bytes: 1 handled, 0 abort, -1 nothing there, 2 the
 * guest executes it again: Xen steps over it, and the vGIC has stepped back.
 */
int mock_mmio(struct vcpu *v, paddr_t gpa, unsigned int size, bool write, bool aarch32,
              register_t *value)
{
    const register_t pc = 0x1000;
    struct domain *d = v->domain;
    mmio_info_t info = { .dabt = { .size = size, .valid = 1 }, .gpa = gpa };
    unsigned int i;

    for ( i = 0; i < d->mmio_used; i++ )
    {
        const struct mmio_handler *h = &d->mmio[i];
        int rc;

        if ( gpa < h->addr || gpa - h->addr >= h->size )
            continue;
        if ( write )
        {
            guest_regs.pc = pc;
            guest_regs.cpsr = aarch32 ? PSR_MODE_BIT : 0;
            rc = h->ops->write(v, &info, *value, h->priv);
            return rc == 1 && guest_regs.pc + 4 == pc ? 2 : rc;
        }
        *value = 0;
        rc = h->ops->read(v, &info, value, h->priv);
        ASSERT(!rc || size == 3 || !(*value >> (8 << size)));
        return rc;
    }

    return -1;
}

/* Of ICC_SGI1R (0), ICC_ASGI1R (1), ICC_SGI0R (2) or ICC_DIR (3). False: UNDEF. */
bool mock_sysreg(unsigned int which, bool aarch32, bool read, register_t value)
{
    static const unsigned int sysregs[] = {
        HSR_SYSREG_ICC_SGI1R_EL1, HSR_SYSREG(3, 0, c12, c11, 6), HSR_SYSREG(3, 0, c12, c11, 7),
        HSR_SYSREG_ICC_DIR_EL1,
    };
    static const unsigned int cp64[] = { ICC_SGI1R, ICC_ASGI1R, ICC_SGI0R };
    struct cpu_user_regs regs = { 0 };
    union hsr hsr = { 0 };

    if ( !aarch32 )
    {
        regs.x[5] = value;
        hsr.bits = sysregs[which];
        hsr.sysreg.reg = 5;
        hsr.sysreg.ec = HSR_EC_SYSREG;
        hsr.sysreg.read = read;
    }
    else if ( which < ARRAY_SIZE(cp64) )
    {
        regs.x[2] = (uint32_t)value;
        regs.x[3] = value >> 32;
        hsr.bits = cp64[which];
        hsr.cp64.reg1 = 2;
        hsr.cp64.reg2 = 3;
        hsr.cp64.ec = HSR_EC_CP15_64;
        hsr.cp64.read = read;
    }
    else
    {
        regs.x[4] = value;
        hsr.bits = ICC_DIR;
        hsr.cp32.reg = 4;
        hsr.cp32.ec = HSR_EC_CP15_32;
        hsr.cp32.read = read;
    }

    return vgic_emulate(&regs, hsr);
}
