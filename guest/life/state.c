// SPDX-License-Identifier: GPL-2.0-only
/*
 * What becomes of a domain whose interrupt controller is saved, reset and restored while it is alive, from Dom0:
 *
 * state copies N: pauses the test guest, saves its vGIC to a file, resets the vGIC, restores it from the file, and lets the guest go
 * on, N times, while the guest counts all its interrupts. The line of an SPI rises just before, or between reset and restore, and so
 * is a message sent: what comes then is kept. A message to an ITS that is reset, and so not enabled, is refused, and so it is by an
 * rVID, which has no input mapped then; there a line that rises is dropped, unless its input has levels.
 *
 * state copies N loss|double: in the middle of them a fault is planted in what was saved, which must not go unnoticed.
 *
 * state resets N: when the test guest has called for a reset of its system, resets its vGIC and begins it anew, N times: its image is
 * loaded again, vCPU 0 starts, and the others are off. After each reset the vGIC is the same as after the first.
 *
 * state suspends N: when a domain has suspended itself, resumes it, N times.
 *
 * The last line is "state: ok ..." or "state: FAILED ...". Needs /dev/xen/privcmd and /dev/xen/hypercall.
 */
#define PROGRAM "state"
#include "state.h"
#include "privcmd.h"
#include "shared.h"
#include "xen.h"
#include "domctl.h"
#include "plant.h"

/* How long to wait: for what an interrupt does, and for a domain to come to its end. */
enum { PATIENCE_MS = 60000, GIVEN_UP_MS = 40000, END_MS = 3600000, STEP_MS = 5 };
/* The most that a stream and an image may take. */
enum { ROOM = 4 << 20 };
/* Where they are. */
#define STREAM_FILE "/run/vgic"
#define IMAGE_FILE "/lib/test-guest"

struct buffer {
	struct domctl domctl;
	struct vcpu_context context;
	struct dm_op op;
	struct dm_buffer buffers[1];
};
_Static_assert(sizeof(struct buffer) <= PAGE, "one page");

static struct buffer *buffer;
static uint8_t *stream, *other;

static uint8_t *memory(void)
{
	uint8_t *at = (uint8_t *)must("get memory", get_pages(ROOM));

	/* There is a page for each. */
	memset(at, 0, ROOM);
	return at;
}

static void about(const char *what, uint32_t command)
{
	prepare(command, domain);
	must(what, domctl());
}

/* The vGIC's state to where it is wanted; the number of bytes. */
static uint32_t save(uint8_t *to)
{
	struct domctl *op = prepare(DOMCTL_GET_CONTEXT, domain);
	uint32_t size;

	must("ask for the size of the vGIC's state", domctl());
	size = op->context.size;
	if (!size || size > ROOM)
		fail("the vGIC's state has a size that cannot be", 0);
	op = prepare(DOMCTL_GET_CONTEXT, domain);
	op->context.size = size;
	op->context.buffer = (uint64_t)to;
	must("save the vGIC", domctl());
	if (!op->context.size || op->context.size > size)
		fail("Xen has written more than it said", 0);
	return op->context.size;
}

static void restore(uint8_t *from, uint32_t size)
{
	struct domctl *op = prepare(DOMCTL_SET_CONTEXT, domain);

	op->context.size = size;
	op->context.buffer = (uint64_t)from;
	must("restore the vGIC", domctl());
}

static void reset(void)
{
	prepare(DOMCTL_VGIC_RESET, domain)->vgic_reset.what = RESET_ALL;
	must("reset the vGIC", domctl());
}

static long dm_op(void)
{
	buffer->buffers[0] = (struct dm_buffer){ .address = (uint64_t)&buffer->op, .size = sizeof(buffer->op) };
	return hypercall3(DM_OP, domain, 1, (uint64_t)buffer->buffers);
}

static void set_line(uint8_t level)
{
	buffer->op = (struct dm_op){
		.op = DM_SET_IRQ_LEVEL, .line = { .number = (uint32_t)look(STATE_LINE), .level = level },
	};
	must("set the level of a line", dm_op());
}

static long send_message(void)
{
	buffer->op = (struct dm_op){
		.op = DM_INJECT_MSI2, .address = look(STATE_DOORBELL), .data = (uint32_t)look(STATE_DATA),
		.source = (uint32_t)look(STATE_DEVICE), .flags = MSI_SOURCE_VALID,
	};
	return dm_op();
}

static uint64_t copied;

