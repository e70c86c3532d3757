// SPDX-License-Identifier: GPL-2.0-only
/*
 * hostile SLOT ROUNDS: what a guest may do to a PCI function of its own that no driver would; SLOT is as in /sys/bus/pci/devices. It
 * looks at each register in each size; puts BARs where no window of its bridge is; has two CPUs write configuration at once, memory
 * decoding and BARs above all; and writes whatever it likes to the table of MSI-X. Then all is as before, for a driver to come.
 *
 * hostile hold SLOT [SLOT]: has their BARs where it is hard to take them away (hold.h), and leaves them so.
 * hostile gone SLOT N: waits until the function is another domain's, and looks whether anything of the first N of its places is there.
 *
 * The last line is "hostile: ok ..." or "hostile: FAILED ...". Takes /dev/mem, and a kernel that lets it map what is a driver's
 * (iomem=relaxed), on a machine whose bridge is that of Xen's guests.
 */
#define PROGRAM "hostile"
#include "program.h"

enum { SYS_SCHED_SETAFFINITY = 122, SYS_CLONE = 220, SYS_WAIT4 = 260, SIGCHLD = 17, MAP_SHARED_ANONYMOUS = 0x21 };
/* The functions of a device; configuration space of each. */
enum { FUNCTIONS = 8, SPACE = 0x1000, PAGE = 0x1000 };
enum { COMMAND = 4, MEMORY = 2, BAR0 = 0x10, BAR_END = 0x28, CAPABILITIES = 0x34, ID_MSI = 5, ID_MSIX = 0x11 };

/* Where the guest's bridge is, and a window of it. */
static const uint64_t ECAM = 0x10000000, WINDOW = 0x23000000;
/* Where CPUs find no BAR. */
enum { NOWHERE = 0x39000000 };
/* What it has elsewhere: its GIC, an ITS, pages for devices' messages, a UART, RAM, and nothing. */
static const uint64_t elsewhere[] = { 0x03001000, 0x08080000, 0x08100000, 0x22000000, 0x40000000, 0x41000000, 0x60000000, NOWHERE };

static uint8_t *space;
static uint32_t bars[(BAR_END - BAR0) / 4];
/* What both CPUs see: which are ready, and behind that, which are done. */
static volatile uint32_t *shared;

/* One instruction each, of which a hypervisor is told what it does. */
static uint64_t get(const volatile void *at, unsigned int size)
{
	uint64_t value;

	switch (size) {
	case 1: __asm__ volatile("ldrb %w0, [%1]" : "=r"(value) : "r"(at) : "memory"); break;
	case 2: __asm__ volatile("ldrh %w0, [%1]" : "=r"(value) : "r"(at) : "memory"); break;
	case 4: __asm__ volatile("ldr %w0, [%1]" : "=r"(value) : "r"(at) : "memory"); break;
	default: __asm__ volatile("ldr %0, [%1]" : "=r"(value) : "r"(at) : "memory"); break;
	}
	return value;
}

static void put(volatile void *at, unsigned int size, uint64_t value)
{
	switch (size) {
	case 1: __asm__ volatile("strb %w0, [%1]" : : "r"(value), "r"(at) : "memory"); break;
	case 2: __asm__ volatile("strh %w0, [%1]" : : "r"(value), "r"(at) : "memory"); break;
	case 4: __asm__ volatile("str %w0, [%1]" : : "r"(value), "r"(at) : "memory"); break;
	default: __asm__ volatile("str %0, [%1]" : : "r"(value), "r"(at) : "memory"); break;
	}
}

static uint32_t reads(unsigned int reg)
{
	return (uint32_t)get(space + reg, 4);
}

static void writes(unsigned int reg, uint32_t value)
{
	put(space + reg, 4, value);
}

static void *map_at(uint64_t address, size_t size)
{
	long device = must("open /dev/mem", open_device("/dev/mem"));

	return (void *)must("map what is not RAM", syscall6(SYS_MMAP, 0, (long)size, PROT_RW, MAP_SHARED, device, (long)address));
}

/* xorshift: it need not be good. */
static uint64_t random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void holds(const char *what, int condition)
{
	if (!condition)
		fail(what, 0);
}

