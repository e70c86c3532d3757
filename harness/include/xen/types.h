/* SPDX-License-Identifier: GPL-2.0-only */
/* Included by rust_vgic.h, from the middle of mock.h: the types are there by then. */
#include "mock.h"
