#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The module loads, registers its target, and unloads.
. ./lib.sh

target() { dmsetup targets | grep -q '^bond '; }
no_target() { ! target; }

need dmsetup dm_mod
load_bond
check "the target shows in dmsetup targets" target
check "the module unloads" rmmod dm_bond
check "the target is gone with it" no_target
load_bond
check "it loads again" target
finish
