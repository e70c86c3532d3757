/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How the programs ask Xen for something about a domain.
 */
#ifndef LIFE_DOMCTL_H
#define LIFE_DOMCTL_H

#include "privcmd.h"
#include "xen.h"

static struct domctl *domctl_op;
static uint32_t domctl_version;

static struct domctl *prepare(uint32_t command, uint16_t domain)
{
	memset(domctl_op, 0, sizeof(*domctl_op));
	domctl_op->command = command;
	domctl_op->version = domctl_version;
	domctl_op->domain = domain;
	return domctl_op;
}

static long domctl(void)
{
	return hypercall(DOMCTL, (uint64_t)domctl_op, 0);
}

/* From now on operations are at `op`. Xen refuses any version but its own with EACCES. */
static void find_domctl(struct domctl *op)
{
	long result = -EACCES;

	domctl_op = op;
	for (uint32_t v = DOMCTL_OLDEST; v <= DOMCTL_NEWEST && result == -EACCES; v++) {
		domctl_version = v;
		prepare(DOMCTL_INFO, 0);
		result = domctl();
	}
	must("find the version of Xen's domctl interface", result);
}

#endif
