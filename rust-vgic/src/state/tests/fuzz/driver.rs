// SPDX-License-Identifier: GPL-2.0-only
//! What is led by coverage: an input that reaches something new is one that others are made of.

use super::coverage::{Coverage, operands};
use super::mutate::mutate;
use super::{Input, check, corpus, read_all, seeds, write};
use crate::fake::chance::Chance;
use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// What is being tried, and since when: for who watches that it ends.
static TRIED: Mutex<Option<(Instant, Input)>> = Mutex::new(None);
const ENDLESS: Duration = Duration::from_secs(60);

/// An input that does not end is written, and all of it ends.
fn watch(folder: PathBuf) {
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_secs(5));
            let tried = TRIED.lock().unwrap().clone();
            if let Some((_, input)) = tried.filter(|(since, _)| since.elapsed() > ENDLESS) {
                println!("fuzz: no end of {}", write(&folder, &input).display());
                std::process::abort();
            }
        }
    });
}

struct Fuzzer {
    coverage: Coverage,
    all: Vec<Input>,
    folder: PathBuf,
    count: (u64, u64),
}

impl Fuzzer {
    /// Tries an input; it is kept if it reaches something new.
    fn try_one(&mut self, input: Input) -> bool {
        *TRIED.lock().unwrap() = Some((Instant::now(), input.clone()));
        Coverage::begin();
        let done = std::panic::catch_unwind(|| check(&input));
        let reached = Coverage::end();
        let Ok(accepted) = done else {
            panic!(
                "FAILED with {}",
                write(&self.folder.join("failed"), &input).display()
            );
        };
        self.count.0 += 1;
        self.count.1 += u64::from(accepted);
        let new = self.coverage.add(&reached);
        if new {
            self.all.push(input);
        }
        new
    }
}

/// The smallest of them that reach all the places that they reach together.
fn keep(folder: &Path, mut all: Vec<Input>) -> usize {
    all.sort_by_key(|input| input.bytes().len());
    let reached: Vec<Vec<u32>> = all
        .iter()
        .map(|input| {
            Coverage::begin();
            check(input);
            let reached = Coverage::end();
            reached.into_iter().map(|(place, _)| place).collect()
        })
        .collect();
    // Those first that alone reach something: the rarest place decides.
    let mut by_place: HashMap<u32, Vec<usize>> = HashMap::new();
    for (n, places) in reached.iter().enumerate() {
        for place in places {
            by_place.entry(*place).or_default().push(n);
        }
    }
    let mut places: Vec<_> = by_place.into_iter().collect();
    places.sort_by_key(|(place, inputs)| (inputs.len(), *place));
    let mut covered: BTreeSet<u32> = BTreeSet::new();
    let mut kept = BTreeSet::new();
    for (place, inputs) in places {
        if covered.contains(&place) {
            continue;
        }
        let best = inputs.iter().max_by_key(|n| {
            let new = reached[**n].iter().filter(|p| !covered.contains(*p));
            new.count()
        });
        let n = *best.unwrap();
        covered.extend(&reached[n]);
        kept.insert(n);
    }
    for (path, _) in read_all(folder) {
        std::fs::remove_file(path).unwrap();
    }
    for n in &kept {
        write(folder, &all[*n]);
    }
    kept.len()
}

/// For `cargo xtask fuzz`, which has the counters compiled in: VGIC_FUZZ_SECONDS long, with a corpus in VGIC_FUZZ_FOLDER; with
/// VGIC_FUZZ_KEEP, what is in the repository is made of that.
#[test]
#[ignore = "cargo xtask fuzz"]
fn fuzz_by_coverage() {
    let seconds = std::env::var("VGIC_FUZZ_SECONDS")
        .ok()
        .and_then(|n| n.parse().ok());
    let seconds = Duration::from_secs(seconds.unwrap_or(60));
    let folder =
        std::env::var_os("VGIC_FUZZ_FOLDER").map_or_else(std::env::temp_dir, PathBuf::from);
    let Some(coverage) = Coverage::new() else {
        panic!("it is compiled without counters");
    };
    let mut fuzzer = Fuzzer {
        coverage,
        all: Vec::new(),
        folder: folder.clone(),
        count: (0, 0),
    };
    watch(folder.join("failed"));
    std::panic::set_hook(Box::new(|why| println!("fuzz: {why}")));
    let started = Instant::now();
    let kept = read_all(&corpus())
        .into_iter()
        .chain(read_all(&folder.join("corpus")));
    let first = seeds().into_iter().chain(kept.map(|(_, input)| input));
    for input in first.collect::<Vec<_>>() {
        fuzzer.try_one(input);
    }
    println!(
        "fuzz: {} inputs reach {} places",
        fuzzer.all.len(),
        fuzzer.coverage.places()
    );
    let mut chance = Chance::new(
        std::time::UNIX_EPOCH
            .elapsed()
            .map_or(1, |d| d.as_nanos() as u64),
    );
    let mut said = Instant::now();
    while started.elapsed() < seconds {
        // The latest more often: they have not been tried much.
        let len = fuzzer.all.len();
        let recent = len - chance.index(len.min(16)) - 1;
        let of = if chance.index(3) == 0 {
            recent
        } else {
            chance.index(len)
        };
        let operands = operands();
        let other = fuzzer.all[chance.index(len)].clone();
        let input = mutate(&mut chance, &fuzzer.all[of], &other, &operands);
        if fuzzer.try_one(input.clone()) {
            write(&folder.join("corpus"), &input);
        }
        if said.elapsed() > Duration::from_secs(20) {
            said = Instant::now();
            let (tried, accepted) = fuzzer.count;
            let places = fuzzer.coverage.places();
            println!("fuzz: {tried} inputs, {accepted} accepted, {places} places, corpus {len}");
        }
    }
    *TRIED.lock().unwrap() = None;
    let (tried, accepted) = fuzzer.count;
    let places = fuzzer.coverage.places();
    let mut last =
        format!("fuzzed: {tried} inputs, of which {accepted} were accepted, reach {places} places");
    if std::env::var_os("VGIC_FUZZ_KEEP").is_some() {
        last += &format!("; {} are kept", keep(&corpus(), fuzzer.all));
    }
    println!("{last}");
    assert!(accepted > 0 && accepted < tried);
}
