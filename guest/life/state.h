/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What state.c and the test guest (src/state.rs) agree on: a page of the guest's memory, 64-bit words, each with one writer.
 */
#define STATE_PAGE 0x41000000

/* The guest's: the magic number is written last. */
#define STATE_MAGIC 0x00
#define STATE_BASE 0x08     /* where its image begins, */
#define STATE_TREE 0x10     /* and where its device tree is */
#define STATE_LINE 0x18     /* an SPI with a line, */
#define STATE_DOORBELL 0x20 /* and where a message of the device goes, 0 if there are none */
#define STATE_DEVICE 0x28
#define STATE_DATA 0x30
#define STATE_VERDICT 0x38  /* 0 none yet, 1 passed, 2 failed */
#define STATE_LINES_TAKEN 0x40
#define STATE_MESSAGES_TAKEN 0x48
#define STATE_PROGRESS 0x50 /* how many interrupts each of two CPUs has taken */
#define STATE_SPIS 0x60     /* the first SPI that it sets pending itself, */
#define STATE_SPIS_NUMBER 0x68
#define STATE_MESSAGE 0x70  /* and the interrupt that the device's message is */
#define STATE_KEEPS 0x78    /* what comes while the vGIC is reset, and not yet restored, is not lost: bits of below */
/* The program's. */
#define STATE_PHASE 0x80    /* 1: it begins; 2: it is over */
#define STATE_LINES_SENT 0x88
#define STATE_LINES_LOWERED 0x90
#define STATE_MESSAGES_SENT 0x98
/* The guest's. */
#define STATE_VCPUS 0xa0    /* how many it has */

#define STATE_MAGIC_VALUE 0x5647494353544154
#define STATE_KEEPS_LINES 1
#define STATE_KEEPS_MESSAGES 2
#define STATE_BEGUN 1
#define STATE_STOP 2
#define STATE_PASSED 1
