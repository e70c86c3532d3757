// SPDX-License-Identifier: GPL-2.0-only
//! Xen's public header of what a stream has, which the patches add, is the records that are written: every field of each is where
//! the other has it.

use rust_vgic::state::{
    CpuInterfaceState, DESCRIPTOR, DistributorState, Field, HeaderState, ItsState, LpiState, MAGIC,
    MsiFrameState, NOBODY, Record, RedistributorState, RvicState, RvidState, SpiState,
};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the header calls a record, with its fields and its length.
fn records() -> Vec<(Record, &'static str, &'static [Field], usize)> {
    macro_rules! row {
        ($record:ident $name:literal $state:ident) => {
            (Record::$record, $name, $state::FIELDS, $state::LENGTH)
        };
    }
    vec![
        row!(Header "header" HeaderState),
        row!(Distributor "gicd" DistributorState),
        row!(Redistributor "gicr" RedistributorState),
        row!(CpuInterface "cpu" CpuInterfaceState),
        row!(Spi "spi" SpiState),
        row!(Lpi "lpi" LpiState),
        row!(Its "its" ItsState),
        row!(MsiFrame "gicv2m" MsiFrameState),
        row!(Rvic "rvic" RvicState),
        row!(Rvid "rvid" RvidState),
    ]
}

/// What a patch adds to the header.
fn added(patch: &str) -> String {
    let (_, after) = patch
        .split_once("+++ b/xen/include/public/arch-arm/hvm/save.h\n")
        .expect("it has the header");
    let file = after.split("\ndiff --git ").next().unwrap_or_default();
    let mut text = String::new();
    for line in file.lines().filter_map(|line| line.strip_prefix('+')) {
        text += line;
        text += "\n";
    }
    text
}

fn headers() -> Vec<PathBuf> {
    let patches = Path::new(env!("CARGO_MANIFEST_DIR")).join("patches");
    let mut found = Vec::new();
    for series in patches.read_dir().expect("patches") {
        let series = series.expect("a series").path();
        for patch in series.read_dir().into_iter().flatten() {
            let patch = patch.expect("a patch").path();
            let name = patch.to_string_lossy();
            if name.ends_with("Public-headers-reset-and-state-of-a-vGIC.patch") {
                found.push(patch);
            }
        }
    }
    found
}

/// What hvm/save.h has around it.
const AROUND: &str = "#include <stddef.h>\n#include <stdint.h>\n\
    struct descriptor { uint16_t typecode, instance; uint32_t length; };\n\
    #define DECLARE_HVM_SAVE_TYPE(_x, _code, _type) \
        struct save_##_x { _type t; char c[_code]; }\n";

#[test]
fn save_the_header_has_the_records_as_they_are_written() {
    let headers = headers();
    assert_eq!(headers.len(), 3, "a series each: {headers:?}");
    let records = records();
    assert_eq!(records.len() + 1, Record::ALL.len(), "all but the last");
    let mut checks = String::new();
    let mut check = |what: String, is: usize| {
        writeln!(checks, "_Static_assert({what} == {is}, \"{what}\");").unwrap();
    };
    check("sizeof(struct descriptor)".into(), DESCRIPTOR);
    check("XEN_VGIC_SAVE_MAGIC".into(), MAGIC as usize);
    check("XEN_VGIC_SAVE_NOBODY".into(), NOBODY.into());
    for (record, name, fields, length) in records {
        let of = format!("struct xen_vgic_save_{name}");
        check(format!("sizeof({of})"), length);
        let code = format!("struct save_VGIC_{}", name.to_uppercase());
        check(format!("sizeof((({code} *)0)->c)"), record as usize);
        check(format!("sizeof((({code} *)0)->t)"), length);
        // Whatever has the same size and is not padded has no other fields.
        assert_eq!(length % 8, 0, "{name}");
        for Field {
            name: field,
            offset,
            element,
            count,
        } in fields
        {
            check(format!("offsetof({of}, {field})"), *offset);
            check(format!("sizeof((({of} *)0)->{field})"), element * count);
        }
    }
    for header in headers {
        let text = std::fs::read_to_string(&header).expect("a patch");
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("save.c");
        std::fs::write(&file, format!("{AROUND}{}{checks}", added(&text))).expect("written");
        let output = Command::new("cc")
            .args(["-std=gnu99", "-fsyntax-only", "-Wall", "-Wextra", "-Werror"])
            .arg(&file)
            .output()
            .expect("a C compiler");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}", header.display());
    }
}
