// SPDX-License-Identifier: GPL-2.0-only
//! Binary packages of Debian's that are unpacked and not installed: from what is kept, or else from the first suite that has
//! one to give. A suite may list what its mirror does not have.

use crate::apt::{self, Apt, Archive, Suite, Wanted};
use crate::cache::{Cache, Kept};
use crate::command::run;
use crate::progress::Step;
use crate::unavailable::Unavailable;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;
use std::process::Command;

/// What is looked for.
pub struct Wish {
    /// In a person's words.
    pub what: String,
    /// Its name among the downloads.
    pub name: String,
    /// Where to look, the best first.
    pub suites: Vec<(Archive, String)>,
    pub architecture: String,
    /// Which package it is in a suite.
    pub choose: Choose,
}

/// Names a suite's package: `busybox-static:arm64`, or with a version; none if the suite has none that will do.
pub type Choose = Box<dyn Fn(&Apt) -> Result<Option<String>>>;

impl Wish {
    /// If it has been downloaded before.
    pub fn kept(&self) -> Option<Kept> {
        Cache::new().ok()?.kept(&self.name)
    }

    /// The package, downloaded if need be.
    pub fn obtain(&self) -> Result<Kept> {
        let suites = |(archive, name): &(Archive, String)| apt::suite(*archive, name);
        self.obtain_from(
            &Cache::new()?,
            &|| self.suites.iter().map(suites).collect(),
            &|suite| Apt::new(suite, Wanted::Packages(&self.architecture)),
        )
    }

    fn obtain_from(
        &self,
        cache: &Cache,
        suites: &dyn Fn() -> Vec<Result<Suite>>,
        open: &dyn Fn(&Suite) -> Result<Apt>,
    ) -> Result<Kept> {
        if let Some(kept) = cache.kept(&self.name) {
            return Ok(kept);
        }
        let mut failed: Vec<String> = Vec::new();
        for suite in suites() {
            let attempt = suite.and_then(|suite| {
                let apt = open(&suite)?;
                apt.update()?;
                let Some(package) = (self.choose)(&apt)? else {
                    bail!(Unavailable(format!("{} has none", suite.name)));
                };
                let remote = apt.package(&package)?;
                let fetch = |remote: &_, to: &Path| apt.fetch(remote, to);
                cache.keep(&self.name, &package, &[remote], &fetch)
            });
            match attempt {
                Ok(kept) => return Ok(kept),
                // Of an archive that the machine does not use, it has no mirror.
                Err(error) => match error.downcast::<Unavailable>() {
                    Ok(Unavailable(why)) => failed.push(why),
                    Err(error) => return Err(error),
                },
            }
        }
        let why = apt::grouped(&failed);
        bail!(Unavailable(format!("{} cannot be had ({why})", self.what)))
    }
}

/// Unpacks a package's file as a directory, aside first: one that is there is whole, and has been accepted.
pub fn unpack_as(
    kept: &Kept,
    place: &Path,
    accept: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    let what = || format!("cannot make {}", place.display());
    let directory = place.parent().with_context(what)?;
    fs::create_dir_all(directory).with_context(what)?;
    let aside = tempfile::Builder::new()
        .prefix("unpacking-")
        .tempdir_in(directory)
        .with_context(what)?;
    unpack(kept, aside.path())?;
    accept(aside.path())?;
    // What was there was not good enough, or there would be no need.
    let _ = fs::remove_dir_all(place);
    fs::rename(aside.path(), place).with_context(what)
}

/// Unpacks a package's file into a directory.
pub fn unpack(kept: &Kept, into: &Path) -> Result<()> {
    let step = Step::start(format!("Unpacking {}", kept.what));
    for (_, file) in &kept.files {
        let mut command = Command::new("dpkg-deb");
        command.arg("-x").arg(file).arg(into);
        run(&mut command, &format!("unpack {}", kept.what), None)?;
    }
    step.done("unpacked");
    Ok(())
}

#[cfg(test)]
mod tests;
