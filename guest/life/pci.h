/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A PCI device that Dom0 gives to other domains: what Linux says of it, and what Xen is told.
 */
#ifndef LIFE_PCI_H
#define LIFE_PCI_H

#define PROGRAM "pci"
#include "build.h"

enum { BARS = 6 };

struct bar {
	uint64_t start, end, flags;
};
enum { BAR_IS_MEMORY = 0x200 };

/* The device: its segment, bus and function as Xen numbers them, and its BARs. */
static struct {
	char path[80];
	size_t base;
	uint32_t sbdf;
	struct bar bars[BARS];
} device;

/* A number of hexadecimal digits at `*text`, which is then behind it. */
static uint64_t hexadecimal(const char **text)
{
	const char *at = *text;
	uint64_t number = 0;

	if (at[0] == '0' && at[1] == 'x')
		at += 2;
	for (;; at++) {
		char digit = *at;

		if (digit >= '0' && digit <= '9')
			number = number << 4 | (uint64_t)(digit - '0');
		else if (digit >= 'a' && digit <= 'f')
			number = number << 4 | (uint64_t)(digit - 'a' + 10);
		else
			break;
	}
	*text = at;
	return number;
}

/* A file of the device's in sysfs. */
static const char *file_of_device(const char *name)
{
	size_t at = device.base;

	while (*name && at < sizeof(device.path) - 1)
		device.path[at++] = *name++;
	device.path[at] = 0;
	return device.path;
}

static void read_bars(void)
{
	static char text[1024];
	long length = read_file(file_of_device("resource"), text, sizeof(text) - 1);
	const char *at = text;

	must("read which BARs the device has", length);
	text[length] = 0;
	for (int i = 0; i < BARS; i++) {
		uint64_t *fields[] = { &device.bars[i].start, &device.bars[i].end, &device.bars[i].flags };

		for (int field = 0; field < 3; field++) {
			*fields[field] = hexadecimal(&at);
			if (*at)
				at++;
		}
	}
}

/* SLOT is SSSS:BB:DD.F. */
static void find_device(const char *slot)
{
	const char *at = slot;
	uint32_t segment, bus, number, function;

	segment = (uint32_t)hexadecimal(&at);
	bus = (uint32_t)hexadecimal((at += *at == ':', &at));
	number = (uint32_t)hexadecimal((at += *at == ':', &at));
	function = (uint32_t)hexadecimal((at += *at == '.', &at));
	if (*at || at - slot != 12)
		fail("a device is named as 0000:00:01.0 is", 0);
	device.sbdf = segment << 16 | bus << 8 | number << 3 | function;
	for (const char *from = "/sys/bus/pci/devices/"; *from; from++)
		device.path[device.base++] = *from;
	for (const char *from = slot; *from; from++)
		device.path[device.base++] = *from;
	device.path[device.base++] = '/';
	read_bars();
}

/* Nothing of what the last owner has told it, or has in flight, is left. */
static void reset_device(void)
{
	must("reset the device", write_file(file_of_device("reset"), "1", 1));
}

/* Whether a domain may map the device's BARs. */
static void permit_bars(uint16_t domain, int permit)
{
	for (int i = 0; i < BARS; i++) {
		const struct bar *bar = &device.bars[i];
		struct domctl *op = prepare(DOMCTL_IOMEM_PERMISSION, domain);

		if (!(bar->flags & BAR_IS_MEMORY) || bar->end <= bar->start)
			continue;
		op->iomem_permission.first = bar->start / PAGE;
		op->iomem_permission.count = bar->end / PAGE - bar->start / PAGE + 1;
		op->iomem_permission.permit = (uint8_t)permit;
		must(permit ? "permit a BAR" : "take a BAR back", domctl());
	}
}

static long assignment(uint32_t command, uint16_t domain)
{
	struct domctl *op = prepare(command, domain);

	op->assign_device.kind = DEVICE_IS_PCI;
	op->assign_device.sbdf = device.sbdf;
	return domctl();
}

static void give_device(uint16_t domain)
{
	reset_device();
	permit_bars(domain, 1);
	must("assign the device", assignment(DOMCTL_ASSIGN_DEVICE, domain));
}

static void take_device(uint16_t domain)
{
	must("take the device back", assignment(DOMCTL_DEASSIGN_DEVICE, domain));
	permit_bars(domain, 0);
	reset_device();
}

/* A device that some domain had is nobody's, and reaches no memory, until Dom0 asks for it. */
static void keep_device(void)
{
	must("have the device again", assignment(DOMCTL_DEASSIGN_DEVICE, DOMID_IO));
}

#endif
