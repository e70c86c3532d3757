// SPDX-License-Identifier: GPL-2.0-only
//! `xen-glue-header SOURCES FILE`: writes the header of the sources in a directory.

use anyhow::{Context, Result};
use std::path::PathBuf;

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (sources, file) = arguments
        .next()
        .zip(arguments.next())
        .context("say what is to be read and written: xen-glue-header SOURCES FILE")?;
    xen_glue_header::write_from(&sources, &file)
}
