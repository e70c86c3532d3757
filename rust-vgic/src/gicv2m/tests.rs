// SPDX-License-Identifier: GPL-2.0-only
//! A GICv2m frame as its guest and its devices use it.
