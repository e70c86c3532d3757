/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A plugin for QEMU: how often each block of code between two virtual addresses ran.
 *
 *   cc -shared -fPIC -O2 -DPLUGIN_VERSION=N -o count.so count.c
 *   qemu-system-aarch64 -icount ... -plugin count.so,from=0x...,to=0x...,out=FILE
 *
 * FILE gets a line for each block: its address, its instructions, how often it ran.
 *
 * With -icount, QEMU runs all CPUs in one thread, so nothing here is locked. Debian has no header for plugins: what is
 * used of its interface is declared here.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct qemu_plugin_tb;

void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, void (*translated)(uint64_t id, struct qemu_plugin_tb *block));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *block, void (*executed)(unsigned cpu, void *data),
					  int registers, void *data);
void qemu_plugin_register_atexit_cb(uint64_t id, void (*ended)(uint64_t id, void *data), void *data);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *block);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);

__attribute__((visibility("default"))) int qemu_plugin_version = PLUGIN_VERSION;

/* One for each translation: QEMU may throw a block away and translate it anew. */
struct translation {
	uint64_t address, instructions, runs;
	struct translation *next;
};

static struct translation *translations;
static uint64_t from, to;
static FILE *out;

static void executed(unsigned cpu, void *data)
{
	((struct translation *)data)->runs++;
}

static void translated(uint64_t id, struct qemu_plugin_tb *block)
{
	uint64_t address = qemu_plugin_tb_vaddr(block);
	struct translation *new;

	if (address < from || address >= to)
		return;
	new = malloc(sizeof(*new));
	if (!new)
		abort();
	*new = (struct translation){ address, qemu_plugin_tb_n_insns(block), 0, translations };
	translations = new;
	qemu_plugin_register_vcpu_tb_exec_cb(block, executed, 0, new);
}

static void ended(uint64_t id, void *data)
{
	for (struct translation *t = translations; t; t = t->next)
		fprintf(out, "%#" PRIx64 " %" PRIu64 " %" PRIu64 "\n", t->address, t->instructions, t->runs);
	fclose(out);
}

__attribute__((visibility("default"))) int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv)
{
	for (int i = 0; i < argc; i++) {
		char *value = strchr(argv[i], '=');

		if (!value)
			return -1;
		*value++ = '\0';
		if (!strcmp(argv[i], "from"))
			from = strtoull(value, NULL, 0);
		else if (!strcmp(argv[i], "to"))
			to = strtoull(value, NULL, 0);
		else if (!strcmp(argv[i], "out"))
			out = fopen(value, "w");
		else
			return -1;
	}
	if (!out)
		return -1;
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	qemu_plugin_register_atexit_cb(id, ended, NULL);
	return 0;
}
