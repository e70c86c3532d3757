/* SPDX-License-Identifier: MIT */
/*
 * What this program needs of Xen's interface, for arm64: the layouts that Xen 4.17 and later have in common, and where
 * they differ, both.
 * Written for this program; what the fields mean is in Xen's public headers (domctl.h, sysctl.h, memory.h,
 * event_channel.h, arch-arm.h).
 */
#ifndef LIFE_XEN_H
#define LIFE_XEN_H

#include <stddef.h>
#include <stdint.h>

enum { MEMORY_OP = 12, VERSION = 17, EVENT_CHANNEL_OP = 32, SYSCTL = 35, DOMCTL = 36, DM_OP = 41 };

/* The domctl and sysctl interfaces have no stable version: these are the ones whose layouts were compared. */
enum { DOMCTL_OLDEST = 0x15, DOMCTL_NEWEST = 0x18, SYSCTL_OLDEST = 0x15, SYSCTL_NEWEST = 0x16 };

enum {
	DOMCTL_CREATE = 1,
	DOMCTL_DESTROY = 2,
	DOMCTL_PAUSE = 3,
	DOMCTL_UNPAUSE = 4,
	DOMCTL_INFO = 5,
	DOMCTL_MAX_MEM = 11,
	DOMCTL_SET_VCPU_CONTEXT = 12,
	DOMCTL_MAX_VCPUS = 15,
	DOMCTL_IOMEM_PERMISSION = 20,
	DOMCTL_RESUME = 27,
	DOMCTL_GET_CONTEXT = 33,
	DOMCTL_SET_CONTEXT = 34,
	DOMCTL_SET_ADDRESS_SIZE = 35,
	DOMCTL_ASSIGN_DEVICE = 37,
	DOMCTL_BIND_IRQ = 38,
	DOMCTL_DEASSIGN_DEVICE = 47,
	DOMCTL_VUART = 81,
	DOMCTL_SET_PAGING_POOL = 86,
	DOMCTL_VGIC_RESET = 92,
	SYSCTL_PHYSINFO = 3,
	MEMORY_POPULATE = 6,
	MEMORY_ADD_TO_PHYSMAP = 7,
	VERSION_NUMBER = 0, /* the release: 4 << 16 | 17 */
	DM_SET_IRQ_LEVEL = 19,
	DM_INJECT_MSI2 = 21,
	EVENT_BIND_INTERDOMAIN = 0,
	EVENT_CLOSE = 3,
	EVENT_SEND = 4,
	EVENT_ALLOC_UNBOUND = 6,
};

/* As the name of a domain that is to be created, DOMID_ANY leaves the choice to Xen. */
enum { DOMID_SELF = 0x7ff0, DOMID_IO = 0x7ff1, DOMID_ANY = 0x7ff5 };

/* The architecture's part of a domain. Read: the version that it has got. */
struct arch_createdomain {
	uint8_t gic_version;
	/* 4.18 and later; padding before. */
	uint8_t sve_vl;
	uint16_t tee_type;
	uint32_t nr_spis;
	uint32_t clock_frequency;
	uint32_t more;
};

struct createdomain {
	uint32_t ssidref;
	uint8_t handle[16];
	uint32_t flags;
	uint32_t iommu_opts;
	uint32_t max_vcpus;
	uint32_t max_evtchn_port;
	int32_t max_grant_frames;
	int32_t max_maptrack_frames;
	uint32_t grant_opts;
	union {
		struct {
			uint32_t altp2m;
			uint32_t vmtrace_size;
			uint32_t cpupool_id;
			struct arch_createdomain arch;
		} now;
		/* 4.17 and 4.18: DOMCTL_WITHOUT_ALTP2M is the last version of it. */
		struct {
			uint32_t vmtrace_size;
			uint32_t cpupool_id;
			struct arch_createdomain arch;
		} before;
	};
};
enum { DOMCTL_WITHOUT_ALTP2M = 0x16 };
enum { CREATE_HVM = 1, CREATE_HAP = 2, CREATE_IOMMU = 1 << 5, CREATE_VPCI = 1 << 11, CREATE_MSI_BEFORE_4_21 = 1 << 8, CREATE_MSI = 1 << 9, GRANT_VERSION_1 = 1, GIC_NATIVE = 0, GIC_V2 = 1, GIC_V3 = 2, GIC_RVIC = 3 };

