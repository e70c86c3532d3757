/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What storm.c, lpis.c and messages.c have from each other.
 */
#ifndef RVGIC_STORM_H
#define RVGIC_STORM_H

#include <xen/bitmap.h>
#include <xen/cache.h>
#include <xen/cpumask.h>
#include <xen/list.h>
#include <xen/smp.h>
#include <xen/spinlock.h>
#include <xen/tasklet.h>
#include <xen/time.h>
#include <xen/timer.h>

#include "glue.h"

/* A bit for each SPI, by its number in the domain; then for extended ones. */
#define SPI_BITS        2048U
#define FIRST_ESPI      4096U

struct rvgic_storm {
    struct domain *d;
    struct tasklet tasklet;
    struct timer timer;

    spinlock_t lock;
    /* Under it: tokens left, in units of 1/TOKEN, at a time. */
    uint64_t level;
    s_time_t filled;
    /* Something may be held. The timer goes off at some time. */
    bool armed, due, dead;
    s_time_t since, when;
    /* For the console. */
    uint64_t times;
    s_time_t held_for;

    DECLARE_BITMAP(spis, SPI_BITS);
    /* The tasklet's: whose turn it is. */
    unsigned int next_spi;
    bool lpis_first;

#ifdef CONFIG_HAS_ITS
    /*
     * Under the lock of the LPIs: blocks of which some are held, or owed, or one
     * or the other no longer.
     */
    struct list_head blocks, owing, changing;
    unsigned int nr_lpis;
    bool stale;
    /* Stays, once one of its LPIs has been held; read without the lock. */
    bool has_held;
    unsigned int restless;
    /* Where its LPIs have come to, or been sent to. */
    cpumask_t cpus;
#endif

    /* A cache line for each CPU: the tokens that it has in hand. */
    struct rvgic_in_hand {
        unsigned int tokens;
    } __cacheline_aligned cpus_have[];
};

/*
 * Takes a token of those that this CPU has in hand, if there is one. Hard
 * interrupt context: nobody else is at it.
 */
static inline bool rvgic_storm_in_hand(struct rvgic_storm *storm)
{
    struct rvgic_in_hand *have = &storm->cpus_have[smp_processor_id()];

    if ( unlikely(!have->tokens) )
        return false;
    have->tokens--;

    return true;
}

/* Otherwise: takes one from the bucket, and some in hand. False: a storm. */
bool rvgic_storm_fetch(struct rvgic_storm *storm);

/* Something is held now: sees to it that it is let go. */
void rvgic_storm_held(struct rvgic_storm *storm);

/* The same, in that time if it is not to happen anyway. Under its lock. */
void rvgic_storm_arm(struct rvgic_storm *storm, s_time_t time);

#ifdef CONFIG_HAS_ITS
/* LPIs are given to domains in blocks. */
struct lpi_block {
    struct domain *d;
    struct list_head entry;
    /* A bit each: those whose property byte has changed since INV are stale. */
    uint32_t held, stale;
    /* Those before that one have been let go in this turn. */
    unsigned int next;
    /* A bit each: messages that could not be sent where they came. */
    struct list_head owing;
    uint32_t owed;
    /* And those that are held, or not any more, of which nothing knows yet. */
    struct list_head changing;
    uint32_t changed;
    /* Of those that are held, the ones that their functions do not keep. */
    uint32_t disabled;
};

/* Of all blocks. */
extern spinlock_t rvgic_lpis_lock;

/* NULL: none is watched, or it is none. */
struct lpi_block *rvgic_lpi_block(uint32_t lpi);
uint32_t rvgic_first_lpi(const struct lpi_block *block);

/* There are no tokens for it. Hard interrupt context. */
void rvgic_hold_lpi(struct rvgic_storm *storm, uint32_t lpi);
/* In its property byte, of which redistributors are told later. Under the lock. */
void rvgic_set_lpi_enabled(struct rvgic_storm *storm, struct lpi_block *block,
                           unsigned int n, bool on);

/* So many at most. How many more might there have been? */
unsigned int rvgic_let_go_lpis(struct rvgic_storm *storm, unsigned int max);
void rvgic_forget_lpis(struct rvgic_storm *storm);
unsigned int rvgic_held_lpis(const struct rvgic_storm *storm);
/* Has the redistributors read what has changed. Softirq context. */
void rvgic_invalidate_lpis(struct rvgic_storm *storm);
#else
static inline unsigned int rvgic_held_lpis(const struct rvgic_storm *storm)
{
    return 0;
}

static inline unsigned int rvgic_let_go_lpis(struct rvgic_storm *storm,
                                             unsigned int max)
{
    return max;
}

static inline void rvgic_forget_lpis(struct rvgic_storm *storm) {}
static inline void rvgic_invalidate_lpis(struct rvgic_storm *storm) {}
#endif

#ifdef CONFIG_HAS_PCI_MSI
/* Sends messages that could not be sent where they came. Softirq context. */
void rvgic_send_owed(struct rvgic_storm *storm);
/* Has functions keep their messages, or no longer. Softirq context. */
void rvgic_change_lpis(struct rvgic_storm *storm);
#else
static inline void rvgic_send_owed(struct rvgic_storm *storm) {}
static inline void rvgic_change_lpis(struct rvgic_storm *storm) {}
#endif

#endif /* RVGIC_STORM_H */

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
