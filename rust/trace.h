/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints: /sys/kernel/tracing/events/dm_bond.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM dm_bond

#if !defined(DM_BOND_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define DM_BOND_TRACE_H

#include <linux/types.h>
#include <linux/kdev_t.h>
#include <linux/tracepoint.h>

/* A path is chosen for an I/O. */
TRACE_EVENT(dm_bond_choose,
	TP_PROTO(dev_t bond, dev_t path, unsigned int bytes),
	TP_ARGS(bond, path, bytes),
	TP_STRUCT__entry(
		__field(dev_t, bond)
		__field(dev_t, path)
		__field(unsigned int, bytes)
	),
	TP_fast_assign(
		__entry->bond = bond;
		__entry->path = path;
		__entry->bytes = bytes;
	),
	TP_printk("bond=%d:%d path=%d:%d bytes=%u",
		  MAJOR(__entry->bond), MINOR(__entry->bond),
		  MAJOR(__entry->path), MINOR(__entry->path), __entry->bytes)
);

/* An I/O that came back from a path with this status is to be sent again. */
TRACE_EVENT(dm_bond_requeue,
	TP_PROTO(dev_t bond, dev_t path, unsigned int bytes, unsigned int status),
	TP_ARGS(bond, path, bytes, status),
	TP_STRUCT__entry(
		__field(dev_t, bond)
		__field(dev_t, path)
		__field(unsigned int, bytes)
		__field(unsigned int, status)
	),
	TP_fast_assign(
		__entry->bond = bond;
		__entry->path = path;
		__entry->bytes = bytes;
		__entry->status = status;
	),
	TP_printk("bond=%d:%d path=%d:%d bytes=%u status=%u",
		  MAJOR(__entry->bond), MINOR(__entry->bond),
		  MAJOR(__entry->path), MINOR(__entry->path), __entry->bytes, __entry->status)
);

DECLARE_EVENT_CLASS(dm_bond_path,
	TP_PROTO(dev_t bond, dev_t path, unsigned int in_use),
	TP_ARGS(bond, path, in_use),
	TP_STRUCT__entry(
		__field(dev_t, bond)
		__field(dev_t, path)
		__field(unsigned int, in_use)
	),
	TP_fast_assign(
		__entry->bond = bond;
		__entry->path = path;
		__entry->in_use = in_use;
	),
	TP_printk("bond=%d:%d path=%d:%d in_use=%u",
		  MAJOR(__entry->bond), MINOR(__entry->bond),
		  MAJOR(__entry->path), MINOR(__entry->path), __entry->in_use)
);

/* A path went out of use; so many are left. */
DEFINE_EVENT(dm_bond_path, dm_bond_fail,
	TP_PROTO(dev_t bond, dev_t path, unsigned int in_use),
	TP_ARGS(bond, path, in_use)
);

/* A path came back into use; so many are there now. */
DEFINE_EVENT(dm_bond_path, dm_bond_restore,
	TP_PROTO(dev_t bond, dev_t path, unsigned int in_use),
	TP_ARGS(bond, path, in_use)
);

#endif

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
