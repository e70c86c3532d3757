/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What Xen's headers declare, as far as xen-glue's C half asks for it: names
 * and meanings are Xen's, the definitions are the mock's own. Every header of
 * this directory leads here.
 */
#ifndef MOCK_H
#define MOCK_H

/* Which Xen it is: build.rs says so. */
#if !defined(RVGIC_XEN_RELEASE) || RVGIC_XEN_RELEASE < 417
#error RVGIC_XEN_RELEASE must be the release of Xen: 417 for 4.17, the oldest
#endif
/* What 4.17 calls otherwise than later ones. */
#if RVGIC_XEN_RELEASE <= 417
#define MOCK_NAME(old, now) old
#else
#define MOCK_NAME(old, now) now
#endif

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

typedef uint64_t paddr_t;
/* The host's C library has a signed type of that name. */
typedef uint64_t mock_register_t;
#define register_t mock_register_t
typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef uint32_t __be32;

#define INVALID_PADDR (~(paddr_t)0)

#include "lists.h"

/* lib.h, compiler.h, bug.h */
#define __init
#define __initdata
#define __read_mostly

/* cache.h */
#define __cacheline_aligned __attribute__((__aligned__(128)))

/* param.h: nobody writes a command line, but who calls such a function. */
#define custom_param(name, function) \
    int mock_param_##function(const char *s) { return function(s); } struct mock_param
#define boolean_param(name, var) struct mock_param
#define __iomem
#define __maybe_unused __attribute__((__unused__))
#define likely(x) __builtin_expect(!!(x), 1)
#define noinline __attribute__((__noinline__))
#define unlikely(x) __builtin_expect(!!(x), 0)
#define BUILD_BUG_ON(x) _Static_assert(!(x), #x)
#define min(a, b) ({ __typeof__(a) a_ = (a); __typeof__(b) b_ = (b); a_ < b_ ? a_ : b_; })
#define max(a, b) ({ __typeof__(a) a_ = (a); __typeof__(b) b_ = (b); a_ > b_ ? a_ : b_; })
#define container_of(p, type, member) ((type *)((char *)(p) - offsetof(type, member)))
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define hweight32(x) ((unsigned int)__builtin_popcount(x))
#define DIV_ROUND_UP(n, d) (((n) + (d) - 1) / (d))
#define ROUNDUP(x, a) (((x) + (a) - 1) & ~((__typeof__(x))(a) - 1))

void mock_broken(const char *what);
#ifdef NDEBUG
#define ASSERT(x) ((void)sizeof(!(x)))
#else
#define ASSERT(x) do { if ( !(x) ) mock_broken("ASSERT(" #x ") in " __FILE__); } while ( 0 )
#endif
#define BUG_ON(x) do { if ( x ) mock_broken("BUG_ON(" #x ") in " __FILE__); } while ( 0 )
#define BUG() panic("BUG() in " __FILE__ "\n")

#define SZ_4K 0x1000
#define SZ_8K 0x2000
#define SZ_16K 0x4000
#define SZ_64K 0x10000
#define SZ_128K 0x20000
#define PAGE_SHIFT 12
#define PAGE_SIZE 4096

/* mm-frame.h */
typedef struct { unsigned long n; } gfn_t;
typedef struct { unsigned long n; } mfn_t;
#define _gfn(x) ((gfn_t){ x })
#define gfn_x(g) ((g).n)
#define gaddr_to_gfn(a) _gfn((a) >> PAGE_SHIFT)
#define gfn_to_gaddr(g) ((paddr_t)gfn_x(g) << PAGE_SHIFT)
#define _mfn(x) ((mfn_t){ x })
#define mfn_x(m) ((m).n)
#define maddr_to_mfn(a) _mfn((a) >> PAGE_SHIFT)
#define mfn_to_maddr(m) ((paddr_t)mfn_x(m) << PAGE_SHIFT)
#define PFN_DOWN(a) ((a) >> PAGE_SHIFT)

/* 0 and 1: what it says; negative: it is none. */
int parse_bool(const char *s, const char *e);
unsigned long long simple_strtoull(const char *s, const char **end, unsigned int base);

