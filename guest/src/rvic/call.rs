// SPDX-License-Identifier: GPL-2.0-only
//! The calls of rVIC and rVID (DEN 0102, alpha 0.3), fast SMC64 calls of the standard hypervisor service, and what they answer.

use core::arch::asm;
use core::fmt;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

pub const RVIC_VERSION: u64 = 0xc500_0200;
pub const RVIC_INFO: u64 = 0xc500_0201;
pub const RVIC_ENABLE: u64 = 0xc500_0202;
pub const RVIC_DISABLE: u64 = 0xc500_0203;
pub const RVIC_SET_MASKED: u64 = 0xc500_0204;
pub const RVIC_CLEAR_MASKED: u64 = 0xc500_0205;
pub const RVIC_IS_PENDING: u64 = 0xc500_0206;
pub const RVIC_SIGNAL: u64 = 0xc500_0207;
pub const RVIC_CLEAR_PENDING: u64 = 0xc500_0208;
pub const RVIC_ACKNOWLEDGE: u64 = 0xc500_0209;
pub const RVIC_RESAMPLE: u64 = 0xc500_020a;
pub const RVID_VERSION: u64 = 0xc500_0100;
pub const RVID_MAP: u64 = 0xc500_0101;
pub const RVID_UNMAP: u64 = 0xc500_0102;
/// Not Arm's: which extensions there are (bit 0: messages, bit 1: level-sensitive inputs), and the end of a level.
pub const RVID_FEATURES: u64 = 0xc500_0110;
pub const RVID_RESAMPLE: u64 = 0xc500_0111;

/// The keys of INFO.
pub const TRUSTED: u64 = 0;
pub const UNTRUSTED: u64 = 1;

/// x0 of an answer: the reason in bits 7:0, which argument it is about in bits 15:8; or -1.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Status(pub u64);

impl Status {
    pub const SUCCESS: Status = Status(0);
    pub const DISABLED: Status = Status(3);
    pub const NO_INTERRUPTS: Status = Status(4);

    /// Of the argument with this index, from 0.
    pub const fn error_parameter(index: u64) -> Status {
        Status(1 | index << 8)
    }

    pub const INVALID_CPU: Status = Status(2);

    /// There is no such function: SMCCC's -1.
    pub fn is_not_supported(self) -> bool {
        self.0 as u32 == u32::MAX
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let name = match self.0 & 0xff {
            _ if self.is_not_supported() => return f.write_str("NOT_SUPPORTED"),
            _ if self.0 >> 16 != 0 => return write!(f, "{:#x}", self.0),
            0 => "SUCCESS",
            1 => "ERROR_PARAMETER",
            2 => "INVALID_CPU",
            3 => "DISABLED",
            4 => "NO_INTERRUPTS",
            _ => return write!(f, "{:#x}", self.0),
        };
        write!(f, "{name}({})", self.0 >> 8)
    }
}

/// Ends the case unless a call says this.
macro_rules! check_status {
    ($what:expr, $seen:expr, $wanted:expr) => {{
        let (seen, wanted): ($crate::rvic::call::Status, $crate::rvic::call::Status) =
            ($seen, $wanted);
        if seen != wanted {
            $crate::outcome::fail!("{}: {}, expected {}", $what, seen, wanted)
        }
    }};
}
pub(crate) use check_status;

/// By which instruction.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Conduit {
    Hvc,
    Smc,
}

macro_rules! conduit {
    ($instruction:literal, $x:ident) => {{
        // SAFETY: a call of SMCCC 1.1 changes x0 to x3 and nothing else (DEN 0028).
        unsafe {
            asm!($instruction, inlateout("x0") $x[0], inlateout("x1") $x[1], inlateout("x2") $x[2], inlateout("x3") $x[3],
                options(nostack));
        }
    }};
}

/// Any call whatever: x0 to x3 of the answer.
pub fn raw(conduit: Conduit, function: u64, arguments: [u64; 3]) -> [u64; 4] {
    let [one, two, three] = arguments;
    let mut x = [function, one, two, three];
    match conduit {
        Conduit::Hvc => conduit!("hvc #0", x),
        Conduit::Smc => conduit!("smc #0", x),
    }
    x
}

/// The first function whose answer had something in x2 or x3, where nothing is to be.
static UNCLEAN: AtomicU64 = AtomicU64::new(0);

/// That function, once.
pub fn unclean() -> Option<u64> {
    let function = UNCLEAN.load(Relaxed);
    UNCLEAN.store(0, Relaxed);
    (function != 0).then_some(function)
}

/// A call of ours: status and value.
pub fn call(function: u64, arguments: [u64; 3]) -> (Status, u64) {
    let [status, value, two, three] = raw(Conduit::Hvc, function, arguments);
    let status = Status(status);
    if two | three != 0 && !status.is_not_supported() {
        UNCLEAN.store(function, Relaxed);
    }
    (status, value)
}

pub fn info(key: u64) -> (Status, u64) {
    call(RVIC_INFO, [key, 0, 0])
}

pub fn enable() -> Status {
    call(RVIC_ENABLE, [0; 3]).0
}

pub fn disable() -> Status {
    call(RVIC_DISABLE, [0; 3]).0
}

pub fn set_masked(target: u64, intid: u64) -> Status {
    call(RVIC_SET_MASKED, [target, intid, 0]).0
}

pub fn clear_masked(target: u64, intid: u64) -> Status {
    call(RVIC_CLEAR_MASKED, [target, intid, 0]).0
}

pub fn is_pending(target: u64, intid: u64) -> (Status, u64) {
    call(RVIC_IS_PENDING, [target, intid, 0])
}

pub fn signal(target: u64, intid: u64) -> Status {
    call(RVIC_SIGNAL, [target, intid, 0]).0
}

pub fn clear_pending(target: u64, intid: u64) -> Status {
    call(RVIC_CLEAR_PENDING, [target, intid, 0]).0
}

pub fn acknowledge() -> Result<u64, Status> {
    match call(RVIC_ACKNOWLEDGE, [0; 3]) {
        (Status::SUCCESS, intid) => Ok(intid),
        (status, _) => Err(status),
    }
}

pub fn resample(intid: u64) -> Status {
    call(RVIC_RESAMPLE, [intid, 0, 0]).0
}

pub fn map(input: u64, target: u64, intid: u64) -> Status {
    call(RVID_MAP, [input, target, intid]).0
}

pub fn unmap(input: u64) -> Status {
    call(RVID_UNMAP, [input, 0, 0]).0
}

pub fn resample_input(input: u64) -> Status {
    call(RVID_RESAMPLE, [input, 0, 0]).0
}
