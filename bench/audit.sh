#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Durable appends to the record with 64 writers, and its verification, on the disk of the build folder.
set -eu
build=${INHOUSE_BUILD:-$(dirname "$0")/../build}
folder=$(mktemp -d "$build/bench-audit-XXXXXX")
trap 'rm -rf "$folder"' EXIT INT TERM
"$build/bench/audit_log" "$folder/home" "${SECONDS_PER_RUN:-5}"
