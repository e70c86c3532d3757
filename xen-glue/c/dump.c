/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the Rust half says on the console: messages, and the dump of a vCPU.
 */

#include <xen/lib.h>

#include "glue.h"

void rvgic_log(unsigned int level, const char *text, size_t len)
{
    int n = min(len, (size_t)1024);

    /*
     * A guest can cause any of these but the "info" of its creation: the "G"
     * levels are rate-limited.
     */
    if ( level <= 1 )
        printk(XENLOG_G_ERR "rust-vgic: %.*s\n", n, text);
    else if ( level == 2 )
        printk(XENLOG_G_WARNING "rust-vgic: %.*s\n", n, text);
    else if ( level == 3 )
        printk(XENLOG_INFO "rust-vgic: %.*s\n", n, text);
    else
        printk(XENLOG_G_DEBUG "rust-vgic: %.*s\n", n, text);
}

void rvgic_print(const char *text, size_t len)
{
    printk("%.*s", (int)min(len, (size_t)1024), text);
}

void rvgic_panic(const char *text, size_t len)
{
    panic("rust-vgic: %.*s\n", (int)min(len, (size_t)1024), text);
}

/*
 * Local variables:
 * mode: C
 * c-file-style: "BSD"
 * c-basic-offset: 4
 * indent-tabs-mode: nil
 * End:
 */