static _Noreturn void fail_copy(const char *what, uint64_t seen, uint64_t wanted)
{
	struct line line = { .length = 0 };

	add(&line, "state: FAILED ");
	add(&line, what);
	add(&line, ", after ");
	add_number(&line, copied);
	add(&line, " copies: ");
	add_number(&line, seen);
	add(&line, ", expected ");
	add_number(&line, wanted);
	add(&line, "; CPUs 0 and 1 have taken ");
	add_number(&line, look(STATE_PROGRESS));
	add(&line, " and ");
	add_number(&line, look(STATE_PROGRESS + 8));
	add(&line, " interrupts, lines ");
	add_number(&line, look(STATE_LINES_TAKEN));
	add(&line, ", messages ");
	add_number(&line, look(STATE_MESSAGES_TAKEN));
	/* The guest says what it has counted. */
	tell(STATE_PHASE, STATE_STOP);
	for (int64_t deadline = now_ms() + GIVEN_UP_MS; !look(STATE_VERDICT) && now_ms() < deadline;)
		sleep_ms(STEP_MS);
	print(&line);
	end(1);
}

/* Waits until a counter of the guest's has come so far. */
static void wait_for(const char *what, size_t counter, uint64_t wanted)
{
	int64_t deadline = now_ms() + PATIENCE_MS;

	while (look(counter) < wanted) {
		if (now_ms() > deadline || look(STATE_VERDICT))
			fail_copy(what, look(counter), wanted);
		sleep_ms(1);
	}
	if (look(counter) > wanted && counter < STATE_PROGRESS)
		fail_copy("what was sent once has come twice", look(counter), wanted);
}

static void compare(const char *what, const uint8_t *one, uint32_t length, const uint8_t *two, uint32_t other_length)
{
	struct line line = { .length = 0 };
	uint32_t at = 0;

	while (at < length && at < other_length && one[at] == two[at])
		at++;
	if (at == length && at == other_length)
		return;
	add(&line, "state: FAILED ");
	add(&line, what);
	add(&line, ": byte ");
	add_number(&line, at);
	add(&line, " of ");
	add_number(&line, length);
	add(&line, " and ");
	add_number(&line, other_length);
	print(&line);
	end(1);
}

/* What the other domain has sent: counted before it is sent, so that it is never taken more often than that. */
static uint64_t lines, messages;

static void raise(void)
{
	tell(STATE_LINES_SENT, ++lines);
	set_line(1);
}

static void must_send_message(void)
{
	tell(STATE_MESSAGES_SENT, ++messages);
	must("send a message", send_message());
}

/*
 * Saves, resets, has something come, and restores; the number of bytes. The line rises before, so that it is high all the while, or
 * between reset and restore, and so does a message come. What would not be kept then comes before.
 */
static uint32_t copy(uint64_t n)
{
	const int there = look(STATE_DOORBELL) != 0;
	const int keeps_lines = look(STATE_KEEPS) & STATE_KEEPS_LINES;
	const int keeps_messages = look(STATE_KEEPS) & STATE_KEEPS_MESSAGES;
	uint32_t size;

	if (n % 3 == 0 || !keeps_lines)
		raise();
	if (there && (n % 2 || !keeps_messages))
		must_send_message();
	about("pause the guest", DOMCTL_PAUSE);
	size = save(stream);
	if (write_file(STREAM_FILE, stream, size) != size)
		fail("cannot write " STREAM_FILE, 0);
	reset();
	if (!keeps_lines) {
		/* Nobody is to see this one. */
		set_line(0);
		set_line(1);
	} else if (n % 3) {
		raise();
	}
	if (there && !keeps_messages) {
		long result = send_message();

		if (result != -ENOENT && result != -EINVAL)
			fail("a message to what is reset was not refused", result);
	} else if (there && n % 2 == 0) {
		must_send_message();
	}
	memset(other, 0, size);
	if (read_file(STREAM_FILE, other, size) != size)
		fail("cannot read " STREAM_FILE, 0);
	restore(other, size);
	about("let the guest go on", DOMCTL_UNPAUSE);
	return size;
}

/*
 * Saves, plants a fault, resets and restores. It is in the message of this program where there is one, else in one of the SPIs that the
 * guest sets pending. The message to be lost is sent once the guest is paused, and so is pending for certain; an SPI may be.
 */
