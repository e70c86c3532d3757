// SPDX-License-Identifier: GPL-2.0-only
//! One input becomes another.

use super::{Input, MOST_POKES, MOST_STREAM, PAGE, Place, Poke};
use crate::fake::chance::Chance;
use crate::state::Record;
use crate::state::stream::DESCRIPTOR;

/// Records as far as they can be read: where each begins, with what precedes it, and where its body does and ends.
fn records(stream: &[u8]) -> Vec<(Record, usize, usize, usize)> {
    let readable = super::framed(stream).map_while(Result::ok);
    let place = |(record, at, len): Place| (record, at - DESCRIPTOR, at, at + len);
    readable.map(place).collect()
}

/// A number that is at some edge, or was compared with one.
fn number(chance: &mut Chance, was: u64, operands: &[u64]) -> u64 {
    match chance.index(9) {
        0 => 0,
        1 => u64::MAX,
        2 => was.wrapping_add(1),
        3 => was.wrapping_sub(1),
        4 | 5 => was ^ 1_u64.wrapping_shl(chance.index(64) as u32),
        6 if !operands.is_empty() => chance.of(operands),
        7 => 1_u64.wrapping_shl(chance.index(64) as u32),
        _ => chance.next(),
    }
}

fn put(bytes: &mut [u8], value: u64) {
    let value = value.to_le_bytes();
    let count = bytes.len().min(8);
    bytes[..count].copy_from_slice(&value[..count]);
}

fn get(bytes: &[u8]) -> u64 {
    let mut value = [0; 8];
    let count = bytes.len().min(8);
    value[..count].copy_from_slice(&bytes[..count]);
    u64::from_le_bytes(value)
}

/// An element of a field of a record.
fn field(chance: &mut Chance, stream: &mut [u8], operands: &[u64]) {
    let all = records(stream);
    if all.is_empty() {
        return;
    }
    let (record, _, body, end) = chance.of(&all);
    let fields = super::super::fields(record);
    if fields.is_empty() {
        return;
    }
    let field = chance.of(fields);
    let n = chance.index(field.count);
    let at = body + field.offset + n * field.element;
    if at + field.element > end {
        return;
    }
    let was = get(&stream[at..at + field.element]);
    let bits = field.element as u32 * 8;
    let new = match chance.index(4) {
        0 => was ^ 1_u64.wrapping_shl(chance.index(bits as usize) as u32),
        1 => chance.index(4) as u64,
        2 => was ^ 8_u64.wrapping_shl(chance.index(5) as u32),
        _ => number(chance, was, operands),
    };
    put(&mut stream[at..at + field.element], new);
}

/// An entry of some table.
fn entry(chance: &mut Chance, was: u64, operands: &[u64]) -> u64 {
    let small = chance.index(12) as u64;
    let next = [0, 1, 2, small, 0x3fff, 0xffff][chance.index(6)];
    match chance.index(5) {
        // A device.
        0 => {
            let itt =
                super::ITTS[chance.index(super::ITTS.len())] + (chance.index(3) as u64) * 0x100;
            let bits = [0, 2, 4, 7, 8, 31][chance.index(6)];
            1 << 63 | (next & 0x3fff) << 49 | itt >> 8 << 5 | bits
        }
        // An event.
        1 => {
            let intid = [8192, 8200, 8201, 8447, 8448, 0x3fff, 0x4000, 8191][chance.index(8)];
            next << 48 | (intid + small % 3) << 16 | (small % 4)
        }
        // A collection.
        2 => 1 << 63 | (small % 5) << 16 | [small % 4, 255, 256][chance.index(3)],
        3 => 0,
        _ => number(chance, was, operands),
    }
}

fn poke(chance: &mut Chance, input: &mut Input, operands: &[u64]) {
    let count = input.pokes.len();
    if count > 0 && chance.index(3) == 0 {
        let at = chance.index(count);
        match chance.index(4) {
            0 => {
                input.pokes.remove(at);
            }
            1 => input.pokes[at].slot = chance.index(PAGE / 8) as u16,
            _ => input.pokes[at].value = entry(chance, input.pokes[at].value, operands),
        }
        return;
    }
    if count >= MOST_POKES {
        return;
    }
    let slot = [chance.index(8), chance.index(40), chance.index(PAGE / 8)][chance.index(3)];
    input.pokes.push(Poke {
        page: chance.next() as u8 & 0x8f,
        slot: slot as u16,
        value: entry(chance, 0, operands),
    });
}

fn raw(chance: &mut Chance, stream: &mut Vec<u8>, operands: &[u64]) {
    if stream.is_empty() {
        stream.push(chance.next() as u8);
        return;
    }
    let at = chance.index(stream.len());
    let len = chance.index(16).min(stream.len() - at);
    match chance.index(7) {
        0 => stream[at] ^= 1 << chance.index(8),
        1 => stream[at] = chance.next() as u8,
        2 => {
            stream.drain(at..at + len);
        }
        3 => {
            let piece = stream[at..at + len].to_vec();
            let to = chance.index(stream.len());
            stream.splice(to..to, piece);
        }
        4 => stream.truncate(at),
        5 => stream.push(chance.next() as u8),
        _ => {
            let width = [1, 2, 4, 8][chance.index(4)].min(stream.len() - at);
            let was = get(&stream[at..at + width]);
            put(&mut stream[at..at + width], number(chance, was, operands));
        }
    }
}

/// Whole records: one goes, comes twice, or is another stream's.
fn record(chance: &mut Chance, stream: &mut Vec<u8>, other: &[u8]) {
    let (all, others) = (records(stream), records(other));
    if all.is_empty() || others.is_empty() {
        return;
    }
    let (kind, start, _, end) = chance.of(&all);
    match chance.index(6) {
        0 => {
            stream.drain(start..end);
        }
        1 => {
            let copy = stream[start..end].to_vec();
            stream.splice(end..end, copy);
        }
        2 => {
            let (_, from, _, to) = chance.of(&others);
            stream.splice(start..start, other[from..to].iter().copied());
        }
        _ => {
            let same: Vec<_> = others.iter().filter(|o| o.0 == kind).copied().collect();
            if !same.is_empty() {
                let (_, from, _, to) = chance.of(&same);
                stream.splice(start..end, other[from..to].iter().copied());
            }
        }
    }
}

/// Another input, made of one and parts of a second.
pub(super) fn mutate(chance: &mut Chance, of: &Input, other: &Input, operands: &[u64]) -> Input {
    let mut new = of.clone();
    for _ in 0..=chance.index(5) {
        match chance.index(16) {
            0..=5 => field(chance, &mut new.stream, operands),
            6 | 7 => raw(chance, &mut new.stream, operands),
            8 | 9 => record(chance, &mut new.stream, &other.stream),
            10..=13 => poke(chance, &mut new, operands),
            14 => new.pokes.clone_from(&other.pokes),
            _ if chance.index(8) == 0 => new.kind = chance.next() as u8,
            _ => field(chance, &mut new.stream, operands),
        }
    }
    new.stream.truncate(MOST_STREAM);
    new
}
