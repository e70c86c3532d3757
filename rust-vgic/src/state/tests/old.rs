// SPDX-License-Identifier: GPL-2.0-only
//! Streams of each version there was stay loadable: they are kept beside this, and what is restored from one is saved as the newest.

use super::*;

/// The name of a stream, of which domain it is, and what was in its guest's memory.
const KEPT: [(&str, &[u8], Kind); 2] = [
    ("v1-gicv3.bin", include_bytes!("v1-gicv3.bin"), KINDS[0]),
    ("v1-gicv2.bin", include_bytes!("v1-gicv2.bin"), KINDS[1]),
];

#[test]
fn streams_of_the_first_version_are_restored() {
    for (name, stream, (new, used)) in KEPT {
        // The tables of its ITS are those of the domain that it was made of.
        let d = used();
        let now = d.save_boxed().unwrap();
        let restored = try_restore(|| with_memory_of(new(), &d), stream);
        assert_eq!(restored, Ok(()), "{name}");
        assert_eq!(*now, *stream, "{name} is what such a domain is saved as");
    }
}

/// Writes them, once for each version: VGIC_WRITE_STREAMS=1 cargo test -p rust-vgic.
#[test]
fn streams_are_written_on_request() {
    if std::env::var_os("VGIC_WRITE_STREAMS").is_some() {
        for (name, _, (_, used)) in KEPT {
            let path = format!("{}/src/state/tests/{name}", env!("CARGO_MANIFEST_DIR"));
            std::fs::write(path, used().save_boxed().unwrap()).unwrap();
        }
    }
}