static void copy_with(enum plant plant)
{
	const int there = look(STATE_DOORBELL) != 0;
	const uint64_t first = look(there ? STATE_MESSAGE : STATE_SPIS);
	const uint64_t count = there ? 1 : look(STATE_SPIS_NUMBER);
	int64_t deadline = now_ms() + PATIENCE_MS;
	uint32_t size;

	for (;;) {
		about("pause the guest", DOMCTL_PAUSE);
		if (there && plant == LOSS)
			must_send_message();
		size = save(stream);
		if (plant_in(stream, size, plant, first, count))
			break;
		about("let the guest go on", DOMCTL_UNPAUSE);
		/* Another message would not be one of its own. */
		if ((there && plant == LOSS) || now_ms() > deadline)
			fail_copy("no fault can be planted in these interrupts", first, count);
		sleep_ms(1);
	}
	reset();
	restore(stream, size);
	about("let the guest go on", DOMCTL_UNPAUSE);
}

/* Once it is taken, as often as it was sent, the line is low again, and so may be raised again. */
static void settle(void)
{
	for (size_t cpu = 0; cpu < 2; cpu++) {
		size_t at = STATE_PROGRESS + cpu * 8;

		wait_for("a CPU takes no more interrupts", at, look(at) + 20);
	}
	wait_for("a line that rose is lost", STATE_LINES_TAKEN, lines);
	set_line(0);
	tell(STATE_LINES_LOWERED, lines);
	wait_for("a message is lost", STATE_MESSAGES_TAKEN, messages);
}

static void copies(uint64_t count, enum plant plant)
{
	struct line line = { .length = 0 };
	uint32_t size = 0;
	int64_t began;

	find_guest(STATE_PAGE, STATE_MAGIC_VALUE, "no domain waits to be saved");
	tell(STATE_PHASE, STATE_BEGUN);
	/* Until it counts, nobody would lower a line. */
	settle();
	began = now_ms();
	for (uint64_t n = 0; n < count; n++) {
		if (plant && n == count / 2) {
			copy_with(plant);
			settle();
		}
		/* At other moments of what the guest does. */
		sleep_ms((uint32_t)(n * 7 % 13));
		size = copy(n);
		settle();
		copied++;
	}
	tell(STATE_PHASE, STATE_STOP);
	for (int64_t deadline = now_ms() + PATIENCE_MS; !look(STATE_VERDICT); sleep_ms(1))
		if (now_ms() > deadline)
			fail("the guest does not end", 0);
	if (look(STATE_VERDICT) != STATE_PASSED)
		fail("the guest has counted something else: see its console", 0);
	add(&line, "state: ok ");
	add_number(&line, count);
	add(&line, " copies, of ");
	add_number(&line, size);
	add(&line, " bytes at last; meanwhile ");
	add_number(&line, lines);
	add(&line, " lines rose and ");
	add_number(&line, messages);
	add(&line, " messages came, each counted once; CPUs 0 and 1 took ");
	add_number(&line, look(STATE_PROGRESS));
	add(&line, " and ");
	add_number(&line, look(STATE_PROGRESS + 8));
	add(&line, " interrupts; ");
	add_number(&line, (uint64_t)(now_ms() - began));
	add(&line, " ms");
	print(&line);
}

/* Why this domain is shut down, if it is. */
static int reason_of(uint16_t which)
{
	struct domctl *op = prepare(DOMCTL_INFO, which);

	if (domctl() < 0 || op->domain != which || op->info.flags & INFO_DYING || !(op->info.flags & INFO_SHUTDOWN))
		return -1;
	return (int)(op->info.flags >> INFO_REASON_SHIFT & INFO_REASON_MASK);
}

static void wait_for_reboot(void)
{
	int64_t deadline = now_ms() + END_MS;
	int reason;

	while ((reason = reason_of(domain)) < 0) {
		if (now_ms() > deadline)
			fail("the guest does not come to its end", 0);
		sleep_ms(100);
	}
	if (reason != REASON_REBOOT)
		fail("the guest has ended, but not to begin anew", 0);
}

/* Loads the guest's image to where it was. */
static void load(const uint8_t *image, size_t size, uint64_t base)
{
	for (size_t at = 0; at < size; at += PAGE) {
		long here = must("get a place for a page", map_pages(privcmd, PAGE));
		uint64_t frame = (base + at) / PAGE;
		int32_t error;

		must("map the guest's image", map_foreign(domain, here, 1, &frame, &error));
		memcpy((void *)here, image + at, PAGE);
		synchronise((const uint8_t *)here, PAGE, 1);
		unmap_pages((void *)here, PAGE);
	}
}

