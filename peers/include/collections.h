/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * list_sort.h, bsearch.h and radix-tree.h, as far as the C vGICs use them.
 */
#ifndef PEER_COLLECTIONS_H
#define PEER_COLLECTIONS_H

/* Stable; n log n comparisons, as Xen's. More than 0: a goes after b. */
typedef int list_compare_t(void *priv, struct list_head *a, struct list_head *b);
void list_sort(void *priv, struct list_head *head, list_compare_t *compare);

/* xen/bsearch.h has C's arguments, and so has the C library. */

/* A radix tree's interface, over an array sorted by index ********************/

struct radix_tree_root {
    struct radix_tree_item { unsigned long index; void *item; } *items;
    unsigned int count, room;
};

#define radix_tree_init(root) (*(root) = (struct radix_tree_root){ NULL })
void radix_tree_destroy(struct radix_tree_root *root, void (*free_item)(void *item));
int radix_tree_insert(struct radix_tree_root *root, unsigned long index, void *item);
void *radix_tree_lookup(struct radix_tree_root *root, unsigned long index);
void *radix_tree_delete(struct radix_tree_root *root, unsigned long index);
unsigned int radix_tree_gang_lookup(struct radix_tree_root *root, void **results,
                                    unsigned long first, unsigned int most);

#endif /* PEER_COLLECTIONS_H */
