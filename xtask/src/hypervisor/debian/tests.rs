// SPDX-License-Identifier: GPL-2.0-only
//! The choice, with a mirror that lists more than it has.

use super::*;
use crate::cache::Remote;
use anyhow::bail;
use std::cell::RefCell;

/// Its suites with what they list, and what of that it has.
#[derive(Default)]
struct Fake {
    names: Vec<String>,
    listed: Vec<Vec<&'static str>>,
    has: Vec<(&'static str, &'static str)>,
    /// Suites whose lists cannot be had.
    down: Vec<&'static str>,
    /// Nothing can be unpacked on this machine.
    broken: bool,
    asked: RefCell<Vec<String>>,
}

const V417: &str = "4.17.5+72-g01-1";
const V417_SECURITY: &str = "4.17.7+13-g24-0";
const V420: &str = "4.20.4+63-g7a-0";

impl Mirror for Fake {
    fn suites(&self) -> &[String] {
        &self.names
    }

    fn list(&self, suite: usize) -> Result<Vec<String>> {
        let name = self.names[suite].as_str();
        if self.down.contains(&name) {
            self.asked.borrow_mut().push(format!("list {name}"));
            return Err(Unavailable(format!("{name}: no network")).into());
        }
        Ok(self.listed[suite].iter().map(ToString::to_string).collect())
    }

    fn fetch(&self, suite: usize, package: &str, tree: &Path) -> Result<()> {
        let name = self.names[suite].as_str();
        self.asked.borrow_mut().push(format!("{package} {name}"));
        if !self.has.contains(&(package, name)) {
            let why = Unavailable(format!("xen {package} from {name}: 404 Not Found"));
            return Err(why.into());
        }
        fs::create_dir_all(tree.join("xen"))?;
        if self.broken {
            bail!("there is no tar on this machine");
        }
        Ok(fs::write(tree.join("xen/Makefile"), package)?)
    }
}

impl Fake {
    /// Of the newest ones no file is there.
    fn today() -> Fake {
        let suites = [
            ("bookworm", V417),
            ("trixie", V420),
            ("stretch", "4.9.1-1"),
            ("bookworm-security", V417_SECURITY),
            ("trixie-security", V420),
        ];
        Fake {
            names: suites.iter().map(|s| s.0.to_owned()).collect(),
            listed: suites.iter().map(|s| vec![s.1]).collect(),
            has: vec![(V417, "bookworm"), ("4.9.1-1", "stretch")],
            ..Fake::default()
        }
    }

    fn recovered() -> Fake {
        let mut fake = Fake::today();
        fake.has
            .extend([(V420, "trixie"), (V417_SECURITY, "bookworm-security")]);
        fake
    }

    fn down() -> Fake {
        let mut fake = Fake::today();
        fake.down = vec![
            "bookworm",
            "trixie",
            "stretch",
            "bookworm-security",
            "trixie-security",
        ];
        fake
    }

    fn asked(&self) -> Vec<String> {
        self.asked.take()
    }
}

fn release(minor: u32) -> Option<Version> {
    Some(Version { major: 4, minor })
}

fn store() -> (tempfile::TempDir, Store) {
    let directory = tempfile::tempdir().unwrap();
    let store = Store {
        directory: directory.path().join("xen"),
    };
    (directory, store)
}

fn version(tree: &Path) -> String {
    fs::read_to_string(tree.join("xen/Makefile")).unwrap()
}

#[test]
fn the_newest_that_can_be_had_is_taken_and_kept() {
    let (_directory, store) = store();
    let mirror = Fake::today();
    let tree = store.open(None, &[&mirror]).unwrap();
    assert_eq!(version(&tree), V417);
    assert!(tree.ends_with(format!("{V417}/pristine")));
    // Newest first, each suite that lists it, and none that there are no patches for.
    assert_eq!(
        mirror.asked(),
        [
            format!("{V420} trixie"),
            format!("{V420} trixie-security"),
            format!("{V417_SECURITY} bookworm-security"),
            format!("{V417} bookworm"),
        ]
    );
    // The mirror has recovered: nothing changes under a user.
    let mirror = Fake::recovered();
    assert_eq!(store.open(None, &[&mirror]).unwrap(), tree);
    assert!(mirror.asked().is_empty());
    // Until it is looked again.
    let newer = store.look_again(None, &[&mirror]).unwrap();
    assert_eq!(version(&newer), V420);
    assert_eq!(store.open(None, &[&Fake::today()]).unwrap(), newer);
    // Nothing is left of what could not be had.
    assert!(!store.directory.join(V417_SECURITY).exists());
    let names = fs::read_dir(&store.directory).unwrap();
    let unpacking = |name: String| name.contains("unpacking");
    assert!(
        !names
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .any(unpacking)
    );
}