/* The other vCPUs as before they were first switched on, vCPU 0 at the image's beginning. */
static void begin_anew(uint64_t base, uint64_t tree, uint32_t vcpus)
{
	struct vcpu_context *context = &buffer->context;
	struct domctl *op;

	for (uint32_t vcpu = 1; vcpu < vcpus; vcpu++) {
		prepare(DOMCTL_SET_VCPU_CONTEXT, domain)->vcpu_context.vcpu = vcpu;
		must("switch a vCPU off", domctl());
	}
	memset(context, 0, sizeof(*context));
	context->flags = VCPU_ONLINE;
	context->x[0] = tree;
	context->pc = base;
	/* EL1h, all masked; the MMU off. */
	context->cpsr = 0x3c5;
	context->sctlr = 0x30d00800;
	op = prepare(DOMCTL_SET_VCPU_CONTEXT, domain);
	op->vcpu_context.context = (uint64_t)context;
	must("set vCPU 0's registers", domctl());
	about("end the shutdown", DOMCTL_RESUME);
	about("have the guest begin anew", DOMCTL_UNPAUSE);
}

static void resets(uint64_t count)
{
	struct line line = { .length = 0 };
	uint8_t *image = memory();
	uint64_t base, tree;
	uint32_t size = 0, again, vcpus;
	long length = must("read " IMAGE_FILE, read_file(IMAGE_FILE, image, ROOM));

	find_guest(STATE_PAGE, STATE_MAGIC_VALUE, "no domain waits to be reset");
	base = look(STATE_BASE);
	tree = look(STATE_TREE);
	vcpus = (uint32_t)look(STATE_VCPUS);
	if (base % PAGE || !length || length == ROOM)
		fail("this is no image", 0);
	for (uint64_t n = 0;; n++) {
		wait_for_reboot();
		if (n == count)
			break;
		about("pause the guest", DOMCTL_PAUSE);
		reset();
		again = save(n ? other : stream);
		if (n)
			compare("the vGIC is not what it was after its first reset", stream, size, other, again);
		else
			size = again;
		load(image, (size_t)length, base);
		begin_anew(base, tree, vcpus);
	}
	add(&line, "state: ok ");
	add_number(&line, count);
	add(&line, " resets, after each of which the vGIC's ");
	add_number(&line, size);
	add(&line, " bytes were the same");
	print(&line);
}

static void suspends(uint64_t count)
{
	struct line line = { .length = 0 };
	int64_t began = now_ms();

	for (uint64_t n = 0; n < count; n++) {
		int64_t deadline = now_ms() + PATIENCE_MS * 4;

		for (domain = 1; reason_of(domain) != REASON_SUSPEND; domain = domain % DOMAINS + 1) {
			if (now_ms() > deadline)
				fail("no domain suspends itself", 0);
			sleep_ms(STEP_MS);
		}
		about("resume a domain", DOMCTL_RESUME);
	}
	add(&line, "state: ok ");
	add_number(&line, count);
	add(&line, " suspends, each of them resumed; ");
	add_number(&line, (uint64_t)(now_ms() - began));
	add(&line, " ms");
	print(&line);
}

/* The stack as the kernel leaves it: the number of arguments, then the arguments. */
__attribute__((used)) static _Noreturn void start_here(const uint64_t *stack)
{
	const char *plant = stack[0] == 4 ? (const char *)stack[4] : 0;
	uint64_t count = stack[0] == 3 || plant ? number((const char *)stack[3]) : 0;
	const int planted = plant && is((const char *)stack[2], "copies") && (is(plant, "loss") || is(plant, "double"));

	if (!count || (plant && !planted))
		fail("say what, and how often: state copies|resets|suspends N, or state copies N loss|double", 0);
	buffer = open_privcmd();
	find_domctl(&buffer->domctl);
	stream = memory();
	other = memory();
	if (is((const char *)stack[2], "copies"))
		copies(count, !plant ? NOTHING : is(plant, "loss") ? LOSS : DOUBLE);
	else if (is((const char *)stack[2], "resets"))
		resets(count);
	else if (is((const char *)stack[2], "suspends"))
		suspends(count);
	else
		fail("say what: copies, resets or suspends", 0);
	end(0);
}

__asm__(".global _start\n_start:\n\tmov x0, sp\n\tb start_here\n");
