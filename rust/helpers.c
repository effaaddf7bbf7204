// SPDX-License-Identifier: GPL-2.0-only

#include <linux/part_stat.h>
#include <linux/sched/mm.h>

#include "helpers.h"

unsigned int dm_bond_noio_save(void)
{
	return memalloc_noio_save();
}

void dm_bond_noio_restore(unsigned int flags)
{
	memalloc_noio_restore(flags);
}

void dm_bond_bio_init(struct bio *bio, struct block_device *bdev, struct bio_vec *vec,
		      blk_opf_t opf)
{
	bio_init(bio, bdev, vec, 1, opf);
}

bool dm_bond_bdev_is_nvme_head(struct block_device *bdev)
{
	const struct module *owner = bdev->bd_disk->fops->owner;

	return !queue_is_mq(bdev_get_queue(bdev)) && owner && !strcmp(owner->name, "nvme_core");
}

void dm_bond_bio_add_buffer(struct bio *bio, void *buf, unsigned int len)
{
	bio_add_virt_nofail(bio, buf, len);
}

unsigned int dm_bond_bdev_block_size(struct block_device *bdev)
{
	return bdev_logical_block_size(bdev);
}

u64 dm_bond_bdev_done(struct block_device *bdev)
{
	return part_stat_read_accum(bdev, ios) + part_stat_read_accum(bdev, sectors);
}

bool dm_bond_bdev_is_quiesced(struct block_device *bdev)
{
	return blk_queue_quiesced(bdev_get_queue(bdev));
}

int dm_bond_bdev_name(struct block_device *bdev, char *buf, size_t size)
{
	return scnprintf(buf, size, "%pg", bdev);
}

const char *dm_bond_bdev_owner(struct block_device *bdev)
{
	const struct module *owner = bdev->bd_disk->fops->owner;

	return owner ? owner->name : NULL;
}

struct net_device *dm_bond_netdev_of(void *notifier_info)
{
	return netdev_notifier_info_to_dev(notifier_info);
}

const char *dm_bond_netdev_name(const struct net_device *dev)
{
	return dev->name;
}

bool dm_bond_netdev_link(const struct net_device *dev)
{
	return netif_running(dev) && netif_carrier_ok(dev);
}

void dm_bond_netdev_hold(struct net_device *dev)
{
	dev_hold(dev);
}

void dm_bond_netdev_put(struct net_device *dev)
{
	dev_put(dev);
}

void dm_bond_ratelimit_init(struct ratelimit_state *rs)
{
	ratelimit_default_init(rs);
}