struct domctl {
	uint32_t command;
	uint32_t version;
	uint16_t domain;
	uint16_t pad[3];
	union {
		struct createdomain create;
		struct { uint32_t max; } max_vcpus;
		struct { uint64_t kib; } max_mem;
		struct { uint64_t bytes; } paging_pool;
		struct { uint32_t bits; } address_size;
		struct { uint32_t vcpu; uint64_t context; } vcpu_context;
		struct { uint32_t machine_irq, type; uint16_t spi; } bind_irq;
		/* Pages of memory that is no RAM. */
		struct { uint64_t first, count; uint8_t permit; } iomem_permission;
		struct { uint32_t kind, flags, sbdf; } assign_device;
		/* Read: the other end of its event channel. */
		struct { uint32_t command, type; uint64_t frame; uint16_t backend, pad; uint32_t port; } vuart;
		/* Its beginning, which is the same in all releases. */
		struct { uint16_t domain, pad; uint32_t flags; } info;
		/* A stream of records (public/arch-arm/hvm/save.h); a null buffer asks for the size. */
		struct { uint32_t size; uint64_t buffer; } context;
		struct { uint32_t what, its; } vgic_reset;
		uint8_t size[128];
	};
};
enum { BIND_SPI = 4, RESET_ALL = 0, DEVICE_IS_PCI = 0, VUART_INIT = 0, VUART_VPL011 = 0 };
enum { INFO_DYING = 1, INFO_SHUTDOWN = 1 << 2, INFO_REASON_SHIFT = 16, INFO_REASON_MASK = 0xff };
enum { REASON_POWEROFF = 0, REASON_REBOOT = 1, REASON_SUSPEND = 2, REASON_CRASH = 3 };
_Static_assert(offsetof(struct domctl, info.flags) == 20, "getdomaininfo");
_Static_assert(offsetof(struct domctl, context.buffer) == 24, "hvmcontext");
_Static_assert(offsetof(struct domctl, create) == 16, "domctl");
_Static_assert(offsetof(struct createdomain, now.arch) == 60, "createdomain");
_Static_assert(offsetof(struct createdomain, before.arch) == 56, "createdomain up to 4.18");

struct sysctl {
	uint32_t command;
	uint32_t version;
	union {
		struct { uint32_t numbers[10]; uint64_t total_pages, free_pages; } physinfo;
		uint8_t size[128];
	};
};
_Static_assert(offsetof(struct sysctl, physinfo.free_pages) == 56, "physinfo");

struct vcpu_context {
	uint32_t flags;
	uint64_t x[31], pc, cpsr, spsr_el1;
	uint32_t aarch32[4];
	uint64_t sp_el0, sp_el1, elr_el1;
	uint64_t sctlr, ttbcr, ttbr0, ttbr1;
};
enum { VCPU_ONLINE = 1 };
_Static_assert(sizeof(struct vcpu_context) == 352, "vcpu_guest_context");

struct memory_reservation {
	uint64_t extents;
	uint64_t count;
	uint32_t order;
	uint32_t flags;
	uint16_t domain;
};

/* A page that is to be somewhere else. */
struct memory_move {
	uint16_t domain, count;
	uint32_t what;
	uint64_t index, frame;
};
enum { MOVE_SHARED_INFO = 0 };
_Static_assert(sizeof(struct memory_move) == 24, "add_to_physmap");

/* A device model's operations, of which two are needed here. */
struct dm_op {
	uint32_t op, pad;
	union {
		struct {
			uint64_t address;
			uint32_t data, source, flags;
			uint16_t segment, pad2;
		};
		struct { uint32_t number; uint8_t level, pad[3]; } line;
	};
};
enum { MSI_SOURCE_VALID = 1 };
_Static_assert(sizeof(struct dm_op) == 32, "dm_op");

struct dm_buffer {
	uint64_t address, size;
};

union event_channel {
	struct { uint16_t domain, remote; uint32_t port; } alloc_unbound;
	struct { uint16_t remote; uint32_t remote_port, local_port; } bind_interdomain;
	struct { uint32_t port; } one;
};

/* The page through which the one who emulates a vPL011 has its lines; the indices are not wrapped. */
struct console_ring {
	uint8_t in[1024], out[2048];
	uint32_t in_taken, in_put, out_taken, out_put;
};

/* Where a guest's hardware is, and its memory (arch-arm.h). */
#define GUEST_GICD 0x03001000
#define GUEST_GICC 0x03002000
#define GUEST_GICR 0x03020000
#define GUEST_RAM 0x40000000
/* Pages that are no memory of the guest's system. */
#define GUEST_MAGIC 0x39000000

#endif
