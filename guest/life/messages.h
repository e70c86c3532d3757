/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What messages.c and the test guest (src/messages.rs) agree on: a page of the guest's memory, 64-bit words, each with one
 * writer.
 */
#define MESSAGES_PAGE 0x41000000

/* The guest's: the magic number is written last. */
#define MESSAGES_MAGIC 0x00
#define MESSAGES_DOORBELL 0x08 /* where devices write to, as the guest sees it */
#define MESSAGES_DEVICE 0x10
#define MESSAGES_FIRST 0x18    /* the data of the first event's message; the others' follow */
#define MESSAGES_EVENTS 0x20
#define MESSAGES_MOVES 0x28
#define MESSAGES_VERDICT 0x30  /* 0 none yet, 1 passed, 2 failed */
#define MESSAGES_SEEN 0x40     /* of the last event, the number that each of two CPUs has seen */
/* The sender's. */
#define MESSAGES_PHASE 0x80    /* 1: it begins; 2: no more comes */
#define MESSAGES_SEQUENCE 0x88 /* of the last event, the number of the message that follows */
#define MESSAGES_SENT 0x200    /* how often each event was sent */
/* The guest's: how often each was taken by CPU 0, then by CPU 1. */
#define MESSAGES_COUNTS 0x800

#define MESSAGES_MOST 64
#define MESSAGES_MAGIC_VALUE 0x564749434d534753
#define MESSAGES_BEGUN 1
#define MESSAGES_STOP 2
#define MESSAGES_PASSED 1
