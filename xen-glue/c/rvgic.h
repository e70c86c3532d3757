/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the C half offers to the Rust half of the vGIC: Xen's macros and
 * inlines as functions, and the places of the few fields that hot paths read
 * themselves. The other direction, Rust for C, is in the generated exports.h.
 */
#ifndef RVGIC_H
#define RVGIC_H

#include <xen/types.h>

#include <asm/mmio.h>

struct domain;
struct vcpu;
struct irq_desc;
struct pci_dev;

/* Offsets in bytes. The structure comes from src/layout.rs by exports.h. */
extern const struct rvgic_layout rvgic_layout;

/* The GICH frame of a host GICv2; NULL on a GICv3. See gich.c. */
extern volatile void *rvgic_gich;
void rvgic_map_gich(void);

/* rvgic-trap-common on Xen's command line. See host.c. */
extern bool rvgic_trap_common;

struct vcpu *rvgic_current(void);

/* The host's GIC: 2 or 3, and how many interrupts it and its vGICs can have. */
unsigned int rvgic_host_version(void);
unsigned int rvgic_host_spis(void);
unsigned int rvgic_host_espis(void);

/*
 * Frames of a domain: both accept a zeroed domain. Registering also maps what
 * the guest, or a device, is to reach without a trap, and returns -errno if it
 * cannot.
 */
bool rvgic_region(const struct domain *d, unsigned int region,
                  uint64_t *base, uint64_t *size);
int rvgic_register_frames(struct domain *d);
void rvgic_forget_frames(struct domain *d);

/*
 * The virtual CPU interface of a vCPU that does not run, as it is kept for its
 * next run: VMCR, ICC_SRE_EL1, ICH_AP0R<n>_EL2, ICH_AP1R<n>_EL2. On a GICv2 the
 * first and the third are GICH_VMCR and GICH_APR, and the others are 0.
 */
#define RVGIC_INTERFACE_WORDS 10
void rvgic_interface_save(const struct vcpu *v,
                          uint32_t *words);
void rvgic_interface_restore(struct vcpu *v,
                             const uint32_t *words);

/*
 * Virtual ITSes, those of msi.c: bits of an LPI's INTID (0: the domain has no
 * LPIs), and what ITS number n of a domain is to be, if it has one. There are
 * 64 at the most. Is it trusted with as much memory as they can ever take?
 */
unsigned int rvgic_lpi_bits(const struct domain *d);
bool rvgic_its(const struct domain *d, unsigned int n,
               uint32_t *device_bits, uint32_t *event_bits);
bool rvgic_unlimited(const struct domain *d);
int rvgic_register_its(struct domain *d);

/*
 * The frame of a GICv2m, if the domain has one: how many SPIs, and the first of
 * them, which is not known before there is a vGIC. Those that the domain is
 * created with are below, and the Rust half adds the frame's.
 */
bool rvgic_v2m(const struct domain *d, uint32_t *base, uint32_t *count);

/*
 * Functions of the host's that the domain owns: is this address its doorbell,
 * and is what it writes there the host's? What its devices are is in vpci.c.
 */
bool rvgic_msi_is_doorbell(const struct domain *d, uint64_t address);
bool rvgic_msi_is_direct(const struct domain *d);

/*
 * One of them has sent this to the domain's doorbell. irq: hard interrupt
 * context; -EAGAIN is then, and rarely otherwise, that it is to be sent again.
 */
int rvgic_own_message(struct domain *d, uint32_t device, uint32_t data,
                      bool irq);

/* The vCPU that it goes to; NULL: none, or it cannot be told now. Any context. */
struct vcpu *rvgic_own_message_target(struct domain *d, uint32_t device,
                                      uint32_t data);

/*
 * Of a domain with an rVIC: how many inputs of the rVID are for messages, if
 * there are any, and are lines at its inputs levels? Both before it has one.
 */
bool rvgic_rvic_messages(const struct domain *d, uint32_t *count);
bool rvgic_rvic_levels(const struct domain *d);

/*
 * The virtual interrupt of v, which is current and about to enter its guest.
 * Interrupts are off.
 */
void rvgic_set_virtual_irq(struct vcpu *v, bool on);

/* Guest memory; false: some of it is not there. Process context. */
bool rvgic_read_guest(struct domain *d, uint64_t gpa, void *to, uint32_t size);
bool rvgic_write_guest(struct domain *d, uint64_t gpa, const void *from,
                       uint32_t size);

/*
 * A device of ITS number n: RVGIC_REFUSED, RVGIC_HARDWARE or RVGIC_SOFTWARE.
 * What follows, and that it is valid no longer, is for those of the hardware
 * only. Process context.
 */
unsigned int rvgic_map_device(struct domain *d, unsigned int n, uint32_t device,
                              uint32_t event_bits, bool valid);
bool rvgic_map_event(struct domain *d, unsigned int n, uint32_t device,
                     uint32_t event, uint32_t virq);
void rvgic_unmap_event(struct domain *d, unsigned int n, uint32_t device,
                       uint32_t event);
void rvgic_clear_event(struct domain *d, unsigned int n, uint32_t device,
                       uint32_t event);
void rvgic_route_event(struct domain *d, unsigned int n, uint32_t device,
                       uint32_t event, const struct vcpu *v);

/* What a storm keeps in the host is no longer pending, see lpis.c. */
void rvgic_clear_lpi(struct domain *d, paddr_t doorbell, uint32_t device,
                     uint32_t event);

/*
 * What a function's MSI and MSI-X come to in the host, see vpci.c and src/msi.rs
 * of the vGIC: it is mapped for so many events, and is to write them to the
 * doorbell; each is a message to its owner, or none; and its own registers, of
 * which all entries are masked when it is attached.
 */
