// SPDX-License-Identifier: GPL-2.0-only
/*
 * pci give SLOT DOMAIN: resets a PCI device that Dom0's drivers have let go, and gives it to a domain; SLOT is as in
 * /sys/bus/pci/devices.
 * pci take SLOT DOMAIN: takes it from the domain, and resets it again.
 * pci ram SLOT DOMAIN: has a page of RAM in a BAR of the domain's (places.h).
 * pci keep SLOT: gives it to Dom0, whose drivers can have it again.
 * pci lives SLOT N: builds N domains one after the other, each of which runs Linux, gets the device and uses it; all but the last are
 * destroyed while they do (owner.c).
 *
 * The last line is "pci: ok ..." or "pci: FAILED ...". Needs /dev/xen/privcmd and /dev/xen/hypercall.
 */
#include "pci.h"
#include "owner.h"
#include "places.h"

static void say(const char *what, const char *slot, uint64_t domain)
{
	struct line line = { .length = 0 };

	add(&line, PROGRAM ": ok ");
	add(&line, slot);
	add(&line, what);
	add_number(&line, domain);
	print(&line);
}

/* As the domain itself could do it: of its pages, this one need not be asked for. */
static void put_ram(uint16_t domain)
{
	buffer->move = (struct memory_move){
		.domain = domain, .what = MOVE_SHARED_INFO, .frame = PLACE_WITH_RAM / PAGE + RAM_PAGE,
	};
	must("have RAM in a BAR", hypercall(MEMORY_OP, MEMORY_ADD_TO_PHYSMAP, (uint64_t)&buffer->move));
}

/* Which of a program's words it is; empty if there are fewer. */
static const char *argument_of(const uint64_t *stack, uint64_t which)
{
	return stack[0] > which ? (const char *)stack[1 + which] : "";
}

/* The stack as the kernel leaves it: the number of arguments, then the arguments. */
__attribute__((used)) static _Noreturn void start_here(const uint64_t *stack)
{
	const char *what = argument_of(stack, 1), *slot = argument_of(stack, 2);
	uint64_t argument = number(argument_of(stack, 3));
	int keep = is(what, "keep");

	if (stack[0] != (keep ? 3 : 4) || (argument == 0) != keep)
		fail("say what, which device, and a number: pci give|take|ram|lives SLOT NUMBER, or pci keep SLOT", 0);
	buffer = open_privcmd();
	find_domctl(&buffer->domctl);
	find_device(slot);
	if (is(what, "give")) {
		give_device((uint16_t)argument);
		say(" is domain ", slot, argument);
	} else if (is(what, "take")) {
		take_device((uint16_t)argument);
		say(" is not any more domain ", slot, argument);
	} else if (is(what, "ram")) {
		put_ram((uint16_t)argument);
		say(" has RAM in a BAR in domain ", slot, argument);
	} else if (keep) {
		keep_device();
		say(" is domain ", slot, 0);
	} else if (is(what, "lives")) {
		lives(argument);
	} else {
		fail("say give, take, ram, keep or lives", 0);
	}
	end(0);
}

__asm__(".global _start\n_start:\n\tmov x0, sp\n\tb start_here\n");
