// SPDX-License-Identifier: GPL-2.0-only
//! `xen-glue-header FILE`: writes the header there.

use anyhow::{Context, Result};
use std::path::Path;

fn main() -> Result<()> {
    let file = std::env::args_os()
        .nth(1)
        .context("say where the header is to be written: xen-glue-header FILE")?;
    xen_glue_header::write(Path::new(&file))
}
