/* SPDX-License-Identifier: Apache-2.0 */
/* What the two readers of inhouse.yaml share: options (config.c), other servers (upstreams.c). */
#pragma once

#include "base/config/config.h"

/* "os.environ/" */
#define CONFIG_ENV_PREFIX "os.environ/"

/* Keeps a sentence about what was read and is not used. */
void config_note(struct config *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The sections `upstreams` and `model_list` of the root. */
void config_upstreams_read(struct config *c, const struct config_node *root,
                           struct config_faults *faults);
/* The sections `oidc` and `ldap`, after the options. */
void config_login_read(struct config *c, const struct config_node *root,
                       struct config_faults *faults);
bool config_login_same(const struct config *a, const struct config *b);
/* Do both say the same of other servers? */
bool config_upstreams_same(const struct config *a, const struct config *b);
/* The section `sources`. */
void config_sources_read(struct config *c, const struct config_node *root,
                         struct config_faults *faults);
bool config_sources_same(const struct config *a, const struct config *b);
