// SPDX-License-Identifier: GPL-2.0-only
//! Guests as Linux is one, which start again and again.
use super::*;
