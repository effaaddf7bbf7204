/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What dm-bond calls in the kernel and the kernel crate has no bindings for.
 */

#include <linux/hrtimer_types.h>

#include <linux/bio-integrity.h>
#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/device-mapper.h>
#include <linux/kmod.h>
#include <linux/netdevice.h>
#include <linux/notifier.h>
#include <linux/sysfs.h>
#include <linux/workqueue.h>

#include "../helpers.h"
#include "../miniport/dm_bond.h"
#include "../trace.h"

/* Macros with casts, opaque to bindgen: constants, as in the kernel's own bindings_helper.h. */
const unsigned int RUST_CONST_HELPER_DM_BOND_ADAPTER = DM_BOND_ADAPTER;
const unsigned int RUST_CONST_HELPER_DM_BOND_VOIDED = DM_BOND_VOIDED;
const unsigned long RUST_CONST_HELPER_MODULE_NAME_LEN = MODULE_NAME_LEN;
const gfp_t RUST_CONST_HELPER_GFP_NOIO = GFP_NOIO;
const u8 RUST_CONST_HELPER_BLK_STS_NOTSUPP = (__force u8)BLK_STS_NOTSUPP;
const u8 RUST_CONST_HELPER_BLK_STS_TIMEOUT = (__force u8)BLK_STS_TIMEOUT;
const u8 RUST_CONST_HELPER_BLK_STS_NOSPC = (__force u8)BLK_STS_NOSPC;
const u8 RUST_CONST_HELPER_BLK_STS_TRANSPORT = (__force u8)BLK_STS_TRANSPORT;
const u8 RUST_CONST_HELPER_BLK_STS_TARGET = (__force u8)BLK_STS_TARGET;
const u8 RUST_CONST_HELPER_BLK_STS_RESV_CONFLICT = (__force u8)BLK_STS_RESV_CONFLICT;
const u8 RUST_CONST_HELPER_BLK_STS_MEDIUM = (__force u8)BLK_STS_MEDIUM;
const u8 RUST_CONST_HELPER_BLK_STS_PROTECTION = (__force u8)BLK_STS_PROTECTION;
const u8 RUST_CONST_HELPER_BLK_STS_RESOURCE = (__force u8)BLK_STS_RESOURCE;
const u8 RUST_CONST_HELPER_BLK_STS_IOERR = (__force u8)BLK_STS_IOERR;
const u8 RUST_CONST_HELPER_BLK_STS_DM_REQUEUE = (__force u8)BLK_STS_DM_REQUEUE;
const u8 RUST_CONST_HELPER_BLK_STS_AGAIN = (__force u8)BLK_STS_AGAIN;
const u8 RUST_CONST_HELPER_BLK_STS_DEV_RESOURCE = (__force u8)BLK_STS_DEV_RESOURCE;
const u8 RUST_CONST_HELPER_BLK_STS_ZONE_OPEN_RESOURCE = (__force u8)BLK_STS_ZONE_OPEN_RESOURCE;
const u8 RUST_CONST_HELPER_BLK_STS_ZONE_ACTIVE_RESOURCE = (__force u8)BLK_STS_ZONE_ACTIVE_RESOURCE;
const u8 RUST_CONST_HELPER_BLK_STS_OFFLINE = (__force u8)BLK_STS_OFFLINE;
const u8 RUST_CONST_HELPER_BLK_STS_DURATION_LIMIT = (__force u8)BLK_STS_DURATION_LIMIT;
const u8 RUST_CONST_HELPER_BLK_STS_INVAL = (__force u8)BLK_STS_INVAL;