#[test]
fn what_failed_is_not_asked_for_again_until_setup_looks() {
    let (_directory, store) = store();
    let mut mirror = Fake::today();
    mirror.has.clear();
    mirror.down = vec!["trixie-security"];
    let error = store.open(None, &[&mirror]).unwrap_err();
    assert!(error.is::<Unavailable>());
    let text = error.to_string();
    for part in [
        "xen 4.17.7+13-g24-0 from bookworm-security, xen 4.17.5+72-g01-1 from bookworm: 404 Not Found",
        "trixie-security: no network",
        "--xen PATH",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(mirror.asked().len(), 4);
    assert_eq!(store.open(None, &[&mirror]).unwrap_err().to_string(), text);
    assert!(mirror.asked().is_empty());
    store.look_again(None, &[&mirror]).unwrap_err();
    assert_eq!(mirror.asked().len(), 4);
    // After a day it is.
    let old = fs::read_to_string(store.failures()).unwrap();
    let aged: String = old
        .lines()
        .map(|l| format!("1000 {}\n", l.split_once(' ').unwrap().1))
        .collect();
    fs::write(store.failures(), aged).unwrap();
    store.open(None, &[&mirror]).unwrap_err();
    assert_eq!(mirror.asked().len(), 4);
}

#[test]
fn a_fault_of_this_machine_is_no_fault_of_the_mirror() {
    let (_directory, store) = store();
    let mut mirror = Fake::recovered();
    mirror.broken = true;
    let error = store.open(None, &[&mirror]).unwrap_err();
    assert!(!error.is::<Unavailable>(), "{error}");
    assert!(error.to_string().contains("no tar"));
    // It ends the search, and the next command tries again.
    assert_eq!(mirror.asked(), [format!("{V420} trixie")]);
    mirror.broken = false;
    assert_eq!(version(&store.open(None, &[&mirror]).unwrap()), V420);
    // With something to fall back on, too.
    mirror.broken = true;
    fs::remove_dir_all(store.directory.join(V420)).unwrap();
    store.open(release(17), &[&Fake::today()]).unwrap();
    let error = store.look_again(None, &[&mirror]).unwrap_err();
    assert!(!error.is::<Unavailable>(), "{error}");
}

#[test]
fn a_release_can_be_asked_for_and_changes_nothing() {
    let (_directory, store) = store();
    let mirror = Fake::recovered();
    let tree = store.open(None, &[&mirror]).unwrap();
    assert_eq!(version(&tree), V420);
    let older = store.open(release(17), &[&Fake::today()]).unwrap();
    assert_eq!(version(&older), V417);
    assert_eq!(store.open(None, &[&mirror]).unwrap(), tree);
    mirror.asked();
    // What is there is not fetched again.
    let down = Fake::down();
    assert_eq!(store.open(release(17), &[&down]).unwrap(), older);
    assert_eq!(store.open(release(20), &[&down]).unwrap(), tree);
    assert!(down.asked().is_empty());
    // Looking again for a release finds a newer one of it, and leaves the one in use alone.
    let newer = store.look_again(release(17), &[&mirror]).unwrap();
    assert_eq!(version(&newer), V417_SECURITY);
    assert_eq!(store.open(None, &[&down]).unwrap(), tree);
    // Without one in use, what is there is better than nothing.
    fs::remove_file(store.current()).unwrap();
    assert_eq!(store.open(None, &[&down]).unwrap(), tree);
    let text = store.open(release(19), &[&mirror]).unwrap_err().to_string();
    assert!(
        text.starts_with("no source of Xen 4.19 can be had"),
        "{text}"
    );
}

#[test]
fn a_mirror_that_is_down_takes_nothing_away() {
    let (_directory, store) = store();
    let text = store.open(None, &[&Fake::down()]).unwrap_err().to_string();
    assert!(text.contains("trixie-security: no network"), "{text}");
    let tree = store.look_again(None, &[&Fake::today()]).unwrap();
    assert_eq!(store.look_again(None, &[&Fake::down()]).unwrap(), tree);
    // Nor does one that has gone back to an older one.
    let mut older = Fake::today();
    older.listed[0] = vec!["4.17.1-1"];
    older.has = vec![("4.17.1-1", "bookworm")];
    assert_eq!(store.look_again(None, &[&older]).unwrap(), tree);
}

#[test]
fn two_at_once_fetch_once() {
    let (_directory, store) = store();
    let fetched: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mirror = Fake::recovered();
                    assert_eq!(version(&store.open(None, &[&mirror]).unwrap()), V420);
                    mirror.asked().len()
                })
            })
            .collect();
        threads.into_iter().map(|t| t.join().unwrap()).sum()
    });
    assert_eq!(fetched, 1);
}

