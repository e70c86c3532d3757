// SPDX-License-Identifier: GPL-2.0-only

use super::*;
use crate::sample::recording;
use proptest::prelude::*;

fn written(recording: &Recording) -> Vec<u8> {
    let mut file = Vec::new();
    recording.write(&mut file).expect("valid");
    file
}

/// A file with this after its first eight bytes.
fn file_of(stream: &[u8]) -> Vec<u8> {
    let mut deflate = ZlibEncoder::new(Vec::new(), Compression::fast());
    deflate.write_all(stream).expect("into memory");
    [&b"vgicrec\x01"[..], &deflate.finish().expect("into memory")].concat()
}

proptest! {
    #[test]
    fn what_is_written_is_read(recording in recording()) {
        prop_assert_eq!(Recording::read(&written(&recording)[..]), Ok(recording));
    }

    #[test]
    fn a_file_that_was_cut_off_says_so(recording in recording(), at in any::<prop::sample::Index>()) {
        let file = written(&recording);
        let cut = &file[..at.index(file.len())];
        prop_assert!(Recording::read(cut).is_err());
    }

    #[test]
    fn a_changed_byte_is_noticed(recording in recording(), at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let mut file = written(&recording);
        let at = at.index(file.len());
        file[at] ^= 1 << bit;
        // Some bits mean nothing: zlib's flags, the padding of the last byte of deflated data.
        if let Ok(read) = Recording::read(&file[..]) {
            prop_assert_eq!(read, recording);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(stream in prop::collection::vec(any::<u8>(), 0..300)) {
        // A head that is right, so that operations are reached, too.
        let mut whole = vec![2, 2, 64, 4, 0, 0, 100];
        whole.extend(&stream);
        let _ = Recording::read(&file_of(&whole)[..]);
        let _ = Recording::read(&file_of(&stream)[..]);
        let _ = Recording::read(&stream[..]);
    }
}

fn refusal(stream: &[u8]) -> String {
    Recording::read(&file_of(stream)[..]).map_or_else(|e| e.to_string(), |r| format!("read: {r:?}"))
}

#[test]
fn claims_are_not_believed() {
    let huge = [0xff, 0xff, 0xff, 0xff, 0x7f];
    let with = |before: &[u8]| refusal(&[before, &huge].concat());
    assert!(with(&[2, 2, 64, 4]).contains("hardware lines"));
    assert!(with(&[2, 2, 64, 4, 0]).contains("bytes of origin"));
    assert!(with(&[2, 2, 64, 4, 0, 0]).contains("operations"));
    // As many operations as there may be, and none of them.
    assert!(refusal(&[2, 2, 64, 4, 0, 0, 0x80, 0x80, 0x80, 4]).contains("ends in the middle"));
    assert!(refusal(&[0xff; 20]).contains("64 bits"));
    assert!(refusal(&[2, 9, 64, 4, 0, 0, 0]).contains("9 vCPUs"));
    assert!(refusal(&[2, 2, 64, 4, 0, 0, 1, 14, 2]).contains("no vCPU 2"));
    assert!(refusal(&[2, 2, 64, 4, 0, 0, 0, 1]).contains("goes on"));
    assert!(refusal(&[2, 2, 64, 4, 0, 0, 1, 21, 0]).contains("21 for an operation"));
}

#[test]
fn other_files_are_told_apart() {
    let of = |bytes: &[u8]| {
        Recording::read(bytes)
            .expect_err("no recording")
            .to_string()
    };
    assert!(of(b"").contains("no recording"));
    assert!(of(b"\x7fELF\x02\x01\x01\x00\x00").contains("no recording"));
    assert!(of(b"vgicrec\x07").contains("version 7"));
}

#[test]
fn the_format_is_what_its_description_says() {
    let recording = Recording {
        head: Head {
            hardware: vec![HardwareLine {
                intid: 33,
                level: true,
            }],
            origin: "x".into(),
            ..Head::small(3)
        },
        ops: vec![
            Op::Write {
                vcpu: 1,
                register: Register::gicr(0, 0x1_0100),
                size: Size::Word,
                value: 0x80,
            },
            Op::Line {
                intid: 33,
                level: true,
            },
            Op::Ack {
                vcpu: 0,
                intid: Some(33),
            },
        ],
    };
    let mut stream = Vec::new();
    ZlibDecoder::new(&written(&recording)[8..])
        .read_to_end(&mut stream)
        .expect("a zlib stream");
    let head = [3, 2, 64, 4, 1, 33, 1, 1, b'x', 3];
    let ops = [1, 1, 0b0110, 0, 0x80, 0x82, 4, 0x80, 1, 6, 33, 9, 0, 34];
    assert_eq!(stream, [&head[..], &ops].concat());
}
