/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the recorder of the Rust half takes from Xen (RUST_VGIC_RECORD).
 */

#include <xen/irq.h>
#include <xen/lib.h>
#include <xen/mm.h>

#include <asm/gic.h>

#include "rvgic.h"

uint64_t *rvgic_record_buffer(size_t size)
{
    void *buffer = alloc_xenheap_pages(get_order_from_bytes(size), 0);

    if ( !buffer )
    {
        printk(XENLOG_ERR "rust-vgic: no memory for the recorder\n");

        return NULL;
    }

    memset(buffer, 0, size);

    /* cargo xtask record looks for this line. */
    printk(XENLOG_INFO "rust-vgic: records in %#lx bytes at %#lx\n",
           (unsigned long)size, (unsigned long)virt_to_maddr(buffer));

    return buffer;
}

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