#[test]
fn reasons_that_are_one_are_said_once() {
    let reasons = ["a: 404", "none", "b: down", "c: 404"].map(str::to_owned);
    assert_eq!(apt::grouped(&reasons), "a, c: 404; none; b: down");
}

#[test]
fn versions_are_compared_by_release_and_then_as_dpkg_does() {
    assert_eq!(compare("4.9.1-1", V417), Ordering::Less);
    assert_eq!(compare("4.17.5-1", "4.17.5-1~bpo12+1"), Ordering::Greater);
    assert_eq!(compare("4.17.5-1", "4.17.5-1"), Ordering::Equal);
}

/// What a user has who has downloaded this version: its two archives, packed by tar.
fn downloads(directory: &Path, package: &str) -> Downloads {
    let tree = directory.join("packed");
    for (file, text) in [
        ("upstream/xen-4/xen/Makefile", package),
        (
            "packaging/debian/patches/series",
            "# none but\none.patch -p1\n",
        ),
        (
            "packaging/debian/patches/one.patch",
            "--- a/xen/COPYING\n+++ b/xen/COPYING\n@@ -0,0 +1 @@\n+ours\n",
        ),
    ] {
        let file = tree.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
    let archives: Vec<Remote> = [
        ("orig", "upstream", "xen-4"),
        ("debian", "packaging", "debian"),
    ]
    .map(|(kind, from, what)| {
        let name = format!("xen_{package}.{kind}.tar.xz");
        let file = directory.join(&name);
        let mut tar = Command::new("tar");
        tar.arg("-cJf").arg(&file).arg("-C").arg(tree.join(from));
        run(tar.arg(what), "pack", None).unwrap();
        let hash = run(Command::new("sha256sum").arg(&file), "hash", None).unwrap();
        Remote {
            uri: file.to_str().unwrap().to_owned(),
            name,
            size: fs::metadata(&file).unwrap().len(),
            sha256: hash.split(' ').next().unwrap().to_owned(),
        }
    })
    .into();
    let cache = Cache::at(directory.join("cache"));
    let fetch = |remote: &Remote, to: &Path| Ok(fs::copy(&remote.uri, to).map(drop)?);
    let what = format!("xen {package}");
    cache
        .keep(&kept_name(package), &what, &archives, &fetch)
        .unwrap();
    let names = ["the downloads".to_owned()];
    Downloads { cache, names }
}

#[test]
fn a_new_clone_takes_what_was_downloaded_and_asks_nobody() {
    let (directory, store) = store();
    let downloads = downloads(directory.path(), V417);
    let tree = store.open(None, &[&downloads]).unwrap();
    assert_eq!(version(&tree), V417);
    assert_eq!(
        fs::read_to_string(tree.join("xen/COPYING")).unwrap(),
        "ours\n"
    );
    // It is the one that is in use now.
    assert_eq!(store.kept(None).as_deref(), Some(V417));
    let other = store.open(release(20), &[&downloads]).unwrap_err();
    assert!(other.is::<Unavailable>(), "{other:#}");
}

#[test]
fn what_was_downloaded_serves_where_the_mirror_has_lost_it() {
    for mirror in [Fake::today(), Fake::down()] {
        let (directory, store) = store();
        let downloads = downloads(directory.path(), V420);
        let tree = store.look_again(None, &[&downloads, &mirror]).unwrap();
        assert_eq!(version(&tree), V420);
        // The lists were asked for, no file was.
        assert!(mirror.asked().iter().all(|what| what.starts_with("list ")));
    }
    // Of what is newer at the mirror, it is no obstacle.
    let (directory, store) = store();
    let downloads = downloads(directory.path(), V417);
    let tree = store
        .look_again(None, &[&downloads, &Fake::recovered()])
        .unwrap();
    assert_eq!(version(&tree), V420);
}

#[test]
fn a_damaged_download_is_not_offered() {
    let (directory, store) = store();
    let downloads = downloads(directory.path(), V417);
    let kept = downloads.cache.kept(&kept_name(V417)).unwrap();
    fs::write(&kept.files[0].1, "damaged").unwrap();
    let error = store.open(None, &[&downloads]).unwrap_err();
    assert!(error.is::<Unavailable>(), "{error:#}");
}