#define XENLOG_ERR "<0>"
#define XENLOG_WARNING "<1>"
#define XENLOG_INFO "<2>"
#define XENLOG_DEBUG "<3>"
#define XENLOG_G_ERR XENLOG_ERR
#define XENLOG_G_WARNING XENLOG_WARNING
#define XENLOG_G_INFO XENLOG_INFO
#define XENLOG_G_DEBUG XENLOG_DEBUG
void printk(const char *fmt, ...) __attribute__((__format__(__printf__, 1, 2)));
void panic(const char *fmt, ...) __attribute__((__format__(__printf__, 1, 2), __noreturn__));

/* bitops.h, atomic.h */
#define BITS_PER_LONG 64
#define BITS_TO_LONGS(n) DIV_ROUND_UP(n, BITS_PER_LONG)
#define DECLARE_BITMAP(name, bits) unsigned long name[BITS_TO_LONGS(bits)]
#define cmpxchg(p, old, new) __sync_val_compare_and_swap(p, old, new)
#define read_atomic(p) __atomic_load_n(p, __ATOMIC_RELAXED)
#define write_atomic(p, v) __atomic_store_n(p, v, __ATOMIC_RELAXED)
#ifdef __SANITIZE_THREAD__
/* It knows no fences. */
#define smp_mb() do { static int all_; __atomic_fetch_add(&all_, 1, __ATOMIC_SEQ_CST); } while ( 0 )
#else
#define smp_mb() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#endif
#define smp_rmb() smp_mb()
#define smp_wmb() smp_mb()

static inline unsigned long *bit_word(unsigned int nr, const volatile void *p)
{
    return (unsigned long *)p + nr / BITS_PER_LONG;
}

#define BIT_IN_WORD(nr) (1UL << ((nr) % BITS_PER_LONG))

static inline bool test_bit(unsigned int nr, const volatile void *p)
{
    return __atomic_load_n(bit_word(nr, p), __ATOMIC_RELAXED) & BIT_IN_WORD(nr);
}

static inline bool test_and_set_bit(unsigned int nr, volatile void *p)
{
    return __atomic_fetch_or(bit_word(nr, p), BIT_IN_WORD(nr), __ATOMIC_SEQ_CST) &
           BIT_IN_WORD(nr);
}

static inline bool test_and_clear_bit(unsigned int nr, volatile void *p)
{
    return __atomic_fetch_and(bit_word(nr, p), ~BIT_IN_WORD(nr), __ATOMIC_SEQ_CST) &
           BIT_IN_WORD(nr);
}

static inline void set_bit(unsigned int nr, volatile void *p)
{
    test_and_set_bit(nr, p);
}

static inline void clear_bit(unsigned int nr, volatile void *p)
{
    test_and_clear_bit(nr, p);
}

/* xmalloc.h */
void *_xmalloc(unsigned long size, unsigned long align);
void *_xzalloc(unsigned long size, unsigned long align);
void xfree(void *p);

static inline void *xzalloc_array_checked(unsigned long size, unsigned long align,
                                          unsigned long n)
{
    return n && size > ~0UL / n ? NULL : _xzalloc(size * n, align);
}

#define xzalloc_array(type, n) \
    ((type *)xzalloc_array_checked(sizeof(type), _Alignof(type), n))
#define xmalloc_array(type, n) xzalloc_array(type, n)
#define xzalloc(type) xzalloc_array(type, 1)
#define xmalloc(type) xzalloc(type)
#define XFREE(p) do { xfree(p); (p) = NULL; } while ( 0 )

/* mm.h: memory is where it is. */
void *alloc_xenheap_pages(unsigned int order, unsigned int memflags);
unsigned int get_order_from_bytes(paddr_t size);
#define virt_to_maddr(p) ((paddr_t)(unsigned long)(p))

/* spinlock.h, and this CPU's interrupt mask */
typedef struct { unsigned long owner; } spinlock_t;
#define SPIN_LOCK_UNLOCKED { 0 }

