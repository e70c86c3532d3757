// SPDX-License-Identifier: GPL-2.0-only
//! Single states that a reset has to get out of.

use super::*;
