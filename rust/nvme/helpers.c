// SPDX-License-Identifier: GPL-2.0-only

#include <linux/blk-mq.h>
#include <linux/percpu-refcount.h>

#include "../helpers.h"

/* Also of a frozen queue: who freezes it may wait for what is to be called back. */
bool dm_bond_nvme_queue_enter(struct request_queue *q)
{
	return percpu_ref_tryget(&q->q_usage_counter);
}

void dm_bond_nvme_queue_exit(struct request_queue *q)
{
	percpu_ref_put(&q->q_usage_counter);
}

bool dm_bond_nvme_owns(struct block_device *bdev)
{
	const struct module *owner = bdev->bd_disk->fops->owner;

	return queue_is_mq(bdev_get_queue(bdev)) && owner && !strcmp(owner->name, "nvme_core");
}