bool _spin_trylock(spinlock_t *lock);
void _spin_lock(spinlock_t *lock);
void _spin_unlock(spinlock_t *lock);
bool _spin_is_locked(const spinlock_t *lock);
unsigned long mock_local_irq_save(void);
void mock_local_irq_restore(unsigned long flags);
bool local_irq_is_enabled(void);

#define spin_lock_init(l) ((l)->owner = 0)
#define spin_trylock(l) _spin_trylock(l)
#define spin_lock(l) _spin_lock(l)
#define spin_unlock(l) _spin_unlock(l)
#define spin_is_locked(l) _spin_is_locked(l)
#define local_irq_save(f) ((f) = mock_local_irq_save())
#define local_irq_restore(f) mock_local_irq_restore(f)
#define spin_lock_irqsave(l, f) do { local_irq_save(f); _spin_lock(l); } while ( 0 )
#define spin_unlock_irqrestore(l, f) do { _spin_unlock(l); local_irq_restore(f); } while ( 0 )

#define MOCK_CPUS 256

/* percpu.h, smp.h: for a peer's counts the thread that executes on a CPU is as good */
#ifdef MOCK_PEER
#define DEFINE_PER_CPU(type, name) _Thread_local __typeof__(type) name
#define this_cpu(name) name
#else
#define DEFINE_PER_CPU(type, name) __typeof__(type) name[MOCK_CPUS]
#define this_cpu(name) name[mock_this_cpu() % MOCK_CPUS]
#endif
unsigned int mock_this_cpu(void);
#define smp_processor_id() mock_this_cpu()

/* time.h: nanoseconds, which pass when the mock says so */
typedef int64_t s_time_t;
s_time_t mock_now(void);
#define NOW() mock_now()
#define MILLISECS(ms) ((s_time_t)(ms) * 1000000)
#define MICROSECS(us) ((s_time_t)(us) * 1000)
#define STIME_MAX INT64_MAX

/* tasklet.h: those that are run in a softirq, by the CPU that has scheduled them */
struct tasklet {
    struct tasklet *next;
    void (*func)(void *data);
    void *data;
    int scheduled_on;
    bool is_running, is_dead;
};

void softirq_tasklet_init(struct tasklet *t, void (*func)(void *data), void *data);
void tasklet_schedule(struct tasklet *t);
void tasklet_schedule_on_cpu(struct tasklet *t, unsigned int cpu);
void tasklet_kill(struct tasklet *t);

/* cpumask.h: a set of CPUs, of which one at least */
typedef struct { unsigned long bits[MOCK_CPUS / BITS_PER_LONG]; } cpumask_t;
const cpumask_t *cpumask_of(unsigned int cpu);
extern cpumask_t cpu_online_map;
unsigned int mock_cpus(void);
#define nr_cpu_ids mock_cpus()

static inline void cpumask_set_cpu(unsigned int cpu, cpumask_t *mask)
{
    set_bit(cpu, mask->bits);
}

static inline unsigned int cpumask_cycle(unsigned int cpu, const cpumask_t *mask)
{
    do
        cpu = (cpu + 1) % MOCK_CPUS;
    while ( !test_bit(cpu, mask->bits) );

    return cpu;
}

/* gic.h, gic_v3_defs.h */
enum gic_version { GIC_INVALID = 0, GIC_V2, GIC_V3 };
#define NR_GIC_SGI 16
#define NR_LOCAL_IRQS 32U
#define ESPI_BASE_INTID 4096U
#define ESPI_MAX_INTID 5119U

static inline bool is_espi(unsigned int irq)
{
    return irq >= ESPI_BASE_INTID && irq <= ESPI_MAX_INTID;
}

static inline unsigned int espi_intid_to_idx(unsigned int intid)
{
    return intid - ESPI_BASE_INTID;
}

static inline unsigned int espi_idx_to_intid(unsigned int idx)
{
    return idx + ESPI_BASE_INTID;
}

#include <asm/gic_v3_defs.h>

