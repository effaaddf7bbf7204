// SPDX-License-Identifier: GPL-2.0-only

#include <linux/export.h>

#include "dm_bond.h"

/* kapi/miniport.rs has them. */
EXPORT_SYMBOL_GPL(dm_bond_register_miniport);
EXPORT_SYMBOL_GPL(dm_bond_unregister_miniport);
EXPORT_SYMBOL_GPL(dm_bond_path_failed);
EXPORT_SYMBOL_GPL(dm_bond_path_restored);
