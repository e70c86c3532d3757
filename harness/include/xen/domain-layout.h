/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef MOCK_DOMAIN_LAYOUT_H
#define MOCK_DOMAIN_LAYOUT_H

#include "mock.h"

#define domain_use_host_layout(d) ((d)->hardware || (d)->direct_mapped)

#endif /* MOCK_DOMAIN_LAYOUT_H */