/* The machine that the mock is: profile.rs has the same. */
struct mock_machine {
    unsigned int version, spis, espis, lrs;
    paddr_t gicd;
    struct mock_cpu_frames { paddr_t gicc, gich, gicv, size; } frames;
    const struct mock_region { paddr_t base, redistributors; } *regions;
    unsigned int nr_regions, itses;
    const paddr_t *its_frames;
    bool iommu;
    unsigned int vtimer;            /* The PPI of each CPU's virtual timer */
    unsigned int cpus;
};

enum gic_version gic_hw_version(void);
unsigned int gic_number_lines(void);
unsigned int gic_number_espis(void);
unsigned int gic_get_nr_lrs(void);

/* irq.h */
#define LPI_OFFSET 8192U
#define INVALID_LPI 0U
#define _IRQ_INPROGRESS 0
#define _IRQ_DISABLED 1
#define _IRQ_GUEST 4
#define IRQ_TYPE_EDGE_RISING 1
#define IRQ_TYPE_LEVEL_HIGH 4
#define IRQ_TYPE_LEVEL_MASK 0xc
#define IRQ_TYPE_INVALID 0x10

struct irq_desc;

typedef struct hw_interrupt_type {
    void (*enable)(struct irq_desc *desc);
    void (*disable)(struct irq_desc *desc);
    void (*set_affinity)(struct irq_desc *desc, const cpumask_t *mask);
} hw_irq_controller;

struct irq_desc {
    unsigned long status;
    const hw_irq_controller *handler;
    spinlock_t lock;
    unsigned int irq;
    struct { unsigned int type; } arch;
    /* Whom it belongs to, with _IRQ_GUEST. */
    struct domain *guest;
    unsigned int virq;
};

#ifndef MOCK_PEER
#define perfc_incr(counter) ((void)0)

/* What the driver offers beside its functions, for a PPI of this CPU. */
struct gic_hw_operations {
    const hw_irq_controller *gic_guest_irq_type;
    void (*set_active_state)(struct irq_desc *desc, bool on);
    bool (*read_pending_state)(struct irq_desc *desc);
};
extern const struct gic_hw_operations *gic_hw_ops;
#endif

struct irq_desc *__irq_to_desc(unsigned int irq);
#define irq_to_desc(irq) __irq_to_desc(irq)
void irq_set_affinity(struct irq_desc *desc, const cpumask_t *mask);
void gic_set_irq_type(struct irq_desc *desc, unsigned int type);
void gic_set_active_state(struct irq_desc *desc, bool on);
void gic_set_pending_state(struct irq_desc *desc, bool on);
bool gic_read_pending_state(struct irq_desc *desc);
bool irq_type_set_by_domain(const struct domain *d);
int release_guest_irq(struct domain *d, unsigned int virq);

#include "traps.h"

/* mmio.h */
enum io_state { IO_ABORT, IO_HANDLED, IO_UNHANDLED, IO_RETRY };
struct vcpu;
typedef struct { struct hsr_dabt dabt; paddr_t gpa; } mmio_info_t;

struct mmio_handler_ops {
    int (*read)(struct vcpu *v, mmio_info_t *info, register_t *r, void *priv);
    int (*write)(struct vcpu *v, mmio_info_t *info, register_t r, void *priv);
};

void register_mmio_handler(struct domain *d, const struct mmio_handler_ops *ops,
                           paddr_t addr, paddr_t size, void *priv);

/* time.h, vtimer */
#define CNTx_CTL_ENABLE (1u << 0)
#define CNTx_CTL_MASK (1u << 1)
#define CNTx_CTL_PENDING (1u << 2)
#define READ_SYSREG(name) mock_sysreg_##name()
#define WRITE_SYSREG(value, name) mock_set_sysreg_##name(value)
#define isb() __asm__ volatile ( "" ::: "memory" )
/* processor.h: those that somebody writes here, and what all guests have. */
#define HCR_IMO (1UL << 4)
#define HCR_VI (1UL << 7)
#define HCR_VA (1UL << 8)
#define HCR_TVM (1UL << 26)
#define MOCK_HCR_DEFAULT HCR_IMO
mock_register_t mock_sysreg_HCR_EL2(void);
void mock_set_sysreg_HCR_EL2(mock_register_t hcr);
mock_register_t mock_sysreg_ICH_HCR_EL2(void);
void mock_set_sysreg_ICH_HCR_EL2(mock_register_t hcr);
mock_register_t mock_sysreg_CNTV_CTL_EL0(void);
void mock_set_sysreg_CNTV_CTL_EL0(mock_register_t ctl);
mock_register_t get_cycles(void);
enum timer_ppi { TIMER_VIRT_PPI = 2 };
unsigned int timer_get_irq(enum timer_ppi ppi);
/*
 * Timers that init_timer() has made go off in a softirq of their CPU, when their
 * time has come. Of the others it is only known whether they are set.
 */