/* A register that is what it is, whatever is written. */
static void constant(const char *what, unsigned int reg, uint32_t mask, uint32_t value)
{
	uint32_t before = reads(reg);
	unsigned int size;

	holds(what, (before & mask) == value);
	for (size = 1; size <= 4; size *= 2) {
		put(space + reg, size, ~0ULL);
		holds(what, reads(reg) == before);
		put(space + reg + 4 - size, size, 0);
		holds(what, reads(reg) == before);
	}
}

/* Each size of access sees the same bytes. */
static void sizes_agree(void)
{
	unsigned int reg, size;

	for (reg = 0; reg < 0x100; reg += 8)
		for (size = 1; size <= 8; size *= 2) {
			uint64_t all = get(space + reg, 8), parts = 0, read;
			unsigned int at;

			for (at = 0; at < 8; at += size) {
				read = get(space + reg + at, size);
				parts |= read << (at * 8);
			}
			holds("sizes of access do not agree", all == parts);
		}
}

/* The place of a capability, or 0. There are two at most, and a list that ends. */
static unsigned int capability(uint8_t wanted)
{
	unsigned int at = (unsigned int)get(space + CAPABILITIES, 1), count = 0, found = 0;

	if (!(reads(COMMAND) >> 16 & 0x10)) {
		holds("there is a list of capabilities that there is not", at == 0);
		return 0;
	}
	for (; at; at = (unsigned int)get(space + at + 1, 1)) {
		uint8_t id = (uint8_t)get(space + at, 1);

		holds("a capability is not one for a guest", at >= 0x40 && !(at & 3) && (id == ID_MSI || id == ID_MSIX));
		holds("capabilities do not end", count++ < 2);
		if (id == wanted)
			found = at;
	}
	return found;
}

static void look(void)
{
	unsigned int function;

	holds("there is no device", (uint16_t)reads(0) != 0xffff);
	constant("vendor and device", 0, 0, 0);
	constant("class and revision", 8, 0, 0);
	/* Beside the size of a cache line, which is whatever is written. */
	writes(0xc, ~0U);
	holds("type of the header", !(reads(0xc) & 0xffffff00));
	writes(0xc, 0);
	writes(CAPABILITIES, ~0U);
	holds("behind the list of capabilities", !(reads(CAPABILITIES) & 0xffffff00));
	constant("CardBus", 0x28, ~0U, 0);
	constant("subsystem", 0x2c, 0, 0);
	constant("expansion ROM", 0x30, ~0U, 0);
	constant("reserved register", 0x38, ~0U, 0);
	constant("interrupt line and pin", 0x3c, ~0U, 0);
	sizes_agree();
	capability(0);
	holds("an extended capability", reads(0x100) == 0 || reads(0x100) == ~0U);
	for (function = 1; function < FUNCTIONS; function++) {
		uint8_t *other = space + function * SPACE;

		put(other, 4, 0);
		holds("another function", get(other, 4) == 0xffffffff);
	}
}

static void decode(int on)
{
	put(space + COMMAND, 2, on ? MEMORY : 0);
}

/* The size of a BAR of memory, of which `*is_64` then says whether there is a second half; 0: there is none. */
static uint64_t size_of(unsigned int bar, int *is_64)
{
	unsigned int reg = BAR0 + bar * 4, part;
	uint64_t mask;

	*is_64 = 0;
	writes(reg, ~0U);
	if (!reads(reg) || (reads(reg) & 1))
		return 0;
	mask = 0xffffffff00000000 | (reads(reg) & ~0xfU);
	*is_64 = (reads(reg) & 6) == 4;
	if (*is_64) {
		writes(reg + 4, ~0U);
		mask = (mask & 0xffffffff) | (uint64_t)reads(reg + 4) << 32;
	}
	for (part = 1; part < 4; part *= 2) {
		unsigned int at;

		writes(reg, 0);
		holds("a BAR keeps what it had", !(reads(reg) & ~0xfU));
		for (at = 0; at < 4; at += part)
			put(space + reg + at, part, ~0ULL);
		holds("a BAR's size is another by halves and bytes", (reads(reg) & ~0xfU) == (uint32_t)mask);
	}
	return -mask;
}

