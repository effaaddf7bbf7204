// SPDX-License-Identifier: GPL-2.0-only

//! What is required when something changes.
