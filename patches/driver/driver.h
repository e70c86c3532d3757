/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * As much of Xen as its driver of the host's ITS takes: included before it, with
 * all of Xen's headers empty but those of the ITS. The machine behind it is in
 * driver.c. No thread: what another CPU does happens at calls of the driver's.
 */
#ifndef DRIVER_H
#define DRIVER_H

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef ERESTART
#define ERESTART 85
#endif

typedef uint64_t paddr_t, u64;
typedef uint32_t u32, __be32;
typedef uint16_t u16;
typedef uint8_t u8;
typedef int64_t s_time_t;
typedef uint16_t domid_t;

#define __init
#define __initdata
#define __read_mostly
#define __ro_after_init
#define __iomem
#define cf_check
#define asmlinkage
#define likely(x) (x)
#define unlikely(x) (x)
#define min(a, b) ((a) < (b) ? (a) : (b))
#define max(a, b) ((a) > (b) ? (a) : (b))
#define BIT(n, sfx) (1UL << (n))
#define GENMASK(h, l) ((~0UL << (l)) & (~0UL >> (63 - (h))))
#define GENMASK_ULL GENMASK
#define MASK_EXTR(v, m) (((v) & (m)) / ((m) & -(m)))
#define MASK_INSR(v, m) (((v) * ((m) & -(m))) & (m))
#define ROUNDUP(x, a) (((x) + (a) - 1) & ~((a) - 1))
#define SZ_4K 0x1000UL
#define SZ_64K 0x10000UL
#define SZ_128K 0x20000UL
#define SZ_1M 0x100000UL
#define PAGE_SIZE 4096UL
#define PAGE_SHIFT 12
#define PFN_UP(x) (((x) + PAGE_SIZE - 1) >> PAGE_SHIFT)
#define PFN_DOWN(x) ((x) >> PAGE_SHIFT)
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(p, type, member) ((type *)((char *)(p) - offsetof(type, member)))
#define BUILD_BUG_ON(x) _Static_assert(!(x), #x)
#define IS_ENABLED(x) 0

static inline unsigned int fls(unsigned int x)
{
    return x ? 32 - __builtin_clz(x) : 0;
}

void broken(const char *what, ...);
#define ASSERT(x) do { if ( !(x) ) broken("ASSERT(" #x ")"); } while ( 0 )
#define BUG_ON(x) ASSERT(!(x))
#define ASSERT_UNREACHABLE() ASSERT(0)
#define XENLOG_ERR ""
#define XENLOG_WARNING ""
#define XENLOG_INFO ""
#define XENLOG_G_WARNING ""
#define printk(...) ((void)0)
#define printk_ratelimit() true
#define warning_add(x) ((void)(x))

/* Lists and trees */
struct list_head { struct list_head *next, *prev; };
#define LIST_HEAD(name) struct list_head name = { &name, &name }
#define list_entry(p, type, member) container_of(p, type, member)
#define list_first_entry(head, type, member) list_entry((head)->next, type, member)
#define list_for_each_entry(pos, head, member)                          \
    for ( pos = list_entry((head)->next, __typeof__(*pos), member);     \
          &pos->member != (head);                                       \
          pos = list_entry(pos->member.next, __typeof__(*pos), member) )

static inline bool list_empty(const struct list_head *head)
{
    return head->next == head;
}

static inline void list_add_tail(struct list_head *new, struct list_head *head)
{
    new->prev = head->prev;
    new->next = head;
    head->prev->next = new;
    head->prev = new;
}

struct rb_node { struct rb_node *parent, *rb_left, *rb_right; };
struct rb_root { struct rb_node *rb_node; };
#define RB_ROOT (struct rb_root){ NULL }
#define RB_EMPTY_ROOT(root) (!(root)->rb_node)
#define rb_entry(p, type, member) container_of(p, type, member)
void rb_link_node(struct rb_node *node, struct rb_node *parent, struct rb_node **link);
void rb_erase(struct rb_node *node, struct rb_root *root);
#define rb_insert_color(node, root) ((void)0)