struct timer {
    bool set;
    s_time_t expires;
    void (*function)(void *data);
    void *data;
    struct timer *next;
    unsigned int cpu;
    bool is_dead;
    int runs_on;
};
void init_timer(struct timer *t, void (*function)(void *data), void *data, unsigned int cpu);
void set_timer(struct timer *t, s_time_t expires);
void stop_timer(struct timer *timer);
void kill_timer(struct timer *t);
extern uint64_t boot_count;
extern unsigned long cpu_khz;
struct vtimer { register_t ctl, cval; unsigned int irq; struct timer timer; };

/* public/arch-arm.h, public/domctl.h, public/hvm/dm_op.h */
#define XEN_DOMCTL_CDF_iommu (1U << 5)
#define XEN_DOMCTL_CDF_arm_msi (1U << 9)
#define XEN_DOMCTL_CDF_arm_rvid_levels (1U << 10)
#define XEN_DOMCTL_CDF_vpci (1U << 11)
/* asm/domain.h */
#define has_vpci(d) (!!((d)->options & XEN_DOMCTL_CDF_vpci))
#define GUEST_GICV3_ITS_BASE 0x08080000ULL
#define GUEST_GICV3_ITS_SIZE 0x00020000ULL
#define GUEST_GICV2M_BASE 0x08020000ULL
#define GUEST_GICV2M_SIZE 0x00001000ULL
#define GUEST_RVID_MSI_ADDRESS 0xba5e0000ULL
#define GUEST_RVID_MSI_INPUTS 32
struct xen_domctl_vgic_limits {
    uint32_t lpis, devices, events, storm_rate, storm_burst, pad;
};
struct xen_dm_op_inject_msi2 {
    uint64_t addr;
    uint32_t data, source_id, flags;
    uint16_t segment, pad;
};
#define XEN_DMOP_MSI_SOURCE_ID_VALID (1u << 0)
#define XEN_DOMCTL_CONFIG_GIC_V2 1
#define XEN_DOMCTL_CONFIG_GIC_V3 2
#define XEN_DOMCTL_CONFIG_GIC_RVIC 3
#define GUEST_GICD_BASE 0x03001000ULL
#define GUEST_GICC_BASE 0x03002000ULL
#define GUEST_GICC_SIZE 0x00002000ULL
#define GUEST_GICV3_GICD_BASE 0x03001000ULL
#define GUEST_GICV3_RDIST_REGIONS 1
#define GUEST_GICV3_GICR0_BASE 0x03020000ULL
#define GUEST_GICV3_GICR0_SIZE 0x01000000ULL

/* The vGIC's own structures and functions, as the rest of Xen sees them */
#ifdef MOCK_PEER
#include "peer.h"
#endif
#include <asm/vgic.h>

/* sched.h, domain.h */
#define _VPF_blocked 0
#define _VPF_down 1

struct mmio_handler {
    const struct mmio_handler_ops *ops;
    paddr_t addr, size;
    void *priv;
};

