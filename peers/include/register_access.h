/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * asm/vgic-emul.h and asm/vreg.h: which registers an access is to, and what of
 * them.
 */
#ifndef PEER_REGISTER_ACCESS_H
#define PEER_REGISTER_ACCESS_H

/* Case labels: the bytes of one register, or of those from first to last. */
#define VRANGE_(first, last, bytes) (first) ... ((last) + (bytes) - 1)
#define VREG32(offset) VRANGE_(offset, offset, 4)
#define VREG64(offset) VRANGE_(offset, offset, 8)
#define VRANGE32(first, last) VRANGE_(first, last, 4)
#define VRANGE64(first, last) VRANGE_(first, last, 8)

static inline bool vgic_reg64_check_access(struct hsr_dabt dabt)
{
    return dabt.size >= DABT_WORD;
}

/* The bits of a register of that many bytes that an access is to. */
static inline unsigned int vreg_shift_(const mmio_info_t *info, unsigned int bytes)
{
    return (info->gpa & (bytes - 1)) * 8;
}

static inline uint64_t vreg_mask_(const mmio_info_t *info)
{
    return ~0ULL >> (64 - (8U << info->dabt.size));
}

#define VREG_ACCESSORS_(bits) \
    static inline register_t vreg_reg##bits##_extract(uint##bits##_t reg, \
                                                      const mmio_info_t *info) \
    { \
        return (reg >> vreg_shift_(info, bits / 8)) & vreg_mask_(info); \
    } \
    static inline void vreg_reg##bits##_setbits(uint##bits##_t *reg, register_t set, \
                                                const mmio_info_t *info) \
    { \
        *reg |= (uint##bits##_t)((set & vreg_mask_(info)) << vreg_shift_(info, bits / 8)); \
    } \
    static inline void vreg_reg##bits##_clearbits(uint##bits##_t *reg, register_t clear, \
                                                  const mmio_info_t *info) \
    { \
        *reg &= ~(uint##bits##_t)((clear & vreg_mask_(info)) << vreg_shift_(info, bits / 8)); \
    } \
    static inline void vreg_reg##bits##_update(uint##bits##_t *reg, register_t value, \
                                               const mmio_info_t *info) \
    { \
        vreg_reg##bits##_clearbits(reg, ~0ULL, info); \
        vreg_reg##bits##_setbits(reg, value, info); \
    }

VREG_ACCESSORS_(32)
VREG_ACCESSORS_(64)

/* System registers, each with a function that reads or writes the value. */
typedef bool vreg_access_t(struct cpu_user_regs *regs, uint64_t *value, bool read);

static inline bool vreg_emulate_sysreg(struct cpu_user_regs *regs, union hsr hsr,
                                       vreg_access_t *access)
{
    uint64_t value = hsr.sysreg.read ? 0 : get_user_reg(regs, hsr.sysreg.reg);
    bool done = access(regs, &value, hsr.sysreg.read);

    if ( done && hsr.sysreg.read )
        set_user_reg(regs, hsr.sysreg.reg, value);

    return done;
}

static inline bool vreg_emulate_cp64(struct cpu_user_regs *regs, union hsr hsr,
                                     vreg_access_t *access)
{
    uint64_t value = 0;
    bool done;

    if ( !hsr.cp64.read )
        value = (uint32_t)get_user_reg(regs, hsr.cp64.reg1) |
                get_user_reg(regs, hsr.cp64.reg2) << 32;
    done = access(regs, &value, hsr.cp64.read);
    if ( done && hsr.cp64.read )
    {
        set_user_reg(regs, hsr.cp64.reg1, (uint32_t)value);
        set_user_reg(regs, hsr.cp64.reg2, value >> 32);
    }

    return done;
}

#endif /* PEER_REGISTER_ACCESS_H */