/* Locks, time, memory */
typedef struct { bool held; } spinlock_t;
#define spin_lock_init(l) ((l)->held = false)
#define spin_is_locked(l) ((l)->held)
void spin_lock(spinlock_t *lock);
void spin_unlock(spinlock_t *lock);
s_time_t NOW(void);
#define MILLISECS(n) ((n) * 1000000L)
#define udelay(n) ((void)(n))
#define cpu_relax() ((void)0)
#define in_irq() false
#define wmb() ((void)0)
#define smp_wmb() ((void)0)
#define smp_rmb() ((void)0)
#define dsb(x) ((void)0)
#define clean_and_invalidate_dcache_va_range(p, n) ((void)(p), (void)(n))
#define MEMF_bits(n) (n)
void *alloc_xenheap_pages(unsigned int order, unsigned int memflags);
void free_xenheap_pages(void *p, unsigned int order);
#define alloc_xenheap_page() alloc_xenheap_pages(0, 0)
void *_xzalloc(size_t size, size_t align);
void xfree(void *p);
#define xzalloc(type) ((type *)_xzalloc(sizeof(type), 16))
#define xzalloc_array(type, n) ((type *)_xzalloc(sizeof(type) * (n), 16))
#define virt_to_maddr(p) ((paddr_t)(uintptr_t)(p))

static inline unsigned int get_order_from_bytes(size_t size)
{
    unsigned int order = 0;

    while ( (PAGE_SIZE << order) < size )
        order++;

    return order;
}

/* Registers */
uint64_t readq_relaxed(const void *at);
void writeq_relaxed(uint64_t value, void *at);
#define readl_relaxed(at) ((uint32_t)readq_relaxed(at))
#define writel_relaxed(value, at) writeq_relaxed(value, at)
#define read_u64_atomic(p) (*(p))
void write_u64_atomic(uint64_t *p, uint64_t value);
#define read_atomic(p) (*(p))
#define ACCESS_ONCE(x) (x)
#define WRITE_SYSREG(value, name) ((void)(value))

/* CPUs */
#define DEFINE_PER_CPU(type, name) __typeof__(type) name
#define this_cpu(name) name
#define per_cpu(name, cpu) (*((void)(cpu), &(name)))
#define smp_processor_id() 0U
#define num_possible_cpus() 4U
typedef struct { unsigned long bits; } cpumask_t;
#define for_each_cpu(cpu, mask)                                         \
    for ( (cpu) = 0; (cpu) < num_possible_cpus(); (cpu)++ )             \
        if ( (mask)->bits >> (cpu) & 1 )
#define cpu_online(cpu) ((cpu) < num_possible_cpus())
#define CPU_UP_PREPARE 1
struct notifier_block {
    int (*notifier_call)(struct notifier_block *nfb, unsigned long action, void *hcpu);
};
#define NOTIFY_DONE 0
#define notifier_from_errno(rc) (rc)
#define register_cpu_notifier(nfb) ((void)(nfb))
#define integer_param(name, var) extern int driver_param_

/* Interrupts, domains */
#define LPI_OFFSET 8192U
#define INVALID_LPI 0U
#define is_lpi(n) ((n) >= LPI_OFFSET)
#define GIC_PRI_IRQ 0xa0
#define DOMID_INVALID 0x7ff4U
#define DOMID_XEN 0x7ff2U
#define irq_enter() ((void)0)
#define irq_exit() ((void)0)

struct pending_irq { unsigned int irq; };

struct domain {
    domid_t domain_id;
    struct { struct { struct rb_root its_devices; spinlock_t its_devices_lock; } vgic; } arch;
};

struct domain *rcu_lock_domain_by_id(domid_t id);
void rcu_unlock_domain(struct domain *d);
bool rcu_irq_enter(unsigned int cpu);
void rcu_irq_exit(unsigned int cpu, bool idle);
bool hypercall_preempt_check(void);

/* Storms: nothing is held here. */
void vgic_host_lpi(struct domain *d, uint32_t lpi, uint32_t virq);
#define vgic_lpi_block(d, first_lpi) ((void)(first_lpi))
#define vgic_take_stale_lpis(d, first_lpi) ((void)(first_lpi), 0U)
#define vgic_lpis_stale(d, first_lpi, lpis) ((void)(first_lpi), (void)(lpis))
#define vgic_lpi_waits(d, lpi) ((void)(lpi), false)

/* What is not called here */
struct vcpu;
struct fdt;
struct dt_device_node { const char *name; uint32_t phandle; };
extern const bool acpi_disabled;
extern const struct dt_device_node *dt_interrupt_controller;
#define dt_for_each_child_node(node, its) for ( ; its; its = NULL )

#endif /* DRIVER_H */
