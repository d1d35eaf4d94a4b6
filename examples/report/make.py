#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes metrics.csv: thirteen months of an invented service desk, the same bytes every time. One month is odd on purpose."""
import random
from pathlib import Path

rng = random.Random(7)
rows = ["month,channel,tickets,solved,first_answer_min,satisfaction,cost"]
for i in range(13):
    month = f"{2024 + (i + 11) // 12}-{(i + 11) % 12 + 1:02d}"
    for channel, base in (("Mail", 1180), ("Chat", 640), ("Phone", 210)):
        tickets = base + rng.randint(-40, 40) + (900 if month == "2025-06" and channel == "Mail" else 0)
        solved = round(tickets * rng.uniform(0.86, 0.93))
        answer = rng.uniform(18, 34) if channel != "Phone" else rng.uniform(1, 3)
        happy = "n/a" if channel == "Phone" else f"{rng.uniform(82, 95):.1f}%"
        rows.append(f'{month},{channel},"{tickets:,}",{solved},{answer:.1f},{happy},"{tickets * rng.uniform(2.1, 2.6):,.2f} EUR"')
Path(__file__).with_name("metrics.csv").write_text("\n".join(rows) + "\n")
