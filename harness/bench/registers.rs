// SPDX-License-Identifier: GPL-2.0-only
//! Accesses of the guest that trap: what the handler costs, without the exit and the entry around it.

use super::bed::{Bed, SPI};
use super::row::{Meter, Needs, Row};
use crate::guests::guest::Size;
use crate::guests::linux::{gicd, gicr};
use anyhow::{Context, Result};

/// A register of an access.
#[derive(Clone, Copy)]
enum Place {
    /// In the distributor.
    Dist(u64),
    /// In the own redistributor.
    Redist(u64),
}
use Place::{Dist, Redist};

/// What is done with it: two values that are written in turn change something each time.
#[derive(Clone, Copy)]
enum Access {
    Read,
    Write(u64, u64),
}
use Access::{Read, Write};

struct Case {
    gic: u8,
    name: &'static str,
    place: Place,
    size: Size,
    access: Access,
}

const fn case(gic: u8, name: &'static str, place: Place, size: Size, access: Access) -> Case {
    Case {
        gic,
        name,
        place,
        size,
        access,
    }
}

const WORD: u64 = SPI as u64 / 32 * 4;
const BIT: u64 = 1 << (SPI % 32);
const BYTE: u64 = SPI as u64;
const PAIR: u64 = SPI as u64 / 16 * 4;

/// What both versions have in the distributor.
macro_rules! both {
    ($gic:expr) => {
        [
            case($gic, "GICD_CTLR", Dist(gicd::CTLR), Size::Word, Read),
            case($gic, "GICD_TYPER", Dist(gicd::TYPER), Size::Word, Read),
            case(
                $gic,
                "GICD_ISENABLER",
                Dist(gicd::ISENABLER + WORD),
                Size::Word,
                Read,
            ),
            case(
                $gic,
                "GICD_ISENABLER, 1 on",
                Dist(gicd::ISENABLER + WORD),
                Size::Word,
                Write(BIT, BIT),
            ),
            case(
                $gic,
                "GICD_ICENABLER, none",
                Dist(gicd::ICENABLER + WORD),
                Size::Word,
                Write(0, 0),
            ),
            case(
                $gic,
                "GICD_ISPENDR",
                Dist(gicd::ISPENDR + WORD),
                Size::Word,
                Read,
            ),
            case(
                $gic,
                "GICD_ICPENDR, 1",
                Dist(gicd::ICPENDR + WORD),
                Size::Word,
                Write(BIT, BIT),
            ),
            case(
                $gic,
                "GICD_ISACTIVER",
                Dist(gicd::ISACTIVER + WORD),
                Size::Word,
                Read,
            ),
            case(
                $gic,
                "GICD_ICACTIVER, 1",
                Dist(gicd::ICACTIVER + WORD),
                Size::Word,
                Write(BIT, BIT),
            ),
            case(
                $gic,
                "GICD_IPRIORITYR",
                Dist(gicd::IPRIORITYR + BYTE),
                Size::Byte,
                Read,
            ),
            case(
                $gic,
                "GICD_IPRIORITYR",
                Dist(gicd::IPRIORITYR + BYTE),
                Size::Byte,
                Write(0x80, 0xa0),
            ),
            case(
                $gic,
                "GICD_ICFGR",
                Dist(gicd::ICFGR + PAIR),
                Size::Word,
                Read,
            ),
            case(
                $gic,
                "GICD_ICFGR, as it is",
                Dist(gicd::ICFGR + PAIR),
                Size::Word,
                Write(0xaaaa_aaaa, 0xaaaa_aaaa),
            ),
            case(
                $gic,
                "GICD_IGROUPR",
                Dist(gicd::IGROUPR + WORD),
                Size::Word,
                Read,
            ),
        ]
    };
}

const V2: [Case; 14] = both!(2);
const V3: [Case; 14] = both!(3);

/// What only one of them has.
const OWN: [Case; 8] = [
    case(
        2,
        "GICD_ITARGETSR",
        Dist(gicd::ITARGETSR + BYTE),
        Size::Byte,
        Read,
    ),
    case(
        2,
        "GICD_ITARGETSR",
        Dist(gicd::ITARGETSR + BYTE),
        Size::Byte,
        Write(1, 2),
    ),
    case(
        3,
        "GICD_IROUTER",
        Dist(gicd::IROUTER + SPI as u64 * 8),
        Size::Double,
        Read,
    ),
    case(
        3,
        "GICD_IROUTER",
        Dist(gicd::IROUTER + SPI as u64 * 8),
        Size::Double,
        Write(0, 1),
    ),
    case(3, "GICR_TYPER", Redist(gicr::TYPER), Size::Double, Read),
    case(3, "GICR_WAKER", Redist(gicr::WAKER), Size::Word, Read),
    case(
        3,
        "GICR_ISENABLER0",
        Redist(gicr::SGI_BASE + gicd::ISENABLER),
        Size::Word,
        Read,
    ),
    case(
        3,
        "GICR_ISENABLER0, 1 on",
        Redist(gicr::SGI_BASE + gicd::ISENABLER),
        Size::Word,
        Write(1 << 27, 1 << 27),
    ),
];

pub(super) fn rows() -> Vec<Row> {
    let all = V2.iter().chain(&V3).chain(&OWN);
    all.map(|case| {
        let what = match case.access {
            Read => "read",
            Write(..) => "write",
        };
        let name = format!("v{}: {what} {}", case.gic, case.name);
        Row::counted(name, Needs::Gic(case.gic), |m| run(m, case))
    })
    .collect()
}

fn run(m: &mut Meter, case: &'static Case) -> Result<()> {
    let bed = Bed::new(case.gic, 2)?;
    let address = match case.place {
        Dist(offset) => bed.domain.gicd() + offset,
        Redist(offset) => bed.cpus[0].gicr_of(0).unwrap_or_default() + offset,
    };
    let (write, values) = match case.access {
        Read => (false, [0, 0]),
        Write(a, b) => (true, [a, b]),
    };
    let mut result = Ok(true);
    let rounds = m.rounds();
    bed.on(0, |here| {
        let mut turn = |n: u64| {
            let done = here.access(address, case.size, write, values[(n % 2) as usize]);
            if done.is_err() {
                result = done;
            }
        };
        here.exit();
        (0..2).for_each(&mut turn);
        m.measure(rounds, || (0..rounds).for_each(&mut turn));
        here.enter();
    });
    result.with_context(|| case.name)?;
    bed.end()
}
