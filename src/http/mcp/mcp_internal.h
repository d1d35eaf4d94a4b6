/* SPDX-License-Identifier: Apache-2.0 */
/* Mcp, inside. */
#pragma once

#include "http/mcp/mcp.h"

/* The legacy version as we spell it, NULL when it is none of ours. */
const char *mcp_legacy_version(const char *asked);
/* All we speak, as an array, newest first. */
void mcp_put_versions(struct jn_writer *w);
