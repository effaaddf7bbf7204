// SPDX-License-Identifier: GPL-2.0-only

#include <linux/blk-mq.h>
#include <linux/part_stat.h>
#include <linux/percpu.h>
#include <linux/sched/mm.h>
#include <linux/smp.h>

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

int dm_bond_bdev_name(struct block_device *bdev, char *buf, size_t size)
{
	return scnprintf(buf, size, "%pg", bdev);
}

const char *dm_bond_bdev_owner(struct block_device *bdev)
{
	const struct module *owner = bdev->bd_disk->fops->owner;

	return owner ? owner->name : NULL;
}

unsigned int dm_bond_bdev_depth(struct block_device *bdev)
{
	struct request_queue *q = bdev_get_queue(bdev);

	return queue_is_mq(q) ? q->nr_requests * q->nr_hw_queues : 0;
}

unsigned int dm_bond_bdev_max_bytes(struct block_device *bdev)
{
	return queue_max_bytes(bdev_get_queue(bdev));
}

bool dm_bond_is_plugged(void)
{
	return current->plug && !rq_list_empty(&current->plug->mq_list);
}

unsigned int dm_bond_get_cpu(void)
{
	return get_cpu();
}

void dm_bond_put_cpu(void)
{
	put_cpu();
}

unsigned long dm_bond_alloc_percpu(size_t size, size_t align)
{
	return (__force unsigned long)__alloc_percpu(size, align);
}

void dm_bond_free_percpu(unsigned long p)
{
	free_percpu((__force void __percpu *)p);
}

void *dm_bond_per_cpu_ptr(unsigned long p, unsigned int cpu)
{
	return cpu_possible(cpu) ? per_cpu_ptr((__force void __percpu *)p, cpu) : NULL;
}

struct net_device *dm_bond_netdev_of(void *notifier_info)
{
	return netdev_notifier_info_to_dev(notifier_info);
}

const char *dm_bond_netdev_name(const struct net_device *dev)
{
	return dev->name;
}

void dm_bond_netdev_copy_name(const struct net_device *dev, char name[IFNAMSIZ])
{
	strscpy(name, dev->name, IFNAMSIZ);
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