int rvgic_msi_host_map(struct pci_dev *pdev, uint32_t events,
                       uint64_t *doorbell);
void rvgic_msi_host_unmap(struct pci_dev *pdev);
int rvgic_msi_host_bind(struct pci_dev *pdev, uint32_t event, uint32_t device,
                        uint32_t data);
void rvgic_msi_host_unbind(struct pci_dev *pdev, uint32_t event);
void rvgic_msi_host_write_msi(struct pci_dev *pdev, uint64_t address,
                              uint32_t data);
bool rvgic_msi_host_mask_msi(struct pci_dev *pdev, uint32_t vector,
                             bool masked);
int rvgic_msi_host_write_entry(struct pci_dev *pdev, uint32_t entry,
                               uint64_t address, uint32_t data);
void rvgic_msi_host_mask_entry(struct pci_dev *pdev, uint32_t entry,
                               bool masked);

/*
 * In a storm a function keeps its messages: by the mask bits of MSI-X, or of MSI
 * if that has any, beside what its owner masks. For all functions of the domain:
 * by rvgic_take_changed(), those of a block of LPIs that are to be kept from now
 * on, or not any more. And is it kept now? One that is to be and cannot has its
 * LPI disabled for the while. Softirq context.
 */
void rvgic_apply_held(struct domain *d);
uint32_t rvgic_take_changed(const struct domain *d, uint32_t first_lpi,
                            uint32_t *held);
void rvgic_lpi_kept(struct domain *d, uint32_t lpi, bool kept);

/* Host LPIs that follow their vCPUs, see strays.c. */
int rvgic_look_for_strays(struct domain *d);
void rvgic_forget_strays(struct domain *d);
/* One in so many LPIs is looked at. Hard interrupt context. */
void rvgic_look_at_stray(struct domain *d, unsigned int virq);
/* The same of a message, by its host LPI. */
void rvgic_look_at_message(struct domain *d, uint32_t lpi);

/*
 * Storms of host interrupts, see storm.c. Whoever is to have LPIs is watched
 * from the beginning. When no LPI of a dying domain arrives any more, watching
 * stops; it is forgotten when the domain has no SPIs of the host's either.
 */
int rvgic_watch_lpis(struct domain *d);
void rvgic_lpis_come_to(struct domain *d, unsigned int cpu);
void rvgic_stop_storms(struct domain *d);
void rvgic_forget_storms(struct domain *d);
void rvgic_dump_storms(const struct domain *d);
/* With the lock of the descriptor: it is held, and remembers what is wanted. */
bool rvgic_desc_held(struct irq_desc *desc, bool wanted);
/* The same lock: it is going to be somebody's, who has nothing held yet. */
void rvgic_desc_fresh(struct irq_desc *desc);

/* A write comes with the whole register of the guest. */
static inline uint64_t rvgic_written(const mmio_info_t *info, register_t r)
{
    return r & (~0ULL >> (64 - (8U << info->dabt.size)));
}

/*
 * What Xen is to make of a store: step over it, or leave it where it is. Then
 * whatever interrupt has come is taken, and the guest executes it again.
 */
static inline int rvgic_stored(bool again)
{
    return again ? IO_RETRY : IO_HANDLED;
}

/*
 * The level of a line that can be looked at: the event channel's and the
 * timers'. Negative: virq is no such line, or it cannot be seen from here.
 */
int rvgic_line(const struct vcpu *v, unsigned int virq);
int rvgic_vtimer_line(const struct vcpu *v);
bool rvgic_ptimer_line(const struct vcpu *v);

/* Where Xen keeps the line of the virtual timer: looks at it, on an exit. */
void rvgic_vtimer_sample(struct vcpu *v);
/* The same, on a call of the rVIC of v, which is current. */
void rvgic_vtimer_resample(struct vcpu *v);

/* Can Xen's clock be waiting for what is so many ticks after its start? */
bool rvgic_comes_in_time(uint64_t ticks);

/* May this domain choose the trigger type of its physical interrupts? */
bool rvgic_may_set_type(const struct domain *d);

/* Physical interrupts. NULL: no such SPI or extended SPI. */
struct irq_desc *rvgic_irq_desc(unsigned int irq);
unsigned long rvgic_desc_lock(struct irq_desc *desc);
void rvgic_desc_unlock(struct irq_desc *desc, unsigned long flags);
/* Under that lock: */
void rvgic_desc_set_enabled(struct irq_desc *desc, bool on);
void rvgic_desc_set_trigger(struct irq_desc *desc, bool level);
void rvgic_desc_set_active(struct irq_desc *desc, bool on);
void rvgic_desc_set_pending(struct irq_desc *desc, bool on);
bool rvgic_desc_is_pending(struct irq_desc *desc);
/* Is it level-sensitive, as far as Xen was told? */
bool rvgic_desc_is_level(const struct irq_desc *desc);
bool rvgic_desc_has_fallen(struct irq_desc *desc);
void rvgic_desc_done(struct irq_desc *desc);
/* Needs no lock. Routes to the pCPU that v is on, or is to run on next. */
void rvgic_desc_route(struct irq_desc *desc, const struct vcpu *v);

/* A PPI of this CPU, whose interrupts are off. */
void rvgic_ppi_set_active(unsigned int ppi, bool on);

#ifdef CONFIG_RUST_VGIC_RECORD
/* Memory of zeroes for the recorder, a power of two of bytes, or NULL. */
uint64_t *rvgic_record_buffer(size_t size);
#endif

/* Text of len bytes, without an end. level: 1 error to 5 trace (crate log). */
void rvgic_log(unsigned int level, const char *text, size_t len);
/* Console output as it is, for dumps. */
void rvgic_print(const char *text, size_t len);
void rvgic_panic(const char *text, size_t len);

#endif /* RVGIC_H */

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
