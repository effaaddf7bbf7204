/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * C functions that the kernel has as macros or inline only, one line each (helpers.c), and
 * prototypes that it exports without a header that a module can include.
 */
#ifndef DM_BOND_HELPERS_H
#define DM_BOND_HELPERS_H

#include <linux/device-mapper.h>
#include <linux/in6.h>
#include <linux/netdevice.h>
#include <linux/ratelimit.h>
#include <linux/workqueue.h>

/* drivers/md/dm-uevent.h */
enum dm_uevent_type {
	DM_UEVENT_PATH_FAILED,
	DM_UEVENT_PATH_REINSTATED,
};

void dm_path_uevent(enum dm_uevent_type event_type, struct dm_target *ti, const char *path,
		    unsigned int nr_valid_paths);

unsigned int dm_bond_noio_save(void);
void dm_bond_noio_restore(unsigned int flags);
void dm_bond_bio_init(struct bio *bio, struct block_device *bdev, struct bio_vec *vec,
		      blk_opf_t opf);
bool dm_bond_bdev_is_nvme_head(struct block_device *bdev);
void dm_bond_bio_add_buffer(struct bio *bio, void *buf, unsigned int len);
unsigned int dm_bond_bdev_block_size(struct block_device *bdev);
const char *dm_bond_bdev_owner(struct block_device *bdev);
u64 dm_bond_bdev_done(struct block_device *bdev);
unsigned int dm_bond_bdev_depth(struct block_device *bdev);
unsigned int dm_bond_bdev_max_bytes(struct block_device *bdev);
bool dm_bond_is_plugged(void);
unsigned int dm_bond_get_cpu(void);
void dm_bond_put_cpu(void);
unsigned long dm_bond_alloc_percpu(size_t size, size_t align);
void dm_bond_free_percpu(unsigned long p);
void *dm_bond_per_cpu_ptr(unsigned long p, unsigned int cpu);
int dm_bond_bdev_name(struct block_device *bdev, char *buf, size_t size);
struct net_device *dm_bond_netdev_of(void *notifier_info);
const char *dm_bond_netdev_name(const struct net_device *dev);
void dm_bond_netdev_copy_name(const struct net_device *dev, char name[IFNAMSIZ]);
bool dm_bond_netdev_link(const struct net_device *dev);
void dm_bond_netdev_hold(struct net_device *dev);
void dm_bond_netdev_put(struct net_device *dev);
/* drivers/nvme/host/nvme.h */
struct nvme_ctrl;
int nvme_reset_ctrl(struct nvme_ctrl *ctrl);

/* nvme/helpers.c */
bool dm_bond_nvme_queue_enter(struct request_queue *q);
void dm_bond_nvme_queue_exit(struct request_queue *q);
bool dm_bond_nvme_owns(struct block_device *bdev);
/* iscsi/helpers.c */
struct iscsi_conn;
struct iscsi_session;
struct scsi_device;

struct scsi_device *dm_bond_iscsi_disk(struct block_device *bdev);
bool dm_bond_iscsi_owns(struct scsi_device *sdev);
void dm_bond_iscsi_get(struct scsi_device *sdev);
void dm_bond_iscsi_put(struct scsi_device *sdev);
struct iscsi_session *dm_bond_iscsi_session(struct scsi_device *sdev);
bool dm_bond_iscsi_logged_in(struct scsi_device *sdev);
void dm_bond_iscsi_fail(struct iscsi_session *session);
void dm_bond_iscsi_lock(struct iscsi_session *session);
void dm_bond_iscsi_unlock(struct iscsi_session *session);
struct iscsi_conn *dm_bond_iscsi_conn(struct iscsi_session *session);
void dm_bond_iscsi_get_conn(struct iscsi_conn *conn);
void dm_bond_iscsi_put_conn(struct iscsi_conn *conn);
const char *dm_bond_iscsi_netdev(struct scsi_device *sdev);
const char *dm_bond_iscsi_portal(struct iscsi_conn *conn);
int dm_bond_iscsi_peer(struct iscsi_conn *conn, char *page);
int dm_bond_iscsi_source(struct iscsi_conn *conn, char *page);
struct net_device *dm_bond_iscsi_netdev_ip4(__be32 address);
struct net_device *dm_bond_iscsi_netdev_ip6(const struct in6_addr *address);
const char *dm_bond_iscsi_netdev_name(const struct net_device *dev);
void dm_bond_iscsi_lock_state(struct scsi_device *sdev);
void dm_bond_iscsi_unlock_state(struct scsi_device *sdev);
bool dm_bond_iscsi_is_blocked(struct scsi_device *sdev);
int dm_bond_iscsi_unblock(struct scsi_device *sdev);

void dm_bond_ratelimit_init(struct ratelimit_state *rs);

#endif