static void place(unsigned int bar, int is_64, uint64_t address)
{
	writes(BAR0 + bar * 4, (uint32_t)address);
	if (is_64)
		writes(BAR0 + bar * 4 + 4, (uint32_t)(address >> 32));
}

/* Where CPUs find no BAR: what is there stays, as the kernel would notice. */
static void misplace(void)
{
	unsigned int bar, i;
	int is_64;

	for (bar = 0; bar < 6; bar += is_64 ? 2 : 1) {
		uint64_t size = size_of(bar, &is_64);

		for (i = 0; size && i < sizeof(elsewhere) / sizeof(*elsewhere); i++) {
			place(bar, is_64, elsewhere[i] & -size);
			decode(1);
			decode(0);
		}
		/* At the end of all addresses, and right before a window. */
		if (size) {
			place(bar, is_64, -size);
			decode(1);
			decode(0);
			place(bar, is_64, (WINDOW - size) & -size);
			decode(1);
			decode(0);
		}
	}
}

static void restore(void)
{
	unsigned int i, msi = capability(ID_MSI), msix = capability(ID_MSIX);

	decode(0);
	if (msi)
		put(space + msi + 2, 2, 0);
	if (msix)
		put(space + msix + 2, 2, 0);
	for (i = 0; i < sizeof(bars) / sizeof(*bars); i++)
		writes(BAR0 + i * 4, bars[i]);
	for (i = 0; i < sizeof(bars) / sizeof(*bars); i++)
		holds("a BAR does not take what it had", reads(BAR0 + i * 4) == bars[i]);
}

/* One of two CPUs. A function may be a bus master: it has nothing to say. */
static void race(unsigned int cpu, uint64_t rounds)
{
	uint64_t mask = 1UL << cpu, state = 0x9e3779b97f4a7c15 + cpu;

	must("move to a CPU", syscall6(SYS_SCHED_SETAFFINITY, 0, sizeof(mask), (long)&mask, 0, 0, 0));
	shared[cpu] = 1;
	while (!shared[0] || !shared[1])
		syscall6(SYS_YIELD, 0, 0, 0, 0, 0, 0);
	while (rounds--) {
		uint64_t value = random(&state);
		unsigned int size = 1U << (value >> 60 & 3), reg = value >> 48 & 0xff & -size;

		switch (value >> 56 & 7) {
		case 0: case 1: case 2:
			decode(value & 1);
			break;
		case 3:
			writes(BAR0 + (value >> 40) % 6 * 4, WINDOW + (value & 0xfff0000));
			break;
		case 4:
			writes(BAR0 + (value >> 40) % 6 * 4, (uint32_t)value);
			break;
		case 5:
			put(space + reg, size, value);
			break;
		default:
			get(space + reg, size);
			break;
		}
	}
	shared[2 + cpu] = 1;
}

static void both_race(uint64_t rounds)
{
	int status = 0;
	long child;

	shared = (void *)must("get a page for both", syscall6(SYS_MMAP, 0, PAGE, PROT_RW, MAP_SHARED_ANONYMOUS, -1, 0));
	child = must("start another process", syscall6(SYS_CLONE, SIGCHLD, 0, 0, 0, 0, 0));
	race(child ? 0 : 1, rounds);
	if (!child)
		end(0);
	must("wait for it", syscall6(SYS_WAIT4, child, (long)&status, 0, 0, 0, 0));
	holds("it did not come to its end", !status && shared[2] && shared[3]);
}