struct domain {
    uint16_t domain_id;
    unsigned int max_vcpus;
    struct vcpu **vcpu;
    int is_dying;
    spinlock_t domain_lock;
    bool hardware, direct_mapped, creation_finished, aarch32, crashed;
    unsigned int options;           /* XEN_DOMCTL_CDF_ */
    /* Frames that the vGIC has mapped, once: GICV, in 4.17. */
    struct mock_mapping { gfn_t at; mfn_t to; unsigned long count; } *mapped;
    struct mmio_handler *mmio;
    unsigned int mmio_used, mmio_max;
    /* Its memory: one range. */
    spinlock_t ram_lock;
    paddr_t ram_base, ram_size;
    unsigned char *ram;
    unsigned long ram_accesses;     /* The vGIC's */
    /* Its devices are behind an IOMMU, and reach these pages beside its memory. */
    bool iommu;
    struct mock_iommu_page { struct mock_iommu_page *next; unsigned long dfn; bool flushed; } *pages;
    struct {
        struct vgic_dist vgic;
        unsigned int evtchn_irq;
        struct { uint64_t offset; } virt_timer_base;
    } arch;
};

/* gic.h: what gic_save_state() keeps, without the list registers. */
struct gic_v3 { register_t vmcr, sre_el1, apr0[4], apr1[4]; };
struct gic_v2 { uint32_t hcr, vmcr, apr; };

struct vcpu {
    int vcpu_id;
    int processor;
    struct domain *domain;
    unsigned long pause_flags;
    bool is_running;
    uint8_t evtchn_upcall_pending;
    struct {
        struct vgic_cpu vgic;
        struct vtimer phys_timer, virt_timer;
        register_t vmpidr, hcr_el2;
        union gic_state_data { struct gic_v2 v2; struct gic_v3 v3; } gic;
        uint64_t lr_mask;           /* Of gic.c, for the old C vGIC */
    } arch;
};

#define is_64bit_domain(d) (!(d)->aarch32)
void domain_crash(struct domain *d);
struct vcpu *mock_current(void);
#define current mock_current()
#define vcpu_info(v, field) ((v)->field)
#define is_hardware_domain(d) ((d)->hardware)
#define is_domain_direct_mapped(d) ((d)->direct_mapped)
/* domain-layout.h has it since 4.22; a peer's is empty. */
#if RVGIC_XEN_RELEASE <= 421 || defined(MOCK_PEER)
#define domain_use_host_layout(d) ((d)->hardware || (d)->direct_mapped)
#endif
#define is_idle_domain(d) ((d)->domain_id == 0x7fff)
#define is_idle_vcpu(v) is_idle_domain((v)->domain)
#define for_each_vcpu(d, v) \
    for ( unsigned int i_ = 0; i_ < (d)->max_vcpus; i_++ ) \
        if ( ((v) = (d)->vcpu[i_]) != NULL )

static inline struct vcpu *domain_vcpu(const struct domain *d, unsigned int id)
{
    return id < d->max_vcpus ? d->vcpu[id] : NULL;
}

void vcpu_kick(struct vcpu *v);
/* There is always somebody who waits. */
#define hypercall_preempt_check() true

/* guest_access.h */
int MOCK_NAME(access_guest_memory_by_ipa, access_guest_memory_by_gpa)(
    struct domain *d, paddr_t gpa, void *buf, uint32_t size, bool is_write);

/* p2m-common.h: no vGIC needs it later. */
#if RVGIC_XEN_RELEASE <= 417
int map_mmio_regions(struct domain *d, gfn_t start, unsigned long count, mfn_t to);
#endif

/* acpi.h, device_tree.h, io.h: where the GICH frame of a GICv2 is */
struct dt_device_node;
extern const bool acpi_disabled;
extern const struct dt_device_node *dt_interrupt_controller;
int MOCK_NAME(dt_device_get_address, dt_device_get_paddr)(
    const struct dt_device_node *node, unsigned int index, paddr_t *addr, paddr_t *size);
void *ioremap_nocache(paddr_t addr, size_t len);
/* Of that frame, and of GICH_HCR alone, which is one register with ICH_HCR_EL2 here. */
#define GICH_HCR 0
#define readl_relaxed(at) ((void)(at), (uint32_t)mock_sysreg_ICH_HCR_EL2())
#define writel_relaxed(value, at) ((void)(at), mock_set_sysreg_ICH_HCR_EL2(value))

#endif /* MOCK_H */
