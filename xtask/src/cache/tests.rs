// SPDX-License-Identifier: GPL-2.0-only
//! What is kept, what of it is still right, and who else is there.

use super::*;
use std::cell::RefCell;
use std::sync::Barrier;

const GOOD: &[u8] = b"a kernel";

fn remote(name: &str, content: &[u8]) -> Remote {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    fs::write(&file, content).unwrap();
    let (size, sha256) = sha256_of(&file).unwrap();
    Remote {
        uri: format!("http://mirror.example/{name}"),
        name: name.to_owned(),
        size,
        sha256,
    }
}

fn cache() -> (tempfile::TempDir, Cache) {
    let directory = tempfile::tempdir().unwrap();
    let cache = Cache::at(directory.path().join("cache"));
    (directory, cache)
}

/// A mirror that sends this.
fn sends(content: &[u8]) -> impl Fn(&Remote, &Path) -> Result<()> {
    move |_, to| Ok(fs::write(to, content)?)
}

fn none(remote: &Remote, _: &Path) -> Result<()> {
    bail!("{} was asked for", remote.name)
}

fn content(kept: &Kept) -> Vec<u8> {
    fs::read(&kept.files[0].1).unwrap()
}

#[test]
fn a_hash_is_the_one_that_everybody_computes() {
    // FIPS 180-2, appendix B.1.
    let abc = remote("abc", b"abc");
    let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!((abc.size, abc.sha256.as_str()), (3, expected));
}

#[test]
fn what_was_fetched_is_not_fetched_again() {
    let (_directory, cache) = cache();
    assert_eq!(cache.kept("linux"), None);
    let remotes = [remote("linux.deb", GOOD)];
    let kept = cache
        .keep("linux", "linux 6.12", &remotes, &sends(GOOD))
        .unwrap();
    assert_eq!(content(&kept), GOOD);
    assert_eq!(
        (kept.what.as_str(), kept.files[0].0.as_str()),
        ("linux 6.12", "linux.deb")
    );
    // Neither by name, where there is no mirror, nor by its hash under another one.
    assert_eq!(cache.kept("linux"), Some(kept));
    let again = cache.keep("linux-too", "linux", &remotes, &none).unwrap();
    assert_eq!(content(&again), GOOD);
    assert_eq!(cache.names("linux"), ["linux", "linux-too"]);
}

#[test]
fn a_damaged_file_is_fetched_again() {
    let (_directory, cache) = cache();
    let remotes = [remote("linux.deb", GOOD), remote("module.deb", b"a module")];
    let both = |remote: &Remote, to: &Path| {
        let good = remote.name == "linux.deb";
        Ok(fs::write(to, if good { GOOD } else { b"a module" })?)
    };
    let kept = cache.keep("linux", "linux", &remotes, &both).unwrap();
    let place = kept.files[0].1.clone();
    for damage in [&b"a kernep"[..], b"", b"a kernel and more"] {
        fs::write(&place, damage).unwrap();
        assert_eq!(cache.kept("linux"), None);
        let asked = RefCell::new(Vec::new());
        let fetch = |remote: &Remote, to: &Path| {
            asked.borrow_mut().push(remote.name.clone());
            both(remote, to)
        };
        let again = cache.keep("linux", "linux", &remotes, &fetch).unwrap();
        assert_eq!(again, kept);
        // Only what is damaged.
        assert_eq!(asked.take(), ["linux.deb"]);
    }
    fs::remove_file(&place).unwrap();
    assert_eq!(cache.kept("linux"), None);
}

#[test]
fn a_mirror_that_sends_something_else_leaves_nothing() {
    let (_directory, cache) = cache();
    let remotes = [remote("linux.deb", GOOD)];
    let error = cache
        .keep("linux", "linux", &remotes, &sends(b"a kernep"))
        .unwrap_err();
    assert!(error.is::<Unavailable>(), "{error:#}");
    let text = "linux.deb: its content is not what the signed lists say";
    assert_eq!(error.to_string(), text);
    assert_eq!(cache.kept("linux"), None);
    // It is no obstacle for the next one.
    cache
        .keep("linux", "linux", &remotes, &sends(GOOD))
        .unwrap();
}

#[test]
fn half_a_file_is_none() {
    let (_directory, cache) = cache();
    let remotes = [remote("linux.deb", GOOD)];
    let stops = |_: &Remote, to: &Path| {
        fs::write(to, &GOOD[..3])?;
        bail!("interrupted")
    };
    assert!(cache.keep("linux", "linux", &remotes, &stops).is_err());
    assert_eq!(cache.kept("linux"), None);
    drop(cache.lock().unwrap());
    assert!(!cache.partial().exists());
}

#[test]
fn a_note_names_nothing_outside() {
    let (directory, cache) = cache();
    let outside = directory.path().join("secret");
    fs::write(&outside, GOOD).unwrap();
    let hash = remote("x", GOOD).sha256;
    for line in [
        format!("../../secret {} x", GOOD.len()),
        format!("{hash} x"),
        format!("{hash} -1 x"),
        hash.clone(),
    ] {
        write_whole(&cache.note("linux"), format!("linux\n{line}\n")).unwrap();
        assert_eq!(cache.kept("linux"), None, "{line}");
    }
    for note in ["", "linux\n"] {
        write_whole(&cache.note("linux"), note).unwrap();
        assert_eq!(cache.kept("linux"), None);
    }
    let mut unsigned = remote("linux.deb", GOOD);
    unsigned.sha256 = "../../linux".to_owned();
    assert!(
        cache
            .keep("linux", "linux", &[unsigned], &sends(GOOD))
            .is_err()
    );
}

#[test]
fn two_clones_fetch_once() {
    let (directory, _) = cache();
    let remotes = [remote("linux.deb", GOOD)];
    let (start, fetched) = (Barrier::new(8), std::sync::Mutex::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let cache = Cache::at(directory.path().join("cache"));
                start.wait();
                let fetch = |_: &Remote, to: &Path| {
                    *fetched.lock().unwrap() += 1;
                    fs::write(to, &GOOD[..3])?;
                    std::thread::yield_now();
                    Ok(fs::write(to, GOOD)?)
                };
                let kept = cache.keep("linux", "linux", &remotes, &fetch).unwrap();
                assert_eq!(content(&kept), GOOD);
            });
        }
    });
    assert_eq!(fetched.into_inner().unwrap(), 1);
}
