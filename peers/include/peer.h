/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What Xen's C vGICs ask of Xen's headers beyond what mock.h has: names and
 * meanings are Xen's, the definitions are our own. mock.h includes it, before
 * the tree's own asm/vgic.h, when the C half is compiled for a peer.
 */
#ifndef PEER_H
#define PEER_H

#include <stdlib.h>

#include "collections.h"
#include "gic_driver.h"

/* lib.h, compiler.h, config.h */
#define MAX_VIRT_CPUS 128U
#define INVALID_VCPU_ID MAX_VIRT_CPUS
#define PRIregister "lx"
#define PRIpaddr "016lx"
#define BIT(n, suffix) (1##suffix << (n))
#define ACCESS_ONCE(x) (*(volatile __typeof__(x) *)&(x))
#define ASSERT_UNREACHABLE() ASSERT(false)
#define gprintk(level, fmt, ...) printk(level fmt, ##__VA_ARGS__)
#define gdprintk(level, fmt, ...) printk(level fmt, ##__VA_ARGS__)
#define dprintk(level, fmt, ...) printk(level fmt, ##__VA_ARGS__)
#define perfc_incr(counter) ((void)0)
#define min_t(t, a, b) ({ t a_ = (a); t b_ = (b); a_ < b_ ? a_ : b_; })
#define max_t(t, a, b) ({ t a_ = (a); t b_ = (b); a_ > b_ ? a_ : b_; })
#define smp_wmb() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define smp_rmb() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define le64_to_cpu(x) (x)
#define cpu_to_le64(x) (x)
#define GENMASK(high, low) (~0UL >> (63 - (high)) & ~0UL << (low))
#define GENMASK_ULL(high, low) GENMASK(high, low)
#define MASK_EXTR(value, mask) (((value) & (mask)) / ((mask) & -(mask)))
#define IS_ALIGNED(value, to) (((value) & ((to) - 1)) == 0)
#define PAGE_MASK (~(PAGE_SIZE - 1UL))

/* bitops.h */
#define BITOP_WORD_(p, nr) (((const unsigned long *)(p))[(nr) / BITS_PER_LONG])

static inline unsigned int find_next_matching_(const unsigned long *p, unsigned int end,
                                               unsigned int from, unsigned long invert)
{
    while ( from < end )
    {
        unsigned long word = (BITOP_WORD_(p, from) ^ invert) >> (from % BITS_PER_LONG);

        if ( word )
            return min(from + (unsigned int)__builtin_ctzl(word), end);
        from = (from / BITS_PER_LONG + 1) * BITS_PER_LONG;
    }

    return end;
}

#define find_next_bit(p, end, from) find_next_matching_(p, end, from, 0)
#define find_next_zero_bit(p, end, from) find_next_matching_(p, end, from, ~0UL)
#define find_first_bit(p, end) find_next_bit(p, end, 0)
#define ffs(x) __builtin_ffs(x)
#define ilog2(x) (63U - (unsigned int)__builtin_clzl(x))
#define fls(x) ((x) ? 32U - (unsigned int)__builtin_clz(x) : 0U)

/* Each set bit by number: of a bitmap, and since 4.20 of a value of any width. */
#if RVGIC_XEN_RELEASE <= 419
#define for_each_set_bit(bit, p, end) \
    for ( (bit) = find_first_bit(p, end); (bit) < (end); \
          (bit) = find_next_bit(p, end, (bit) + 1) )
#else
#define for_each_set_bit(bit, value) \
    for ( unsigned long left_ = (value), bit; \
          left_ && ((bit = (unsigned long)__builtin_ctzl(left_)), true); \
          left_ &= left_ - 1 )
#endif

/* 4.20 */
#define bitmap_for_each(bit, p, end) \
    for ( unsigned int bit = find_first_bit(p, end); bit < (end); \
          bit = find_next_bit(p, end, bit + 1) )

/* atomic.h: counts are never shared before LPIs are */
typedef struct { int counter; } atomic_t;

#define read_u64_atomic(p) read_atomic(p)
#define write_u64_atomic(p, value) write_atomic(p, value)

