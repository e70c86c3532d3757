// SPDX-License-Identifier: GPL-2.0-only
//! The lives of interrupts, as they were noted, drawn as text, as SVG, or as a page to look around in.
//!
//! A drawing has a column for each thing that happened, not for each step.

mod html;
mod json;
mod lanes;
mod svg;
mod text;
mod word;

#[cfg(test)]
mod samples;
