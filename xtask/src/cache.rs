// SPDX-License-Identifier: GPL-2.0-only
//! What was downloaded, below the user's cache directory: for every clone, and found without a network.
//!
//! A file is named by its SHA-256, as the mirror's signed lists give it, and its content is compared with that whenever it is
//! used. A note for each download says which files are parts of it: there may be no lists to ask any more.

use crate::file::write_whole;
use crate::lock;
use crate::unavailable::Unavailable;
use anyhow::{Context, Result, bail};
use etcetera::BaseStrategy;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// A file that a mirror lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    pub uri: String,
    pub name: String,
    /// In bytes.
    pub size: u64,
    /// In hexadecimal.
    pub sha256: String,
}

/// A download that is there, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Which version of it: `busybox-static 1:1.37.0-6`.
    pub what: String,
    /// The name of each file at the mirror, and where it is.
    pub files: Vec<(String, PathBuf)>,
}

/// How a file is fetched to a path.
pub type Fetch<'a> = &'a dyn Fn(&Remote, &Path) -> Result<()>;

/// The directory.
pub struct Cache {
    directory: PathBuf,
}

impl Cache {
    /// The user's.
    pub fn new() -> Result<Cache> {
        let user = etcetera::base_strategy::choose_base_strategy().context(
            "there is no home directory to keep downloads in: set HOME or XDG_CACHE_HOME",
        )?;
        Ok(Cache::at(user.cache_dir().join("xen-rust-vgic")))
    }

    /// One in this directory.
    pub fn at(directory: PathBuf) -> Cache {
        Cache { directory }
    }

    /// The download of this name, if all of it is there and nothing has become of it.
    pub fn kept(&self, name: &str) -> Option<Kept> {
        let note = fs::read_to_string(self.note(name)).ok()?;
        let mut lines = note.lines();
        let what = lines.next()?.to_owned();
        let file = |line: &str| {
            let (sha256, rest) = line.split_once(' ')?;
            let (size, name) = rest.split_once(' ')?;
            self.right(sha256, size.parse().ok()?)
                .then(|| (name.to_owned(), self.content(sha256)))
        };
        let files = lines.map(file).collect::<Option<Vec<_>>>()?;
        (!files.is_empty()).then_some(Kept { what, files })
    }

    /// The names of downloads that begin like this, whether all of each is there or not.
    pub fn names(&self, beginning: &str) -> Vec<String> {
        let Ok(notes) = fs::read_dir(self.directory.join("notes")) else {
            return Vec::new();
        };
        let mut names: Vec<String> = notes
            .filter_map(|e| e.ok()?.file_name().into_string().ok())
            .filter(|name| name.starts_with(beginning))
            .collect();
        names.sort();
        names
    }

    /// Has a download under this name: fetches what is not there, or not as it should be.
    pub fn keep(&self, name: &str, what: &str, remotes: &[Remote], fetch: Fetch) -> Result<Kept> {
        if !remotes.iter().all(|r| self.right(&r.sha256, r.size)) {
            let _alone = self.lock()?;
            for remote in remotes {
                // Who had the lock before may have fetched it.
                if !self.right(&remote.sha256, remote.size) {
                    self.fetch(remote, fetch)?;
                }
            }
        }
        let mut note = format!("{what}\n");
        for Remote {
            sha256, size, name, ..
        } in remotes
        {
            note.push_str(&format!("{sha256} {size} {name}\n"));
        }
        write_whole(&self.note(name), note)?;
        self.kept(name)
            .with_context(|| format!("{what} has been fetched, and is gone again"))
    }

    /// Keeps others from downloading at the same time; until it is dropped.
    pub fn lock(&self) -> Result<File> {
        let alone = lock::alone(&self.directory.join("lock"), "downloading")?;
        // What nobody is fetching any more was given up.
        let _ = fs::remove_dir_all(self.partial());
        Ok(alone)
    }

    /// The state of the private apt, which keeps the mirror's lists.
    pub fn apt(&self) -> PathBuf {
        self.directory.join("apt")
    }

    fn fetch(&self, remote: &Remote, fetch: Fetch) -> Result<()> {
        let Remote {
            name, size, sha256, ..
        } = remote;
        if !is_sha256(sha256) {
            bail!("the mirror's lists give no SHA-256 of {name}");
        }
        let place = self.content(sha256);
        if place.exists() {
            eprintln!(
                "vgic: {name} is damaged in {}: fetching it again",
                self.directory.display()
            );
        }
        let partial = self.partial();
        fs::create_dir_all(&partial)
            .with_context(|| format!("cannot make {}", partial.display()))?;
        let aside = partial.join(sha256);
        fetch(remote, &aside)?;
        if sha256_of(&aside).with_context(|| format!("cannot read {}", aside.display()))?
            != (*size, sha256.clone())
        {
            let why = "its content is not what the signed lists say";
            return Err(Unavailable(format!("{name}: {why}")).into());
        }
        fs::create_dir_all(self.directory.join("sha256"))
            .and_then(|()| fs::rename(&aside, &place))
            .with_context(|| format!("cannot make {}", place.display()))
    }

    /// Is the file there, with this content?
    fn right(&self, sha256: &str, size: u64) -> bool {
        let place = self.content(sha256);
        is_sha256(sha256)
            && fs::metadata(&place).is_ok_and(|m| m.len() == size)
            && sha256_of(&place).is_ok_and(|(_, found)| found == sha256)
    }

    fn content(&self, sha256: &str) -> PathBuf {
        self.directory.join("sha256").join(sha256)
    }

    fn note(&self, name: &str) -> PathBuf {
        self.directory.join("notes").join(name)
    }

    fn partial(&self) -> PathBuf {
        self.directory.join("partial")
    }
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.chars().all(|c| c.is_ascii_hexdigit())
}

/// The size of a file and its SHA-256.
fn sha256_of(path: &Path) -> io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let (mut hash, mut size, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 16]);
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            let hex = |byte: &u8| format!("{byte:02x}");
            return Ok((size, hash.finalize().iter().map(hex).collect()));
        }
        size += n as u64;
        hash.update(&buffer[..n]);
    }
}

#[cfg(test)]
mod tests;
