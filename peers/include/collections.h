/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * list.h, list_sort.h, bsearch.h, rbtree.h and radix-tree.h, as far as the C
 * vGICs use them. Lists are the vGICs' inner loops and as cheap as Xen's.
 */
#ifndef PEER_COLLECTIONS_H
#define PEER_COLLECTIONS_H

/* Lists: a ring through the head ********************************************/

struct list_head { struct list_head *next, *prev; };

#define LIST_HEAD_INIT(name) { &(name), &(name) }
#define LIST_HEAD(name) struct list_head name = LIST_HEAD_INIT(name)

static inline void INIT_LIST_HEAD(struct list_head *list)
{
    list->next = list->prev = list;
}

static inline bool list_empty(const struct list_head *list)
{
    return list->next == list;
}

static inline bool list_head_is_null(const struct list_head *list)
{
    return !list->next && !list->prev;
}

static inline bool list_is_last(const struct list_head *entry, const struct list_head *head)
{
    return entry->next == head;
}

static inline void list_link_(struct list_head *entry, struct list_head *before,
                              struct list_head *after)
{
    entry->prev = before;
    entry->next = after;
    before->next = entry;
    after->prev = entry;
}

static inline void list_add(struct list_head *entry, struct list_head *head)
{
    list_link_(entry, head, head->next);
}

static inline void list_add_tail(struct list_head *entry, struct list_head *head)
{
    list_link_(entry, head->prev, head);
}

static inline void list_del(struct list_head *entry)
{
    entry->prev->next = entry->next;
    entry->next->prev = entry->prev;
}

static inline void list_del_init(struct list_head *entry)
{
    list_del(entry);
    INIT_LIST_HEAD(entry);
}

#define list_entry(p, type, member) container_of(p, type, member)
#define list_first_entry(head, type, member) list_entry((head)->next, type, member)
#define list_of_(pos, p, member) list_entry(p, __typeof__(*(pos)), member)

#define list_for_each_entry(pos, head, member) \
    for ( (pos) = list_of_(pos, (head)->next, member); &(pos)->member != (head); \
          (pos) = list_of_(pos, (pos)->member.next, member) )

#define list_for_each_entry_reverse(pos, head, member) \
    for ( (pos) = list_of_(pos, (head)->prev, member); &(pos)->member != (head); \
          (pos) = list_of_(pos, (pos)->member.prev, member) )

#define list_for_each_entry_safe(pos, after, head, member) \
    for ( (pos) = list_of_(pos, (head)->next, member), \
          (after) = list_of_(pos, (pos)->member.next, member); \
          &(pos)->member != (head); \
          (pos) = (after), (after) = list_of_(pos, (after)->member.next, member) )

/* Stable; n log n comparisons, as Xen's. More than 0: a goes after b. */
typedef int list_compare_t(void *priv, struct list_head *a, struct list_head *b);
void list_sort(void *priv, struct list_head *head, list_compare_t *compare);

/* xen/bsearch.h has C's arguments, and so has the C library. */

/* rbtree.h: where a domain's devices hang, which its.c keeps in a chain *******/

struct rb_root { struct its_device *first; };
#define RB_ROOT ((struct rb_root){ NULL })
#define RB_EMPTY_ROOT(root) (!(root)->first)

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
