// SPDX-License-Identifier: GPL-2.0-only
//! Files that are whole whenever they are there.

use anyhow::{Context, Result};
use std::fs;
use std::path::Path;

/// Writes a file aside and gives it its name when it is whole: who is ended half-way leaves the one that was there.
pub fn write_whole(path: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    let what = || format!("cannot write {}", path.display());
    let directory = path.parent().filter(|d| !d.as_os_str().is_empty());
    let directory = directory.unwrap_or(Path::new("."));
    fs::create_dir_all(directory).with_context(what)?;
    // One of its own for each writer, removed again if the rest fails.
    let mut aside = tempfile::Builder::new();
    // As anybody else would make it, not for this user alone.
    aside.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let aside = aside
        .prefix(".new-")
        .tempfile_in(directory)
        .with_context(what)?;
    fs::write(aside.path(), bytes).with_context(what)?;
    aside
        .persist(path)
        .map_err(|e| e.error)
        .with_context(what)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_nothing_is_left_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("new/file");
        for text in ["one", "another"] {
            write_whole(&file, text).unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), text);
        }
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert!(write_whole(&file, "text").is_err());
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1);
    }
}