static inline void atomic_set(atomic_t *v, int n) { __atomic_store_n(&v->counter, n, __ATOMIC_RELAXED); }
static inline void atomic_inc(atomic_t *v) { __atomic_add_fetch(&v->counter, 1, __ATOMIC_SEQ_CST); }

static inline bool atomic_dec_and_test(atomic_t *v)
{
    return __atomic_sub_fetch(&v->counter, 1, __ATOMIC_SEQ_CST) == 0;
}

/* spinlock.h, rwlock.h: who writes holds the lock; who reads, one of the readers */
typedef struct { spinlock_t lock; unsigned int readers; } rwlock_t;

void rvgic_mock_relax(void);

static inline void read_lock(rwlock_t *l)
{
    spin_lock(&l->lock);
    __atomic_add_fetch(&l->readers, 1, __ATOMIC_SEQ_CST);
    spin_unlock(&l->lock);
}

static inline void write_lock(rwlock_t *l)
{
    spin_lock(&l->lock);
    while ( __atomic_load_n(&l->readers, __ATOMIC_SEQ_CST) )
    {
        spin_unlock(&l->lock);
        rvgic_mock_relax();
        spin_lock(&l->lock);
    }
}

#define local_irq_disable() ((void)mock_local_irq_save())
#define local_irq_enable() mock_local_irq_restore(1)
#define spin_lock_irq(l) do { local_irq_disable(); spin_lock(l); } while ( 0 )
#define spin_unlock_irq(l) do { spin_unlock(l); local_irq_enable(); } while ( 0 )
#define rwlock_init(l) (spin_lock_init(&(l)->lock), (l)->readers = 0)
#define read_unlock(l) ((void)__atomic_sub_fetch(&(l)->readers, 1, __ATOMIC_SEQ_CST))
#define write_unlock(l) spin_unlock(&(l)->lock)

/* percpu.h */
unsigned int mock_this_cpu(void);
#define DECLARE_PER_CPU(type, name) extern type per_cpu_##name[MOCK_CPUS]
#define DEFINE_PER_CPU(type, name) type per_cpu_##name[MOCK_CPUS]
#define this_cpu(name) per_cpu_##name[mock_this_cpu()]

DECLARE_PER_CPU(uint64_t, lr_mask);

/* iommu.h: never there */
#define _dfn(x) (x)
#define IOMMUF_writable 2
#define is_iommu_enabled(d) false
#define iommu_map(d, dfn, mfn, count, flags, flush) ((void)(mfn), (void)(flush), 0)
#define iommu_iotlb_flush(d, dfn, count, flush) 0

/* irq.h */
typedef struct irq_desc irq_desc_t;
#define INVALID_IRQ 1023U
#define NR_ESPI_IRQS 1024U

static inline bool is_lpi(unsigned int irq)
{
    return irq >= LPI_OFFSET;
}

static inline bool gic_is_valid_espi(unsigned int irq)
{
    return irq >= ESPI_BASE_INTID && irq < espi_idx_to_intid(gic_number_espis());
}

#include "register_access.h"

/* processor.h, domain.h: sixteen vCPUs to a cluster */
#define MPIDR_AFFINITY_LEVEL(mpidr, level) \
    (((mpidr) >> ((level) == 3 ? 32 : 8 * (level))) & 0xff)

static inline uint64_t vcpuid_to_vaffinity(unsigned int id)
{
    return (id & 0xf) | (uint64_t)(id >> 4) << 8;
}

static inline unsigned int vaffinity_to_vcpuid(uint64_t affinity)
{
    return MPIDR_AFFINITY_LEVEL(affinity, 0) | MPIDR_AFFINITY_LEVEL(affinity, 1) << 4;
}

/* sched.h */
#define domain_lock(d) spin_lock(&(d)->domain_lock)
#define domain_unlock(d) spin_unlock(&(d)->domain_lock)
#define is_vcpu_online(v) (!test_bit(_VPF_down, &(v)->pause_flags))

/* What releases before 4.21 do not have. */
#if RVGIC_XEN_RELEASE <= 420
bool vgic_is_valid_line(struct domain *d, unsigned int virq);

static inline bool vgic_is_spi(struct domain *d, unsigned int virq)
{
    return virq >= NR_LOCAL_IRQS && vgic_is_valid_line(d, virq);
}
#endif

#endif /* PEER_H */