/* The table and the pending bits, if they are in BAR 0, which decodes memory. */
static void table(uint64_t rounds)
{
	unsigned int at = capability(ID_MSIX), control, offset, pending;
	uint64_t size, state = 0x2545f4914f6cdd1d, address, count;
	uint8_t *memory;
	int is_64;

	if (!at)
		return;
	control = (unsigned int)get(space + at + 2, 2);
	offset = reads(at + 4);
	pending = reads(at + 8);
	if ((offset & 7) || (pending & 7))
		return;
	size = size_of(0, &is_64);
	restore();
	address = bars[0] & ~0xfU;
	if (is_64)
		address |= (uint64_t)bars[1] << 32;
	decode(1);
	memory = map_at(address, size);
	count = (control & 0x7ff) + 1U;
	for (; rounds; rounds--) {
		uint64_t value = random(&state);
		unsigned int wide = 1U << (value >> 60 & 3);
		uint8_t *entry = memory + offset + (value >> 32) % count * 16;

		switch (value >> 56 & 7) {
		case 0:
			put(space + at + 2, 2, value << 14);
			break;
		case 1:
			get(memory + pending + (value >> 32) % ((count + 63) / 64) * 8, wide);
			break;
		case 2:
			put(memory + pending, wide, value);
			break;
		case 3:
			get(entry + (value & 15 & -wide), wide);
			break;
		default:
			put(entry + (value >> 8 & 15 & -wide), wide, value);
			break;
		}
	}
	for (; rounds < count; rounds++) {
		uint8_t *entry = memory + offset + rounds * 16;

		put(entry + 12, 4, 1);
		put(entry, 8, 0x123456789abcdef0);
		put(entry + 8, 4, (uint32_t)rounds);
		holds("a table's address is another", get(entry, 8) == 0x123456789abcdef0);
		holds("a table's data are others", get(entry + 8, 4) == rounds);
		holds("a vector is not masked", (get(entry + 12, 4) & 1) == 1);
		put(entry, 8, 0);
		put(entry + 8, 4, 0);
	}
	unmap_pages(memory, size);
}

#include "hold.h"

/* Digits of base 16 at these places: the bus, the device and the function of a slot. */
static unsigned int digits(const char *text, unsigned int count)
{
	unsigned int number = 0;

	while (count--) {
		char digit = *text++;

		holds("a slot is as in 0000:00:01.0", (digit >= '0' && digit <= '9') || (digit >= 'a' && digit <= 'f'));
		number = number << 4 | (unsigned int)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
	}
	return number;
}

/* The configuration space of a slot. */
static uint8_t *space_of(const char *slot)
{
	unsigned int length = 0;

	while (slot[length])
		length++;
	if (length != 12 || slot[7] != ':' || slot[10] != '.')
		fail("say which slot, as in 0000:00:01.0", 0);
	return map_at(ECAM + (digits(slot + 5, 2) << 20 | digits(slot + 8, 2) << 15), FUNCTIONS * SPACE);
}

static void mistreat(uint64_t rounds)
{
	unsigned int i;

	for (i = 0; i < sizeof(bars) / sizeof(*bars); i++)
		bars[i] = reads(BAR0 + i * 4);
	decode(0);
	look();
	misplace();
	restore();
	both_race(rounds);
	restore();
	table(rounds);
	restore();
	look();
	restore();
}

static _Noreturn void well(const char *slot, const char *what, uint64_t count, const char *of)
{
	struct line line = { .length = 0 };

	add(&line, PROGRAM ": ok ");
	add(&line, slot);
	add(&line, what);
	add_number(&line, count);
	add(&line, of);
	print(&line);
	end(0);
}

__attribute__((used)) static _Noreturn void start_here(const uint64_t *stack)
{
	const char *words[3] = { "", "", "" };
	uint64_t count;

	for (uint64_t i = 0; i < 3 && i + 1 < stack[0]; i++)
		words[i] = (const char *)stack[2 + i];
	if (is(words[0], "hold") && (stack[0] == 3 || stack[0] == 4)) {
		hold(space_of(words[1]), stack[0] == 4 ? space_of(words[2]) : NULL);
		well(words[1], " is held, of functions: ", stack[0] - 2, "");
	}
	count = stack[0] == 4 ? number(words[2]) : stack[0] == 3 ? number(words[1]) : 0;
	if (count == 0)
		fail("say which slot and how many rounds, hold and the slots, or gone, the slot and how many places", 0);
	if (stack[0] == 4) {
		holds("say gone, the slot and how many places", is(words[0], "gone"));
		space = space_of(words[1]);
		gone(count);
		well(words[1], " has left, and with it ", count, " places");
	}
	space = space_of(words[0]);
	mistreat(count);
	well(words[0], " after ", count, " rounds");
}

__asm__(".global _start\n_start:\n\tmov x0, sp\n\tb start_here\n");
