// SPDX-License-Identifier: GPL-2.0-only
//! apt itself with a false mirror: a local directory that lacks files, has others in their place, or is not there.

use super::*;
use crate::apt::Mirror;
use crate::command::output;
use std::fs;
use std::path::PathBuf;

/// A directory with a mirror and a cache.
struct Place {
    directory: tempfile::TempDir,
}

/// `sha256sum`: the lists are not made by the code that they test.
fn sha256(file: &Path) -> String {
    let text = run(Command::new("sha256sum").arg(file), "hash a file", None).unwrap();
    text.split_whitespace().next().unwrap().to_owned()
}

impl Place {
    /// None where there is no apt to try.
    fn new() -> Option<Place> {
        if output(Command::new("apt-get").arg("--version"), "use apt").is_err() {
            eprintln!("no apt here: nothing tried");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        Some(Place { directory })
    }

    fn cache(&self) -> Cache {
        Cache::at(self.directory.path().join("cache"))
    }

    fn suite(&self, name: &str) -> Suite {
        let mirror = Mirror {
            uri: format!("file:{}", self.directory.path().join("debian").display()),
            signed_by: None,
            trusted: true,
        };
        Suite {
            name: name.to_owned(),
            mirror,
        }
    }

    /// Makes a suite that has version `version` of the package `tool`; returns the package's file.
    fn publish(&self, suite: &str, version: &str) -> PathBuf {
        let architecture = apt::host_architecture().unwrap();
        let root = self.directory.path().join("debian");
        let (tree, pool) = (self.directory.path().join("tool"), root.join("pool"));
        let lists = root.join(format!("dists/{suite}/main/binary-{architecture}"));
        for directory in [&tree.join("DEBIAN"), &tree.join("bin"), &pool, &lists] {
            fs::create_dir_all(directory).unwrap();
        }
        let control = format!(
            "Package: tool\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: Nobody <nobody@example.org>\n\
             Description: a tool\n"
        );
        fs::write(tree.join("DEBIAN/control"), &control).unwrap();
        fs::write(tree.join("bin/tool"), version).unwrap();
        let deb = pool.join(format!("tool_{version}.deb"));
        let mut build = Command::new("dpkg-deb");
        build
            .args(["--root-owner-group", "-b"])
            .arg(&tree)
            .arg(&deb);
        run(&mut build, "build a package", None).unwrap();
        let size = |file: &Path| fs::metadata(file).unwrap().len();
        let packages = lists.join("Packages");
        let more = format!(
            "Filename: pool/tool_{version}.deb\nSize: {}\nSHA256: {}\n",
            size(&deb),
            sha256(&deb)
        );
        fs::write(&packages, format!("{control}{more}\n")).unwrap();
        let release = format!(
            "Suite: {suite}\nCodename: {suite}\nDate: Sat, 28 Nov 2026 00:00:00 UTC\nArchitectures: {architecture}\n\
             Components: main\nSHA256:\n {} {} main/binary-{architecture}/Packages\n",
            sha256(&packages),
            size(&packages)
        );
        fs::write(root.join(format!("dists/{suite}/Release")), release).unwrap();
        deb
    }

    /// The tool, from the first of these suites that has one to give.
    fn obtain(&self, suites: &[&str]) -> Result<Kept> {
        let wish = Wish {
            what: "a tool".into(),
            name: "tool".into(),
            suites: Vec::new(),
            architecture: apt::host_architecture()?,
            choose: Box::new(|apt| {
                let versions = apt.versions("tool")?;
                Ok(versions.first().map(|version| format!("tool={version}")))
            }),
        };
        let wanted = Wanted::Packages(&wish.architecture);
        wish.obtain_from(
            &self.cache(),
            &|| suites.iter().map(|name| Ok(self.suite(name))).collect(),
            &|suite| Apt::within(self.cache(), suite, wanted),
        )
    }

    fn unpacked(&self, kept: &Kept) -> String {
        let to = tempfile::tempdir_in(self.directory.path()).unwrap();
        unpack(kept, to.path()).unwrap();
        fs::read_to_string(to.path().join("bin/tool")).unwrap()
    }

    /// Why there is none.
    fn why_not(&self, suites: &[&str]) -> String {
        let error = self.obtain(suites).unwrap_err();
        assert!(error.is::<Unavailable>(), "{error:#}");
        error.to_string()
    }
}

#[test]
fn what_was_downloaded_needs_no_mirror() {
    let Some(place) = Place::new() else { return };
    place.publish("good", "1.0");
    let kept = place.obtain(&["good"]).unwrap();
    assert_eq!(place.unpacked(&kept), "1.0");
    fs::remove_dir_all(place.directory.path().join("debian")).unwrap();
    assert_eq!(place.obtain(&["good"]).unwrap(), kept);
    // Not even lists.
    fs::remove_dir_all(place.cache().apt()).unwrap();
    let kept = place.obtain(&["good"]).unwrap();
    assert_eq!(place.unpacked(&kept), "1.0");
}

#[test]
fn a_mirror_that_lacks_a_file_is_passed_over() {
    let Some(place) = Place::new() else { return };
    place.publish("good", "1.0");
    fs::remove_file(place.publish("lacks", "2.0")).unwrap();
    let text = place.why_not(&["lacks"]);
    assert!(
        text.starts_with("a tool cannot be had (tool_2.0_")
            && text.contains("from lacks: ")
            && text.contains("No such file"),
        "{text}"
    );
    let kept = place.obtain(&["lacks", "good"]).unwrap();
    assert_eq!(place.unpacked(&kept), "1.0");
}

#[test]
fn a_wrong_hash_is_not_taken() {
    let Some(place) = Place::new() else { return };
    let deb = place.publish("wrong", "2.0");
    let mut content = fs::read(&deb).unwrap();
    *content.last_mut().unwrap() ^= 1;
    fs::write(&deb, &content).unwrap();
    let text = place.why_not(&["wrong"]);
    assert!(text.contains("Hash Sum mismatch"), "{text}");
    // Nothing of it is believed later.
    assert!(place.cache().kept("tool").is_none());
    *content.last_mut().unwrap() ^= 1;
    fs::write(&deb, &content).unwrap();
    let kept = place.obtain(&["wrong"]).unwrap();
    assert_eq!(place.unpacked(&kept), "2.0");
}

#[test]
fn a_damaged_download_is_made_good() {
    let Some(place) = Place::new() else { return };
    place.publish("good", "1.0");
    let kept = place.obtain(&["good"]).unwrap();
    fs::write(&kept.files[0].1, "damaged").unwrap();
    let kept = place.obtain(&["good"]).unwrap();
    assert_eq!(place.unpacked(&kept), "1.0");
}

#[test]
fn a_mirror_that_is_not_there_is_said() {
    let Some(place) = Place::new() else { return };
    let text = place.why_not(&["nowhere"]);
    assert!(
        text.starts_with("a tool cannot be had (the package lists of nowhere: "),
        "{text}"
    );
    assert_eq!(text.lines().count(), 1);
    // One that has something else only.
    place.publish("good", "1.0");
    let kept = place.obtain(&["nowhere", "good"]).unwrap();
    assert_eq!(place.unpacked(&kept), "1.0");
}
