/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The interface between dm-bond and miniports: drivers that know the adapters that block devices
 * run over. For modules written in C; modules in Rust have kapi/port.rs.
 *
 * A miniport registers a struct dm_bond_miniport. For each path of each bond dm-bond asks it to
 * bind to the path's block device, now and later; it may decline. Between bind and the end of
 * unbind it may call dm_bond_path_failed() and dm_bond_path_restored() with the path it was given:
 * from any context, hard interrupts included, at any time, as often as it likes.
 */
#ifndef DM_BOND_H
#define DM_BOND_H

#include <linux/blkdev.h>
#include <linux/bits.h>
#include <linux/if.h>
#include <linux/module.h>

/* Changes with every change of what is below. */
#define DM_BOND_MINIPORT_VERSION 3

/* The longest text of an address, its NUL included. */
#define DM_BOND_DEST_SIZE 64

/* A path that a miniport is bound to. What is in it is dm-bond's. */
struct dm_bond_path;

/**
 * struct dm_bond_miniport - a miniport
 * @version: DM_BOND_MINIPORT_VERSION, of the header that the miniport was built with
 * @name: what it is called in sysfs and in the log
 * @owner: its module, which stays loaded while it is bound to a path
 * @bind: Binds to a block device, or declines with -ENODEV (other errors are told in the log). On
 *	success *data is given to all that follows. May sleep. Must not send I/O to the device.
 * @unbind: Ends that. May sleep. Once it has returned, the path must not be used any more.
 * @netdev: Writes the name of the network device that the path runs over; -ENODATA if that is not
 *	known. May sleep. May be NULL.
 * @dest: Writes the address that the path leads to: IPv4, IPv6 or a Fibre Channel port name, as in
 *	a table line; -ENODATA if there is none. May sleep. May be NULL.
 * @abort: Makes the driver below give back all commands that are pending on the path, with whatever
 *	status. They need not be back when it returns. -EBUSY to be asked again a little later. May
 *	sleep. NULL if that cannot be done.
 * @renew: Makes the session with the storage anew. Called when the link is back that was lost for
 *	longer than abort_ms: a session that outlived the loss may still answer, and yet be given up
 *	soon by timers that run since then. If that takes longer, dm_bond_path_failed() is to be
 *	called before this returns, and dm_bond_path_restored() when it is done. May sleep. May be
 *	NULL.
 * @set_role: Writes the role register of the path's adapter. The primary adapter of a team receives
 *	all I/O of the bonds whose adapters balance, and chooses which adapter transmits it; a
 *	secondary one only transmits. Called for every path over the adapter that the miniport is
 *	bound to, again whenever that may have changed; for secondary adapters before the primary
 *	one. Before the last path over the primary adapter is unbound it is said to be secondary.
 *	May sleep. May be NULL.
 * @choose: Chooses the path, and so the adapter, that transmits an I/O. Called with the data of the
 *	bond's path over the primary adapter, once @set_role has taken that it is one. @paths has
 *	the data of all paths of the bond, in the order of the table line, NULL for those that this
 *	miniport is not bound to; a bit of @usable is set for those that may be chosen. Returns the
 *	path's place in @paths, or a negative number to leave it to dm-bond. Any context but hard
 *	interrupts; must not sleep. May be NULL.
 */
struct dm_bond_miniport {
	unsigned int version;
	const char *name;
	struct module *owner;
	int (*bind)(struct block_device *bdev, struct dm_bond_path *path, void **data);
	void (*unbind)(void *data);
	int (*netdev)(void *data, char name[IFNAMSIZ]);
	int (*dest)(void *data, char text[DM_BOND_DEST_SIZE]);
	int (*abort)(void *data);
	int (*renew)(void *data);
	int (*set_role)(void *data, bool primary);
	int (*choose)(void *data, void *const *paths, u64 usable, unsigned int bytes, bool write);
};

/*
 * All paths over the same adapter, of all bonds, are meant; with DM_BOND_VOIDED the commands of
 * those of them that this miniport is bound to. Of a path whose network device is not known (from
 * @netdev or the table line) only the path itself fails; and the commands of all paths of that kind
 * that the miniport is bound to are taken for voided.
 */
#define DM_BOND_ADAPTER		BIT(0)
/*
 * The commands that were sent to the path before this call and that end with success after it have
 * not been carried out: the driver only emptied its queue. They are sent again. Without this, a
 * success stays a success.
 */
#define DM_BOND_VOIDED		BIT(1)

/**
 * dm_bond_register_miniport - make a miniport known, and let it bind to the paths that there are
 * @miniport: must stay valid until it is unregistered
 *
 * May sleep. Return: 0; -EINVAL if @bind, @unbind or @name is missing; -EPROTO if it was built for
 * another version, which the log names; -EEXIST if there is one of this name; -ENOMEM.
 */
int dm_bond_register_miniport(const struct dm_bond_miniport *miniport);

/**
 * dm_bond_unregister_miniport - undo dm_bond_register_miniport()
 * @miniport: the miniport; it is bound to nothing when this returns
 *
 * May sleep.
 */
void dm_bond_unregister_miniport(const struct dm_bond_miniport *miniport);

/**
 * dm_bond_path_failed - say that a path, or its adapter, has failed
 * @path: the path
 * @flags: DM_BOND_ADAPTER, DM_BOND_VOIDED or both
 * @instead: a path that new I/O of the same bond is to take, until that fails; or NULL
 *
 * The path carries no more I/O until dm_bond_path_restored() is called for it, or an administrator
 * reinstates it. Any context.
 */
void dm_bond_path_failed(struct dm_bond_path *path, unsigned int flags,
			 struct dm_bond_path *instead);

/**
 * dm_bond_path_restored - say that a path, or its adapter, works again
 * @path: the path
 * @flags: DM_BOND_ADAPTER or 0
 * @instead: a path that new I/O of the same bond is to take, as long as that is in use; or NULL
 *
 * The path is probed at once, and carries I/O again when it has answered. Any context.
 */
void dm_bond_path_restored(struct dm_bond_path *path, unsigned int flags,
			   struct dm_bond_path *instead);

#endif
