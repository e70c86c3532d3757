/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What of Xen's headers is about an instruction that has trapped: the registers
 * of its guest, and the syndrome.
 */
#ifndef MOCK_TRAPS_H
#define MOCK_TRAPS_H

/* regs.h, hsr.h, cpregs.h */
struct cpu_user_regs { register_t x[31], pc, cpsr; };
#define PSR_MODE_BIT 0x10 /* AArch32 */

/* Of the guest whose access has trapped. */
struct cpu_user_regs *guest_cpu_user_regs(void);

static inline register_t get_user_reg(const struct cpu_user_regs *regs, int reg)
{
    return reg < 31 ? regs->x[reg] : 0;
}

static inline void set_user_reg(struct cpu_user_regs *regs, int reg, register_t value)
{
    if ( reg < 31 )
        regs->x[reg] = value;
}

enum dabt_size { DABT_BYTE, DABT_HALF_WORD, DABT_WORD, DABT_DOUBLE_WORD };

struct hsr_dabt {
    unsigned long rest:16, reg:5, sign:1, size:2, valid:1, len:1, ec:6;
};

union hsr {
    register_t bits;
    struct { unsigned long iss:25, len:1, ec:6; };
    struct hsr_dabt dabt;
    struct hsr_sysreg {
        unsigned long read:1, crm:4, reg:5, crn:4, op1:3, op2:3, op0:2, res0:3, len:1, ec:6;
    } sysreg;
    struct hsr_cp32 {
        unsigned long read:1, crm:4, reg:5, crn:4, op1:3, op2:3, cc:4, ccvalid:1, len:1, ec:6;
    } cp32;
    struct hsr_cp64 {
        unsigned long read:1, crm:4, reg1:5, reg2:5, sbzp:1, op1:4, cc:4, ccvalid:1, len:1, ec:6;
    } cp64;
};

#define HSR_EC_CP15_32 0x03
#define HSR_EC_CP15_64 0x04
#define HSR_EC_SYSREG 0x18
/* The numbers of a system register, a CP15 register, and a 64-bit CP15 register. */
#define MOCK_SYSREG(op0, op1, crn, crm, op2) \
    ((op0) << 20 | (op2) << 17 | (op1) << 14 | (crn) << 10 | (crm) << 1)
/* The glue names a register by its numbers where Xen has no good name for it. */
#define MOCK_c11 11
#define MOCK_c12 12
#define HSR_SYSREG(op0, op1, crn, crm, op2) MOCK_SYSREG(op0, op1, MOCK_##crn, MOCK_##crm, op2)
#define HSR_SYSREG_REGS_MASK MOCK_SYSREG(3, 7, 15, 15, 7)
#define HSR_SYSREG_ICC_SGI1R_EL1 MOCK_SYSREG(3, 0, 12, 11, 5)
#define HSR_SYSREG_ICC_DIR_EL1 MOCK_SYSREG(3, 0, 12, 11, 1)
#define HSR_SYSREG_ICC_RPR_EL1 MOCK_SYSREG(3, 0, 12, 11, 3)
#define HSR_SYSREG_ICC_CTLR_EL1 MOCK_SYSREG(3, 0, 12, 12, 4)
#define HSR_SYSREG_ICC_PMR_EL1 MOCK_SYSREG(3, 0, 4, 6, 0)
#define MOCK_CP32(op1, crn, crm, op2) ((op2) << 17 | (op1) << 14 | (crn) << 10 | (crm) << 1)
#define HSR_CP32_REGS_MASK MOCK_CP32(7, 15, 15, 7)
#define HSR_CPREG32(reg) reg
#define ICC_DIR MOCK_CP32(0, 12, 11, 1)
#define ICC_RPR MOCK_CP32(0, 12, 11, 3)
#define ICC_CTLR MOCK_CP32(0, 12, 12, 4)
#define ICC_PMR MOCK_CP32(0, 4, 6, 0)
#define MOCK_CP64(op1, crm) ((op1) << 16 | (crm) << 1)
#define HSR_CP64_REGS_MASK MOCK_CP64(15, 15)
#define HSR_CPREG64(reg) reg
#define ICC_SGI1R MOCK_CP64(0, 12)
#define ICC_ASGI1R MOCK_CP64(1, 12)
#define ICC_SGI0R MOCK_CP64(2, 12)

#endif /* MOCK_TRAPS_H */
