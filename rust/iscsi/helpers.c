// SPDX-License-Identifier: GPL-2.0-only

#include <linux/inetdevice.h>
#include <net/addrconf.h>
#include <scsi/libiscsi.h>
#include <scsi/scsi_device.h>
#include <scsi/scsi_host.h>
#include <scsi/scsi_transport_iscsi.h>

#include "../helpers.h"

struct scsi_device *dm_bond_iscsi_disk(struct block_device *bdev)
{
	struct device *parent = disk_to_dev(bdev->bd_disk)->parent;

	return parent && scsi_is_sdev_device(parent) ? to_scsi_device(parent) : NULL;
}

bool dm_bond_iscsi_owns(struct scsi_device *sdev)
{
	return sdev->host->hostt->queuecommand == iscsi_queuecommand;
}

void dm_bond_iscsi_get(struct scsi_device *sdev)
{
	get_device(&sdev->sdev_gendev);
}

void dm_bond_iscsi_put(struct scsi_device *sdev)
{
	put_device(&sdev->sdev_gendev);
}

struct iscsi_session *dm_bond_iscsi_session(struct scsi_device *sdev)
{
	return starget_to_session(scsi_target(sdev))->dd_data;
}

bool dm_bond_iscsi_logged_in(struct scsi_device *sdev)
{
	return iscsi_is_session_online(starget_to_session(scsi_target(sdev)));
}

void dm_bond_iscsi_fail(struct iscsi_session *session)
{
	iscsi_session_failure(session, ISCSI_ERR_CONN_FAILED);
}

void dm_bond_iscsi_lock(struct iscsi_session *session)
{
	spin_lock_bh(&session->frwd_lock);
}

void dm_bond_iscsi_unlock(struct iscsi_session *session)
{
	spin_unlock_bh(&session->frwd_lock);
}

struct iscsi_conn *dm_bond_iscsi_conn(struct iscsi_session *session)
{
	return session->leadconn;
}

void dm_bond_iscsi_get_conn(struct iscsi_conn *conn)
{
	iscsi_get_conn(conn->cls_conn);
}

void dm_bond_iscsi_put_conn(struct iscsi_conn *conn)
{
	iscsi_put_conn(conn->cls_conn);
}

const char *dm_bond_iscsi_netdev(struct scsi_device *sdev)
{
	return ((struct iscsi_host *)shost_priv(sdev->host))->netdev;
}

const char *dm_bond_iscsi_portal(struct iscsi_conn *conn)
{
	return conn->persistent_address;
}

int dm_bond_iscsi_peer(struct iscsi_conn *conn, char *page)
{
	return conn->session->tt->get_conn_param(conn->cls_conn, ISCSI_PARAM_CONN_ADDRESS, page);
}

int dm_bond_iscsi_source(struct iscsi_conn *conn, char *page)
{
	return conn->session->tt->get_host_param(conn->session->host, ISCSI_HOST_PARAM_IPADDRESS,
						 page);
}

struct net_device *dm_bond_iscsi_netdev_ip4(__be32 address)
{
	return __ip_dev_find(&init_net, address, false);
}

struct net_device *dm_bond_iscsi_netdev_ip6(const struct in6_addr *address)
{
	return IS_ENABLED(CONFIG_IPV6) ? ipv6_dev_find(&init_net, address, NULL) : NULL;
}

const char *dm_bond_iscsi_netdev_name(const struct net_device *dev)
{
	return dev->name;
}

void dm_bond_iscsi_lock_state(struct scsi_device *sdev)
{
	mutex_lock(&sdev->state_mutex);
}

void dm_bond_iscsi_unlock_state(struct scsi_device *sdev)
{
	mutex_unlock(&sdev->state_mutex);
}

bool dm_bond_iscsi_is_blocked(struct scsi_device *sdev)
{
	return sdev->sdev_state == SDEV_BLOCK;
}

int dm_bond_iscsi_unblock(struct scsi_device *sdev)
{
	return scsi_internal_device_unblock_nowait(sdev, SDEV_TRANSPORT_OFFLINE);
}
